"""When the alarms on the guard itself fire, evaluated as CloudWatch evaluates them."""

import pytest

from doubles.aws.cloudwatch_alarms import state_of
from doubles.aws.cloudwatch_metric_math import Metric, Series
from responder.look import MINUTES_BETWEEN_SECOND_DOOR_TESTS
from tests.cdk.database.alarm_states import NOW, alarm, lately, responders, seen, steadily
from tests.cdk.database.stacks_of_one import topics_to_reporter
from tests.cdk.template import Properties, Template, synthesized
from tests.support.configurations import a_configuration, a_database, an_existing_proxy

HEARTBEAT = ("ConnectionGuard", "Heartbeat", "Database=orders")
DIRECT_DOOR_OPEN = ("ConnectionGuard", "DirectDoorOpen", "Database=orders")
PROXY_DOOR_OPEN = ("ConnectionGuard", "ProxyDoorOpen", "Database=orders")
PREFLIGHT_FAILED = ("ConnectionGuard", "PreflightFailed", "Database=orders")
LOCKED_OUT = ("ConnectionGuard", "LockedOut", "Database=orders")
ROLE_LIMIT = ("ConnectionGuard", "HighestRoleLimitUtilisation", "Database=orders")
DATABASE_LIMIT = ("ConnectionGuard", "HighestDatabaseLimitUtilisation", "Database=orders")
SELF_WATCH = (
    "no-heartbeat",
    "responder-failed",
    "report-lost",
    "direct-login-failed",
    "locked-out",
    "missing-privilege",
    "role-limit",
    "database-limit",
)


@pytest.mark.parametrize("what", SELF_WATCH)
def test_the_reporter_gets_what_keeps_the_guard_from_its_work(orders: Template, what: str) -> None:
    assert_reported(orders, alarm(orders, what))


def assert_reported(deployed: Template, what: Properties) -> None:
    """Assert that the reporter is notified of the alarm and of its end."""
    [topic] = what["AlarmActions"]
    assert what["OKActions"] == [topic]
    assert "FilterPolicy" not in topics_to_reporter(deployed)[topic]


@pytest.mark.parametrize(
    ("what", "description"),
    [
        (
            "no-heartbeat",
            (
                "No heartbeat for 3 minutes: the responder is not running or cannot log in. See "
                "the responder's log for the error."
            ),
        ),
        ("direct-login-failed", "The guard could not log in directly to orders.c0ffee."),
        ("locked-out", "The guard could not log in through any door: it cannot free slots."),
        (
            "missing-privilege",
            "The guard's role lacks a privilege: the guard cannot terminate sessions.",
        ),
    ],
)
def test_a_description_begins_with_the_database_and_what_happened(
    orders: Template, what: str, description: str
) -> None:
    assert alarm(orders, what)["AlarmDescription"].startswith(f"orders: {description}")


@pytest.mark.parametrize("what", ["no-heartbeat", "responder-failed", "report-lost", "locked-out"])
def test_a_description_ends_with_the_name_of_the_responders_log(
    orders: Template, what: str
) -> None:
    [responder] = responders(orders)
    log = orders.of("AWS::Lambda::Function")[responder]["LoggingConfig"]["LogGroup"]
    assert alarm(orders, what)["AlarmDescription"].endswith(f" The responder's log: {log}")


def test_three_silent_minutes_are_a_missing_heartbeat(orders: Template) -> None:
    metric = seen({HEARTBEAT: steadily(1, until=NOW - 3)})
    assert state_of(alarm(orders, "no-heartbeat"), metric, NOW - 1, previous="OK") == "OK"
    assert state_of(alarm(orders, "no-heartbeat"), metric, NOW, previous="OK") == "ALARM"
    assert state_of(alarm(orders, "no-heartbeat"), seen({}), NOW) == "ALARM"


@pytest.mark.parametrize("heartbeat_at", range(0, 60, 5))
@pytest.mark.parametrize("is_killed", [False, True])
def test_a_remediation_of_55_seconds_is_not_a_missing_heartbeat(
    orders: Template, heartbeat_at: int, is_killed: bool
) -> None:
    """That holds even if it is killed, the heartbeats that it delays are lost, and the newest
    datapoint is late.
    """
    for starts in range(60):
        metric = seen(
            {
                HEARTBEAT: minutes_that_measure(
                    heartbeat_at, 60 * (NOW - 5) + starts, is_killed=is_killed
                )
            }
        )
        newest = range(NOW - 6, NOW + 1)
        assert {
            state_of(alarm(orders, "no-heartbeat"), up_to(metric, now - 1), now) for now in newest
        } == {"OK"}


def minutes_that_measure(heartbeat_at: int, starts: int, *, is_killed: bool) -> Series:
    """Return the minutes with a heartbeat, which comes at this second unless a remediation that
    starts then keeps it waiting.
    """
    ends = starts + 55
    heartbeats = [60 * minute + heartbeat_at for minute in range(NOW - 15, NOW + 1)]
    measured = [heartbeat for heartbeat in heartbeats if not starts <= heartbeat < ends] + (
        [] if is_killed else [ends]
    )
    return {second // 60: 1.0 for second in measured}


def up_to(metric: Metric, minute: int) -> Metric:
    """Return what CloudWatch knows while the datapoints after the minute have not arrived."""
    return lambda stat: {at: value for at, value in metric(stat).items() if at <= minute}


def test_a_failed_direct_login_stays_an_alarm_until_it_is_tried_again(orders: Template) -> None:
    door = alarm(orders, "direct-login-failed")
    tried = seen({DIRECT_DOOR_OPEN: {NOW - 40: 1, NOW - 30: 0, NOW - 15: 1}})
    assert state_of(door, tried, NOW - 40) == "OK"
    assert state_of(door, tried, NOW - 30, previous="OK") == "ALARM"
    assert state_of(door, tried, NOW - 20, previous="ALARM") == "ALARM"
    assert state_of(door, tried, NOW - 15, previous="ALARM") == "OK"
    assert state_of(door, tried, NOW, previous="OK") == "OK"


def test_a_proxy_that_refuses_logins_for_longer_than_a_remediation_has_an_alarm(
    orders: Template,
) -> None:
    behind_proxy = synthesized(a_configuration(a_database(proxy=an_existing_proxy())))
    door = alarm(behind_proxy, "proxy-login-failed")
    assert (
        state_of(door, seen({PROXY_DOOR_OPEN: lately(1, 0, 0, 0, 0)}), NOW, previous="OK") == "OK"
    )
    assert (
        state_of(door, seen({PROXY_DOOR_OPEN: lately(0, 0, 0, 0, 0)}), NOW, previous="OK")
        == "ALARM"
    )
    assert (
        state_of(door, seen({PROXY_DOOR_OPEN: lately(0, 0, 0, 0, 1)}), NOW, previous="ALARM")
        == "OK"
    )
    assert_reported(behind_proxy, door)
    assert "connection-guard-orders-proxy-login-failed" not in {
        each.get("AlarmName") for each in orders.of("AWS::CloudWatch::Alarm").values()
    }


def test_being_locked_out_is_an_incident_at_once(orders: Template) -> None:
    metric = seen({LOCKED_OUT: lately(0, 0, 1)})
    assert state_of(alarm(orders, "locked-out"), metric, NOW - 1) == "OK"
    assert state_of(alarm(orders, "locked-out"), metric, NOW, previous="OK") == "ALARM"


def test_a_privilege_that_is_missing_behind_the_second_door_does_not_come_and_go(
    orders: Template,
) -> None:
    """The heartbeats between two tests of that door use the proxy and another role, and find
    nothing missing.
    """
    looks = list(
        range(
            NOW - 4 * MINUTES_BETWEEN_SECOND_DOOR_TESTS, NOW + 1, MINUTES_BETWEEN_SECOND_DOOR_TESTS
        )
    )
    looks[1] += 1  # a remediation held it up
    metric = seen(
        {PREFLIGHT_FAILED: {minute: float(minute in looks) for minute in range(NOW - 90, NOW + 1)}}
    )
    states = {
        state_of(alarm(orders, "missing-privilege"), metric, now)
        for now in range(looks[0], NOW + 1)
    }
    assert states == {"ALARM"}
    assert state_of(alarm(orders, "missing-privilege"), metric, looks[0] - 1) == "OK"
    assert (
        state_of(
            alarm(orders, "missing-privilege"), seen({PREFLIGHT_FAILED: steadily(0, NOW - 30)}), NOW
        )
        == "OK"
    )


@pytest.mark.parametrize(
    ("what", "limit"), [("role-limit", ROLE_LIMIT), ("database-limit", DATABASE_LIMIT)]
)
def test_the_alarm_fires_before_a_limit_of_a_role_or_database_is_reached(
    orders: Template, what: str, limit: tuple[str, str, str]
) -> None:
    assert state_of(alarm(orders, what), seen({limit: lately(90, 89, 89)}), NOW) == "OK"
    assert state_of(alarm(orders, what), seen({limit: lately(90, 89, 90)}), NOW) == "ALARM"
    taken_away = state_of(alarm(orders, what), seen({}), NOW, previous="ALARM")
    assert taken_away == "OK"


@pytest.mark.parametrize(
    ("what", "name"),
    [("responder-failed", "Errors"), ("report-lost", "DestinationDeliveryFailures")],
)
def test_a_failure_of_the_responder_is_an_alarm_and_its_idleness_is_not(
    orders: Template, what: str, name: str
) -> None:
    [responder] = responders(orders)
    failures = ("AWS/Lambda", name, f"FunctionName=${{{responder}}}")
    assert state_of(alarm(orders, what), seen({failures: lately(0, 1)}), NOW) == "ALARM"
    assert state_of(alarm(orders, what), seen({failures: lately(1, 0)}), NOW) == "OK"
    assert state_of(alarm(orders, what), seen({}), NOW) == "OK"
