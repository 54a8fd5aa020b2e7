"""Who deployed what shortly before an incident: what CloudTrail's event history shows of it, and
what is made of it.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from connection_guard.adapters.aws import gather_circumstances, gather_deployments
from connection_guard.adapters.aws.gather_circumstances import look
from connection_guard.adapters.aws.gather_deployments import SOURCES
from connection_guard.core.deployment.reporter_settings import WatchedDatabase
from connection_guard.core.incident.circumstances import (
    MOST_DEPLOYMENTS,
    Change,
    Circumstances,
    Deployment,
    DeploymentKind,
    RdsEvent,
    changes_in,
    deployment_before,
    renewed,
)
from tests.support.emulated_account import REGION, emulated_account

NOW = datetime(2026, 3, 1, 3, 0, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ORDERS = WatchedDatabase("orders", False, "guard-orders")
PAYMENTS = WatchedDatabase("payments", True, "guard-payments")

# Who did it, as CloudTrail documents it:
# https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
ALICE = {
    "type": "IAMUser",
    "principalId": "AIDAJ45Q7YFFAREXAMPLE",
    "arn": "arn:aws:iam::123456789012:user/alice",
    "accountId": "123456789012",
    "accessKeyId": "AKIAIOSFODNN7EXAMPLE",
    "userName": "alice",
}


def a_role(role: str, session: str, **more: str) -> dict[str, Any]:
    return {
        "type": "AssumedRole",
        "principalId": f"AROAIDPPEZS35WEXAMPLE:{session}",
        "arn": f"arn:aws:sts::123456789012:assumed-role/{role}/{session}",
        "accountId": "123456789012",
        "accessKeyId": "ASIAIOSFODNN7EXAMPLE",
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": "AROAIDPPEZS35WEXAMPLE",
                "arn": f"arn:aws:iam::123456789012:role/{role}",
                "accountId": "123456789012",
                "userName": role,
            },
            "attributes": {"creationDate": "2026-03-01T02:50:00Z", "mfaAuthenticated": "false"},
        },
        **more,
    }


PIPELINE = a_role("deploy", "GitHubActions")


def an_event(
    minutes_ago: float,
    name: str,
    parameters: Mapping[str, Any] | None,
    identity: Mapping[str, Any] = PIPELINE,
    service: str = "",
    **more: Any,
) -> dict[str, Any]:
    """Return what LookupEvents returns of one event."""
    at = NOW - minutes_ago * MINUTE
    service = service or SOURCES[name].service
    record = {
        "eventVersion": "1.08",
        "userIdentity": identity,
        "eventTime": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "eventSource": f"{service}.amazonaws.com",
        "eventName": name,
        "awsRegion": REGION,
        "sourceIPAddress": "192.0.2.10",
        "userAgent": "aws-cli/2.17.0",
        "requestParameters": parameters,
        "responseElements": None,
        "readOnly": False,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": "123456789012",
        "eventCategory": "Management",
        **more,
    }
    user = identity.get("arn", "").rpartition("/")[2]
    return {
        "EventId": "832b82d5-d474-44e8-a51d-093ccEXAMPLE",
        "EventName": name,
        "ReadOnly": "false",
        "EventTime": at,
        "EventSource": record["eventSource"],
        **({"Username": user} if user else {}),
        "Resources": [],
        "CloudTrailEvent": json.dumps(record),
    }


class CloudTrail:
    """The event history: it answers a lookup by one event name with the newest 50."""

    def __init__(self, *events: dict[str, Any], refuses: str = "", error: str = "") -> None:
        self.lookups: list[str] = []
        self.events = events
        self._refuses = refuses
        self._error = error

    def lookup_events(self, **asked: Any) -> dict[str, Any]:
        """Return the events since, the newest first."""
        [attribute] = asked["LookupAttributes"]
        assert attribute["AttributeKey"] == "EventName"
        name = attribute["AttributeValue"]
        self.lookups.append(name)
        if name == self._refuses:
            raise ClientError(
                {"Error": {"Code": self._error, "Message": "not now"}}, "LookupEvents"
            )
        found = [
            event
            for event in self.events
            if event["EventName"] == name and event["EventTime"] >= asked["StartTime"]
        ]
        return {
            "Events": sorted(found, key=lambda each: each["EventTime"])[::-1][: asked["MaxResults"]]
        }


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the pauses that were made, without making them."""
    made: list[float] = []
    monkeypatch.setattr(gather_deployments, "sleep", made.append)
    return made


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Return the other clients of the account, by service."""
    with emulated_account(monkeypatch):
        rds = boto3.client("rds", region_name=REGION)
        cloudwatch = boto3.client("cloudwatch", region_name=REGION)
        with Stubber(rds) as stub:
            for _ in range(3):
                stub.add_response("describe_events", {"Events": []})
            yield {"rds": rds, "cloudwatch": cloudwatch}.__getitem__


def seen_by(
    cloudtrail: Any,
    others: Callable[[str], Any],
    database: WatchedDatabase = ORDERS,
    now: datetime = NOW,
) -> Circumstances:
    def client(service: str) -> Any:
        return cloudtrail if service == "cloudtrail" else others(service)

    return look(database, now, client, reads_deployments=True)


def lines_of(seen: Circumstances) -> list[str]:
    return [text for _, text in changes_in(seen)]


# What CloudTrail shows


def test_each_kind_of_deployment_is_a_line_with_its_name_and_who_made_it(
    others: Callable[[str], Any],
) -> None:
    arn = f"arn:aws:ecs:{REGION}:123456789012:service/production/checkout"
    function = f"arn:aws:lambda:{REGION}:123456789012:function:invoices"
    secret = {"environment": {"variables": {"PASSWORD": "HIDDEN_DUE_TO_SECURITY_REASONS"}}}
    cloudtrail = CloudTrail(
        an_event(9, "UpdateService", {"cluster": "production", "service": arn, "desiredCount": 9}),
        an_event(8, "UpdateFunctionCode20150331v2", {"functionName": "invoices"}, ALICE),
        an_event(
            7, "UpdateFunctionConfiguration20150331v2", {"functionName": function, **secret}, ALICE
        ),
        an_event(6, "CreateDeployment", {"applicationName": "shop", "deploymentGroupName": "all"}),
        an_event(5, "ModifyDBInstance", {"dBInstanceIdentifier": "orders"}, ALICE),
        an_event(4, "ModifyDBParameterGroup", {"dBParameterGroupName": "small-pools"}, ALICE),
        an_event(3, "RebootDBInstance", {"dBInstanceIdentifier": "orders"}, ALICE),
    )

    seen = seen_by(cloudtrail, others)

    assert changes_in(seen) == (
        Change(NOW - 9 * MINUTE, "Update of ECS service checkout by GitHubActions"),
        Change(NOW - 8 * MINUTE, "Update of Lambda function invoices by alice"),
        Change(NOW - 7 * MINUTE, "Configuration of Lambda function invoices by alice"),
        Change(NOW - 6 * MINUTE, "Deployment of CodeDeploy application shop by GitHubActions"),
        Change(NOW - 5 * MINUTE, "Modification of DB instance orders by alice"),
        Change(NOW - 4 * MINUTE, "Modification of DB parameter group small-pools by alice"),
        Change(NOW - 3 * MINUTE, "Reboot of DB instance orders by alice"),
    )
    assert seen.looked_at == NOW
    assert "HIDDEN" not in str(seen)


def test_only_the_last_hour_is_shown(others: Callable[[str], Any]) -> None:
    cloudtrail = CloudTrail(
        an_event(65, "UpdateService", {"service": "long-ago"}),
        an_event(55, "UpdateService", {"service": "lately"}),
    )

    assert [each.name for each in seen_by(cloudtrail, others).deployments] == ["lately"]


def test_what_aws_does_on_its_own_is_left_out_and_what_cloudformation_deploys_is_not(
    others: Callable[[str], Any],
) -> None:
    scaling = "ecs.application-autoscaling.amazonaws.com"
    linked = "AWSServiceRoleForApplicationAutoScaling_ECSService"
    of_rds = {"type": "AWSService", "invokedBy": "rds.amazonaws.com"}
    formation = a_role("cfn", "AWSCloudFormation", invokedBy="cloudformation.amazonaws.com")
    cloudtrail = CloudTrail(
        an_event(9, "UpdateService", {"service": "scaled"}, a_role(linked, "AutoScaling")),
        an_event(
            8, "UpdateService", {"service": "old"}, a_role("ecsScale", "x", invokedBy=scaling)
        ),
        an_event(7, "ModifyDBInstance", {"dBInstanceIdentifier": "orders"}, of_rds),
        an_event(6, "UpdateService", {"service": "deployed"}, formation),
    )

    assert lines_of(seen_by(cloudtrail, others)) == [
        "Update of ECS service deployed by AWSCloudFormation"
    ]


def test_what_was_refused_or_is_another_services_is_no_deployment(
    others: Callable[[str], Any],
) -> None:
    cloudtrail = CloudTrail(
        an_event(9, "UpdateService", {"service": "checkout"}, errorCode="AccessDenied"),
        an_event(8, "UpdateService", None, errorCode="ServerException"),
        an_event(7, "CreateDeployment", {"deploymentName": "cores"}, service="greengrass"),
        an_event(6, "CreateDeployment", {"applicationName": "a"}, service="appconfig"),
    )

    seen = seen_by(cloudtrail, others)

    assert (seen.deployments, lines_of(seen)) == ((), [])


def test_of_databases_only_this_one_and_its_instances_are_shown(
    others: Callable[[str], Any],
) -> None:
    cloudtrail = CloudTrail(
        an_event(9, "ModifyDBInstance", {"dBInstanceIdentifier": "ledger"}),
        an_event(8, "ModifyDBInstance", {"dBInstanceIdentifier": "payments-1"}),
        an_event(7, "ModifyDBCluster", {"dBClusterIdentifier": "payments"}),
        an_event(6, "RebootDBInstance", {"dBInstanceIdentifier": "ledger"}),
    )

    seen = seen_by(cloudtrail, others, PAYMENTS)

    assert [each.name for each in seen.deployments] == ["payments-1", "payments"]


def test_a_name_that_is_too_long_or_not_printable_stays_one_short_line(
    others: Callable[[str], Any],
) -> None:
    cloudtrail = CloudTrail(
        an_event(9, "UpdateService", {"service": "check\nout" + "x" * 900}, a_role("r", "b\x1b[1m"))
    )

    [line] = lines_of(seen_by(cloudtrail, others))

    assert line.isprintable()
    assert len(line) < 200


# How it is asked


def test_it_is_not_asked_where_it_may_not_be(others: Callable[[str], Any]) -> None:
    assert look(ORDERS, NOW, others).deployments == ()


def test_lookups_keep_to_two_per_second_and_serve_every_database_of_the_minute(
    others: Callable[[str], Any], pauses: list[float]
) -> None:
    cloudtrail = CloudTrail(
        an_event(9, "ModifyDBInstance", {"dBInstanceIdentifier": "orders"}),
        an_event(8, "ModifyDBCluster", {"dBClusterIdentifier": "payments"}),
    )

    first = seen_by(cloudtrail, others, ORDERS)
    second = seen_by(cloudtrail, others, PAYMENTS, NOW + timedelta(seconds=20))
    lookups = list(cloudtrail.lookups)
    seen_by(cloudtrail, others, ORDERS, NOW + MINUTE)

    assert [each.name for each in (*first.deployments, *second.deployments)] == [
        "orders",
        "payments",
    ]
    assert sorted(lookups) == sorted(SOURCES)
    assert len(cloudtrail.lookups) == 2 * len(lookups)
    # No pause is made here, so that each lasts from the first lookup on.
    assert pauses[: len(SOURCES)] == pytest.approx(
        [number * 0.5 for number in range(len(SOURCES))], abs=0.3
    )


@pytest.mark.parametrize("error", ["AccessDeniedException", "ThrottlingException"])
def test_a_refusal_is_a_line_and_takes_nothing_from_what_was_found_before(
    others: Callable[[str], Any], error: str
) -> None:
    refuses = list(SOURCES)[1]
    cloudtrail = CloudTrail(
        an_event(9, "UpdateService", {"service": "checkout"}), refuses=refuses, error=error
    )

    seen = seen_by(cloudtrail, others)

    assert [each.name for each in seen.deployments] == ["checkout"]
    [problem] = [each for each in seen.problems if "CloudTrail" in each]
    assert problem.startswith("CloudTrail's deployments could not be read: ")
    assert error in problem
    assert cloudtrail.lookups == ["UpdateService", refuses]


def test_an_answer_that_never_comes_delays_nothing_else(
    others: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather_circumstances, "LONGEST_LOOK", timedelta(seconds=1))
    answer = Event()

    class Hanging(CloudTrail):
        """It has the connection, and says nothing."""

        def lookup_events(self, **_: Any) -> dict[str, Any]:
            """Wait for the end of the test."""
            answer.wait()
            return {"Events": []}

    try:
        seen = seen_by(Hanging(), others)
    finally:
        answer.set()

    assert "CloudTrail's deployments could not be read within 1 s" in seen.problems
    assert len(seen.usage) == 181


# What is kept of it


def a_deployment(
    minutes_ago: float, name: str, what: DeploymentKind = DeploymentKind.ECS_SERVICE
) -> Deployment:
    return Deployment(NOW - minutes_ago * MINUTE, what, name, "GitHubActions")


def seen_with(*deployments: Deployment, **more: Any) -> Circumstances:
    facts = {"events": (), "usage": (), "trend": None, "problems": (), **more}
    return Circumstances(**facts, deployments=deployments)


def test_a_second_look_adds_what_cloudtrail_shows_late_and_loses_nothing() -> None:
    failover = RdsEvent(NOW - 59 * MINUTE, "orders", "Multi-AZ failover completed")
    restart = RdsEvent(NOW, "orders", "DB instance restarted")
    early, late = a_deployment(50, "early"), a_deployment(2, "late")
    first = seen_with(early, events=(failover,), usage=((NOW, 97.0),), trend="jumped")
    second = seen_with(late, events=(restart,), trend="at 90 %", problems=("throttled",))

    seen = renewed(renewed(None, first, NOW), replace_looked_at(second), NOW)

    assert seen.deployments == (early, late)
    assert seen.events == (failover, restart)
    assert (seen.usage, seen.trend) == (first.usage, "jumped")
    assert (seen.problems, seen.looked_at) == (("throttled",), NOW + 5 * MINUTE)


def replace_looked_at(seen: Circumstances) -> Circumstances:
    return Circumstances(
        seen.events, seen.usage, seen.trend, seen.problems, seen.deployments, NOW + 5 * MINUTE
    )


def test_of_too_many_deployments_the_nearest_to_the_opening_and_the_databases_own_are_kept() -> (
    None
):
    own = a_deployment(59, "orders", DeploymentKind.DB_INSTANCE)
    before = [a_deployment(minutes, f"{minutes} before") for minutes in range(1, 40)]
    after = [a_deployment(-minutes, f"{minutes} after") for minutes in range(20, 60)]

    seen = renewed(seen_with(own, *after), seen_with(*before), NOW)

    assert seen.deployments == (own, *reversed(before[: MOST_DEPLOYMENTS - 1]))


# What is made of it


def test_changes_are_in_one_list_by_time_also_those_after_the_incident_opened() -> None:
    seen = seen_with(
        a_deployment(2, "checkout"),
        a_deployment(-1, "rolled-back"),
        events=(
            RdsEvent(NOW - MINUTE, "orders", "DB instance restarted"),
            RdsEvent(NOW - 30 * MINUTE, "orders", "Finished applying modification"),
        ),
    )

    assert lines_of(seen) == [
        "RDS, orders: Finished applying modification",
        "Update of ECS service checkout by GitHubActions",
        "RDS, orders: DB instance restarted",
        "Update of ECS service rolled-back by GitHubActions",
    ]
    assert changes_in(None) == ()


@pytest.mark.parametrize(
    ("service", "application"),
    [
        ("checkout", "checkout"),
        ("checkout-service", "checkout"),
        ("Shop-CheckoutFunction1A2B3C", "checkout"),
        ("checkout", "checkout_production"),
        ("order-worker", "Order_Worker"),
        ("api", "API"),
    ],
)
def test_an_applications_deployment_is_found_by_a_similar_name(
    service: str, application: str
) -> None:
    deployment = a_deployment(2, service)
    assert deployment_before(seen_with(deployment), NOW, application) == deployment


@pytest.mark.parametrize(
    ("service", "application"),
    [("checkout", "invoices"), ("rapid", "api"), ("checkout", ""), ("checkout", "-")],
)
def test_an_application_with_another_name_or_none_has_no_deployment(
    service: str, application: str
) -> None:
    assert deployment_before(seen_with(a_deployment(2, service)), NOW, application) is None


def test_it_is_the_last_one_before_the_rise_and_never_the_databases_own() -> None:
    seen = seen_with(
        a_deployment(40, "orders-api"),
        a_deployment(12, "orders-worker"),
        a_deployment(11, "orders", DeploymentKind.DB_INSTANCE),
        a_deployment(5, "orders-api"),
    )

    found = deployment_before(seen, NOW - 10 * MINUTE, "orders")

    assert found == a_deployment(12, "orders-worker")
    assert deployment_before(seen, NOW - 50 * MINUTE, "orders") is None
    assert deployment_before(None, NOW, "orders") is None
