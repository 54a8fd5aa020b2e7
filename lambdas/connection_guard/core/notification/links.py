"""Pages of the AWS console where people go on from an incident."""

from dataclasses import dataclass
from urllib.parse import quote

from connection_guard.core.deployment.reporter_settings import ReporterSettings, WatchedDatabase
from connection_guard.core.incident.incident import Incident


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
    """Return the pages of the incident's latest alarm and evidence, of its responder's log, and of
    the stack's dashboard.
    """
    return Links(
        alarm=alarm_page(region, incident.alarm.name) if incident.alarm else None,
        logs=_log_group_page(region, database.log_group),
        evidence=_object_page(region, settings.bucket, incident.evidence)
        if incident.evidence
        else None,
        dashboard=dashboard_page(region, settings.dashboard),
    )


def dashboard_page(region: str, name: str) -> str:
    """Return the page of a CloudWatch dashboard."""
    return f"{_cloudwatch(region)}#dashboards/dashboard/{quote(name, safe='')}"


def alarm_page(region: str, name: str) -> str:
    """Return the page of a CloudWatch alarm."""
    return f"{_cloudwatch(region)}#alarmsV2:alarm/{quote(name, safe='')}"


def _log_group_page(region: str, name: str) -> str:
    """Return the page of a log group: only this page wants names quoted twice, and "$" for "%"."""
    quoted = quote(quote(name, safe=""), safe="").replace("%", "$")
    return f"{_cloudwatch(region)}#logsV2:log-groups/log-group/{quoted}"


def _object_page(region: str, bucket: str, key: str) -> str:
    page = f"https://{region}.console.aws.amazon.com/s3/object/{bucket}"
    return f"{page}?region={region}&prefix={quote(key, safe='/')}"


def _cloudwatch(region: str) -> str:
    return f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
