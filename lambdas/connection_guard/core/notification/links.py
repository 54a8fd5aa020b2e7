"""Pages of the AWS console where people go on from an incident."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

from connection_guard.core.deployment.reporter_settings import ReporterSettings, WatchedDatabase
from connection_guard.core.incident.incident import Incident

# What led to an incident is in the log before it.
LOG_STARTS_BEFORE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Links:
    """`alarm` and `evidence` are None where the incident has none."""

    alarm: str | None
    logs: str
    evidence: str | None
    dashboard: str


def links_of(
    incident: Incident, database: WatchedDatabase, settings: ReporterSettings, region: str
) -> Links:
    """Return the pages of the incident's latest alarm and evidence, of the log since it began, and
    of the stack's dashboard. The log is what responders wrote of the database; where the incident
    is the stack's own, it is the reporter's.
    """
    is_of_stack = database.identifier == settings.dashboard
    return Links(
        alarm=alarm_page(region, incident.alarm.name) if incident.alarm else None,
        logs=_log_page(region, f"/aws/lambda/{database.function_name}")
        if is_of_stack
        else _log_page(region, settings.log_group, database.identifier, incident.opened_at),
        evidence=_object_page(region, settings.bucket, incident.evidence)
        if incident.evidence
        else None,
        dashboard=dashboard_page(region, settings.dashboard),
    )


def dashboard_page(region: str, name: str) -> str:
    """Return the page of a CloudWatch dashboard."""
    return f"{_cloudwatch(region)}#dashboards/dashboard/{name}"


def alarm_page(region: str, name: str) -> str:
    """Return the page of a CloudWatch alarm."""
    return f"{_cloudwatch(region)}#alarmsV2:alarm/{quote(name, safe='')}"


def _log_page(
    region: str, name: str, database: str | None = None, since: datetime | None = None
) -> str:
    """Return the page of a log group, or of its lines of a database since then."""
    page = f"{_cloudwatch(region)}#logsV2:log-groups/log-group/{_quoted_twice(name)}"
    if database is None or since is None:
        return page
    pattern = _quoted_twice(lines_of(database))
    start = int((since - LOG_STARTS_BEFORE).timestamp() * 1000)
    return f"{page}/log-events$3FfilterPattern$3D{pattern}$26start$3D{start}"


def lines_of(database: str) -> str:
    """Return the filter pattern of what responders wrote of the database.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
    """
    return f'{{ $.database = "{database}" }}'


def _quoted_twice(text: str) -> str:
    """Return what only the pages of logs want: quoted twice, and "$" for "%"."""
    return quote(quote(text, safe=""), safe="").replace("%", "$")


def _object_page(region: str, bucket: str, key: str) -> str:
    page = f"https://{region}.console.aws.amazon.com/s3/object/{bucket}"
    return f"{page}?region={region}&prefix={quote(key, safe='/')}"


def _cloudwatch(region: str) -> str:
    return f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
