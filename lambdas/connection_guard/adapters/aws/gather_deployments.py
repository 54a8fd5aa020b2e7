"""Who changed what in the last hour, from CloudTrail's event history.

The history shows an event about five minutes after it, needs no trail, and is that of the whole
account and region.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from time import monotonic, sleep
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from connection_guard.core.incident.circumstances import Deployment, DeploymentKind
from connection_guard.core.words import shown

CHANGES_OF = timedelta(hours=1)
LONGEST_NAME = 64

# CloudTrail answers two lookups per second, per account and region:
# https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
SECONDS_BETWEEN_LOOKUPS = 0.5
MOST_EVENTS_PER_LOOKUP = 50


class Source(NamedTuple):
    """The service whose event it is, for other services have events of the same name, and the
    request parameter with the name of what was changed.
    """

    service: str
    parameter: str
    kind: DeploymentKind


# By the event's name, the most useful first. A lookup takes one attribute: all that is not read
# only would be one lookup, but of a busy account it would show the last minute or two.
SOURCES = {
    "UpdateService": Source("ecs", "service", DeploymentKind.ECS_SERVICE),
    "UpdateFunctionCode20150331v2": Source("lambda", "functionName", DeploymentKind.LAMBDA_CODE),
    "CreateDeployment": Source(
        "codedeploy", "applicationName", DeploymentKind.CODEDEPLOY_APPLICATION
    ),
    "UpdateFunctionConfiguration20150331v2": Source(
        "lambda", "functionName", DeploymentKind.LAMBDA_CONFIGURATION
    ),
    "ModifyDBInstance": Source("rds", "dBInstanceIdentifier", DeploymentKind.DB_INSTANCE),
    "ModifyDBCluster": Source("rds", "dBClusterIdentifier", DeploymentKind.DB_CLUSTER),
    "ModifyDBParameterGroup": Source(
        "rds", "dBParameterGroupName", DeploymentKind.DB_PARAMETER_GROUP
    ),
    "RebootDBInstance": Source("rds", "dBInstanceIdentifier", DeploymentKind.DB_REBOOT),
}


class Changes(NamedTuple):
    """What was found, and the error that ended the lookups early."""

    found: tuple[Deployment, ...]
    error: BotoCoreError | ClientError | None


@lru_cache(maxsize=1)
def changes_until(minute: datetime, cloudtrail: Any) -> Changes:
    """Return the changes in the hour before; after a refusal, those that were found before it.

    They are the same for every database, so that a hundred incidents in one minute look once.
    """
    found: list[Deployment] = []
    began = monotonic()
    for number, name in enumerate(SOURCES):
        sleep(max(began + number * SECONDS_BETWEEN_LOOKUPS - monotonic(), 0))
        try:
            answer = cloudtrail.lookup_events(
                LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": name}],
                StartTime=minute - CHANGES_OF,
                MaxResults=MOST_EVENTS_PER_LOOKUP,
            )
        except (BotoCoreError, ClientError) as error:
            return Changes(tuple(found), error)
        found += _deployments_in(answer["Events"], SOURCES[name])
    return Changes(tuple(found), None)


def _deployments_in(events: list[Mapping[str, Any]], source: Source) -> Iterator[Deployment]:
    for event in events:
        record = json.loads(event["CloudTrailEvent"])
        name = (record.get("requestParameters") or {}).get(source.parameter)
        if (
            name
            and record.get("eventSource") == f"{source.service}.amazonaws.com"
            and not record.get("errorCode")
            and not _is_of_aws(record["userIdentity"])
        ):
            yield Deployment(
                event["EventTime"].astimezone(UTC),
                source.kind,
                shown(_last_part_of(name), LONGEST_NAME),
                shown(event.get("Username") or record["userIdentity"]["type"], LONGEST_NAME),
            )


def _is_of_aws(identity: Mapping[str, Any]) -> bool:
    """Return whether a service did it on its own, such as a scaling policy.

    CloudFormation, too, has an `invokedBy`, but does what somebody deploys.
    https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
    """
    return (
        identity.get("type") == "AWSService"
        or identity.get("invokedBy", "").endswith("autoscaling.amazonaws.com")
        or "/AWSServiceRoleFor" in identity.get("arn", "")
    )


def _last_part_of(name: str) -> str:
    """Return the name without the rest of an ARN."""
    return name.rpartition(":")[2].rpartition("/")[2]
