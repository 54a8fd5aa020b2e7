"""When the alarms on the guard itself fire, evaluated as CloudWatch evaluates them."""

import re

import pytest

from connection_guard.core.database.guard_faults import Fault
from doubles.aws.cloudwatch_alarms import state_of
from doubles.aws.cloudwatch_metric_math import Metric, Series
from tests.cdk.database.alarm_states import NOW, alarm, lately, responders, seen, steadily
from tests.cdk.database.stacks_of_one import topics_to_reporter
from tests.cdk.template import Template, synthesized
from tests.support.configurations import a_configuration, a_database, an_existing_proxy

HEALTHY = ("ConnectionGuard", "Healthy", "Database=orders")
LIMIT = ("ConnectionGuard", "HighestLimitUtilisation", "Database=orders")
# CloudWatch's own.
LONGEST_DESCRIPTION = 1_024
LONGEST_STACK_NAME = 128


@pytest.mark.parametrize("what", ["unguarded", "limit"])
def test_the_reporter_gets_what_keeps_the_guard_from_its_work(orders: Template, what: str) -> None:
    [topic] = alarm(orders, what)["AlarmActions"]
    assert alarm(orders, what)["OKActions"] == [topic]
    assert "FilterPolicy" not in topics_to_reporter(orders)[topic]


def test_a_database_has_five_alarms_on_seven_metrics(orders: Template) -> None:
    prefix = "connection-guard-orders-"
    of_database = {
        each["AlarmName"].removeprefix(prefix)
        for each in orders.of("AWS::CloudWatch::Alarm").values()
        if each["AlarmName"].startswith(prefix)
    }
    assert of_database == {"warning", "critical", "critical-measured", "unguarded", "limit"}


def test_the_description_says_what_happened_where_to_read_which_fault_and_what_to_do(
    orders: Template,
) -> None:
    description = alarm(orders, "unguarded")["AlarmDescription"]
    [responder] = responders(orders)
    log = orders.of("AWS::Lambda::Function")[responder]["LoggingConfig"]["LogGroup"]
    assert description.startswith("orders: For 3 minutes the guard could not do all of its work")
    assert f"Logs Insights on {log}: filter database = 'orders' | " in description
    without_proxy = set(Fault) - {Fault.PROXY_DOOR_SHUT}
    assert {fault for fault in Fault if fault in description} == without_proxy


def test_the_longest_description_is_one_that_cloudwatch_takes() -> None:
    longest = a_database(identifier="o" * 63, proxy=an_existing_proxy())
    alarms = synthesized(a_configuration(longest)).of("AWS::CloudWatch::Alarm").values()
    [description] = [
        each["AlarmDescription"] for each in alarms if each["AlarmName"].endswith("-unguarded")
    ]
    assert all(fault in description for fault in Fault)
    name_of_log = "l" * len("/connection-guard/") + "s" * LONGEST_STACK_NAME
    assert len(re.sub(r"\$\{[^}]+\}", name_of_log, description)) <= LONGEST_DESCRIPTION


def test_three_minutes_that_are_silent_or_unhealthy_are_a_fault(orders: Template) -> None:
    unguarded = alarm(orders, "unguarded")
    silent = seen({HEALTHY: steadily(1, until=NOW - 3)})
    assert state_of(unguarded, silent, NOW - 1, previous="OK") == "OK"
    assert state_of(unguarded, silent, NOW, previous="OK") == "ALARM"
    assert state_of(unguarded, seen({}), NOW) == "ALARM"
    unhealthy = seen({HEALTHY: lately(1, 1, 0, 0, 0)})
    assert state_of(unguarded, unhealthy, NOW - 1, previous="OK") == "OK"
    assert state_of(unguarded, unhealthy, NOW, previous="OK") == "ALARM"
    healed = seen({HEALTHY: lately(0, 0, 0, 0, 1)})
    assert state_of(unguarded, healed, NOW, previous="ALARM") == "OK"


def test_a_lost_report_is_a_fault_although_it_is_one_datapoint(orders: Template) -> None:
    [responder] = responders(orders)
    lost = ("AWS/Lambda", "DestinationDeliveryFailures", f"FunctionName=${{{responder}}}")
    unguarded = alarm(orders, "unguarded")
    metric = seen({HEALTHY: steadily(1, since=0), lost: {NOW - 20: 1}})
    states = {
        minute - NOW + 20: state_of(unguarded, metric, minute, previous="OK")
        for minute in range(NOW - 21, NOW)
    }
    assert [minute for minute, state in states.items() if state == "ALARM"] == [2, 3, 4]


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
                HEALTHY: minutes_that_measure(
                    heartbeat_at, 60 * (NOW - 5) + starts, is_killed=is_killed
                )
            }
        )
        newest = range(NOW - 6, NOW + 1)
        assert {
            state_of(alarm(orders, "unguarded"), up_to(metric, now - 1), now) for now in newest
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


def test_the_alarm_fires_before_a_limit_of_a_role_or_database_is_reached(
    orders: Template,
) -> None:
    limit = alarm(orders, "limit")
    assert state_of(limit, seen({LIMIT: lately(90, 89, 89)}), NOW) == "OK"
    assert state_of(limit, seen({LIMIT: lately(90, 89, 90)}), NOW) == "ALARM"
    assert state_of(limit, seen({}), NOW, previous="ALARM") == "OK", "the limit was taken away"
