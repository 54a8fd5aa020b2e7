"""When the alarms fire: their expressions, evaluated as CloudWatch does."""

from collections.abc import Mapping

import pytest

from connection_guard.configuration.max_connections.estimate import Estimate, estimate_serverless
from connection_guard.core.policy import Mode, Tier
from doubles.cloudwatch_alarms import datapoints, state_of
from doubles.cloudwatch_metric_math import Metric, MetricStat, Series
from responder.respond import MINUTES_BETWEEN_SECOND_DOOR_TESTS
from tests.cdk.template import Properties, Template, referred, synthesized
from tests.support.builders import a_policy
from tests.support.configurations import a_cluster, a_configuration, a_database, an_existing_proxy

NOW = 100

CONNECTIONS = ("AWS/RDS", "DatabaseConnections", "DBInstanceIdentifier=orders")
CONNECTIONS_OF_WRITER = ("AWS/RDS", "DatabaseConnections", "DBClusterIdentifier=orders Role=WRITER")
CONNECTIONS_OF_READERS = (
    "AWS/RDS",
    "DatabaseConnections",
    "DBClusterIdentifier=orders Role=READER",
)
CONNECTIONS_OF_CLUSTER = ("AWS/RDS", "DatabaseConnections", "DBClusterIdentifier=orders")
USABLE = ("ConnectionGuard", "Usable", "Database=orders")
UTILISATION = ("ConnectionGuard", "Utilisation", "Database=orders")
HEARTBEAT = ("ConnectionGuard", "Heartbeat", "Database=orders")


@pytest.fixture(scope="module")
def orders() -> Template:
    """An instance with 70 usable connections by the computed figure."""
    return synthesized(
        a_configuration(a_database(max_connections=Estimate(79, "It is estimated.")))
    )


@pytest.fixture(scope="module")
def cluster() -> Template:
    return synthesized(a_configuration(a_cluster()))


def alarm(template: Template, what: str) -> Properties:
    alarms = template.of("AWS::CloudWatch::Alarm").values()
    [found] = [
        each for each in alarms if each.get("AlarmName") == f"connection-guard-orders-{what}"
    ]
    return found


def seen(series: Mapping[tuple[str, str, str], Series]) -> Metric:
    """What CloudWatch has of each metric; of any other, nothing."""

    def metric(stat: MetricStat) -> Series:
        dimensions = " ".join(f"{name}={value}" for name, value in sorted(stat.dimensions.items()))
        assert stat.period == 60
        return series.get((stat.namespace, stat.name, dimensions), {})

    return metric


def steadily(value: float, since: int = NOW - 10, until: int = NOW) -> Series:
    """The same value in every minute."""
    return dict.fromkeys(range(since, until + 1), value)


def lately(*values: float | None) -> Series:
    """The latest values, the newest of them now; None where there is none."""
    first = NOW + 1 - len(values)
    return {first + index: value for index, value in enumerate(values) if value is not None}


@pytest.mark.parametrize(
    ("what", "connections", "state"),
    [
        ("warning", 149, "OK"),
        ("warning", 150, "ALARM"),
        ("critical", 179, "OK"),
        ("critical", 180, "ALARM"),
    ],
)
def test_they_cross_at_75_and_90_percent_of_what_the_guard_found_to_be_usable(
    orders: Template, what: str, connections: int, state: str
) -> None:
    metric = seen({CONNECTIONS: steadily(connections), USABLE: steadily(200)})
    assert state_of(alarm(orders, what), metric, NOW) == state


@pytest.mark.parametrize(
    ("what", "connections", "state"),
    [
        ("warning", 52, "OK"),
        ("warning", 53, "ALARM"),
        ("critical", 62, "OK"),
        ("critical", 63, "ALARM"),
    ],
)
def test_of_a_guard_that_was_never_heard_they_go_by_the_computed_figure(
    orders: Template, what: str, connections: int, state: str
) -> None:
    assert state_of(alarm(orders, what), seen({CONNECTIONS: steadily(connections)}), NOW) == state


def test_the_last_figure_of_a_guard_that_falls_silent_stands(orders: Template) -> None:
    metric = seen({CONNECTIONS: steadily(150), USABLE: lately(200, None, None)})
    minutes = range(NOW - 2, NOW + 1)
    assert datapoints(alarm(orders, "warning"), metric, minutes) == dict.fromkeys(minutes, 75)


def test_a_resize_needs_no_deploy(orders: Template) -> None:
    grown = seen({CONNECTIONS: steadily(150), USABLE: lately(160, 1600)})
    assert datapoints(alarm(orders, "critical"), grown, range(NOW - 1, NOW + 1)) == {
        NOW - 1: 93.75,
        NOW: 9.375,
    }
    assert state_of(alarm(orders, "critical"), grown, NOW - 1) == "ALARM"
    assert state_of(alarm(orders, "critical"), grown, NOW) == "OK"


def test_were_the_usable_connections_not_known_there_would_be_no_recovery_either(
    orders: Template,
) -> None:
    critical = alarm(orders, "critical")
    unfilled = [
        {**each, "Expression": "published"} if each["Id"] == "usable" else each
        for each in critical["Metrics"]
    ]
    metric = seen({CONNECTIONS: steadily(150)})
    assert datapoints({**critical, "Metrics": unfilled}, metric, range(NOW - 4, NOW + 1)) == {}


@pytest.mark.parametrize("what", ["warning", "critical"])
def test_where_connections_are_not_known_there_is_no_recovery(orders: Template, what: str) -> None:
    silent = seen({USABLE: steadily(200)})
    assert datapoints(alarm(orders, what), silent, range(NOW - 4, NOW + 1)) == {}
    assert state_of(alarm(orders, what), silent, NOW, previous="ALARM") == "INSUFFICIENT_DATA"


def test_a_gap_is_neither_a_recovery_nor_a_datapoint(orders: Template) -> None:
    metric = seen({CONNECTIONS: lately(190, 190, None), USABLE: steadily(200)})
    assert set(datapoints(alarm(orders, "warning"), metric, range(NOW - 2, NOW + 1))) == {
        NOW - 2,
        NOW - 1,
    }
    assert state_of(alarm(orders, "critical"), metric, NOW, previous="ALARM") == "ALARM"


@pytest.mark.parametrize(
    ("connections", "state"),
    [
        ((10, 10, 150), "OK"),
        ((150, 10, 150), "ALARM"),
        ((150, 150, 10), "ALARM"),
        ((150, 10, 10), "OK"),
    ],
)
def test_a_warning_takes_two_of_three_minutes(
    orders: Template, connections: tuple[int, ...], state: str
) -> None:
    metric = seen({CONNECTIONS: lately(*connections), USABLE: steadily(200)})
    assert state_of(alarm(orders, "warning"), metric, NOW, previous="OK") == state


def test_critical_does_not_wait_for_a_second_datapoint(orders: Template) -> None:
    metric = seen({CONNECTIONS: lately(10, 10, 180), USABLE: steadily(200)})
    assert state_of(alarm(orders, "critical"), metric, NOW, previous="OK") == "ALARM"


def test_thresholds_are_those_of_the_configuration() -> None:
    template = synthesized(a_configuration(a_database(warning_percent=50.0, critical_percent=60.0)))
    metric = seen({CONNECTIONS: steadily(110), USABLE: steadily(200), UTILISATION: steadily(61)})
    states = {
        what: state_of(alarm(template, what), metric, NOW)
        for what in ("warning", "critical", "critical-measured")
    }
    assert states == {"warning": "ALARM", "critical": "OK", "critical-measured": "ALARM"}


@pytest.mark.parametrize("others", [CONNECTIONS_OF_READERS, CONNECTIONS_OF_CLUSTER, CONNECTIONS])
def test_of_a_cluster_the_writer_alone_counts(
    cluster: Template, others: tuple[str, str, str]
) -> None:
    quiet = seen(
        {CONNECTIONS_OF_WRITER: steadily(10), others: steadily(500), USABLE: steadily(200)}
    )
    assert state_of(alarm(cluster, "critical"), quiet, NOW) == "OK"
    full = seen({CONNECTIONS_OF_WRITER: steadily(190), others: steadily(10), USABLE: steadily(200)})
    assert state_of(alarm(cluster, "critical"), full, NOW) == "ALARM"


def test_sessions_whose_clients_are_gone_count_as_the_guard_measures_them(orders: Template) -> None:
    """DatabaseConnections leaves them out."""
    metric = seen({CONNECTIONS: steadily(20), USABLE: steadily(200), UTILISATION: lately(10, 90)})
    assert state_of(alarm(orders, "critical"), metric, NOW) == "OK"
    assert state_of(alarm(orders, "critical-measured"), metric, NOW) == "ALARM"
    assert state_of(alarm(orders, "critical-measured"), metric, NOW - 1) == "OK"
    assert (
        state_of(alarm(orders, "critical-measured"), seen({}), NOW, previous="ALARM")
        == "INSUFFICIENT_DATA"
    )


@pytest.mark.parametrize("what", ["warning", "critical", "critical-measured"])
def test_an_alarm_and_its_recovery_go_to_the_responder_and_nowhere_else(
    orders: Template, what: str
) -> None:
    [responder] = responders(orders)
    [topic] = alarm(orders, what)["AlarmActions"]
    assert alarm(orders, what)["OKActions"] == [topic]
    assert "InsufficientDataActions" not in alarm(orders, what)
    [subscription] = [
        each for each in orders.of("AWS::SNS::Subscription").values() if each["TopicArn"] == topic
    ]
    assert (subscription["Protocol"], referred(subscription["Endpoint"])) == ("lambda", responder)


def test_people_read_the_names_of_the_steps_in_a_notification(orders: Template) -> None:
    returned = {query["Id"]: query["ReturnData"] for query in alarm(orders, "critical")["Metrics"]}
    assert returned == {
        "utilisation": True,
        "connections": False,
        "usable": False,
        "published": False,
    }


def test_a_description_says_what_is_full_whether_the_guard_acts_and_where_the_figure_is_from(
    orders: Template,
) -> None:
    assert "75 % or more" in alarm(orders, "warning")["AlarmDescription"]
    assert "observe and report" in alarm(orders, "warning")["AlarmDescription"]
    assert "frees slots by itself" in alarm(orders, "critical")["AlarmDescription"]
    assert "of 70. It is estimated." in alarm(orders, "critical")["AlarmDescription"]
    observing = synthesized(
        a_configuration(a_database(policy=a_policy(modes=dict.fromkeys(Tier, Mode.OBSERVE))))
    )
    assert "observe and report" in alarm(observing, "critical-measured")["AlarmDescription"]


def test_cloudwatch_takes_the_longest_description() -> None:
    expression = f"LEAST({'+'.join(['{DBInstanceClassMemory/9531392}'] * 14)},5000)"
    wordy = a_database(max_connections=estimate_serverless(0.5, 256, expression, place="orders"))
    template = synthesized(a_configuration(wordy))
    descriptions = [
        each["AlarmDescription"] for each in template.of("AWS::CloudWatch::Alarm").values()
    ]
    assert max(map(len, descriptions)) <= 1024


# The guard watches itself.

DIRECT_DOOR_OPEN = ("ConnectionGuard", "DirectDoorOpen", "Database=orders")
PROXY_DOOR_OPEN = ("ConnectionGuard", "ProxyDoorOpen", "Database=orders")
PREFLIGHT_FAILED = ("ConnectionGuard", "PreflightFailed", "Database=orders")
LOCKED_OUT = ("ConnectionGuard", "LockedOut", "Database=orders")
ROLE_LIMIT = ("ConnectionGuard", "HighestRoleLimitUtilisation", "Database=orders")
DATABASE_LIMIT = ("ConnectionGuard", "HighestDatabaseLimitUtilisation", "Database=orders")
SELF_WATCH = (
    *("no-heartbeat", "errors", "losses", "direct-door-shut", "locked-out", "privilege-lost"),
    *("role-limit", "database-limit"),
)


@pytest.mark.parametrize("what", SELF_WATCH)
def test_what_keeps_the_guard_from_its_work_goes_straight_to_people(
    orders: Template, what: str
) -> None:
    [topic] = alarm(orders, what)["AlarmActions"]
    assert alarm(orders, what)["OKActions"] == [topic]
    assert topic == orders.outputs["IncidentsTopic"]["Value"]


def test_three_silent_minutes_are_a_missing_heartbeat(orders: Template) -> None:
    metric = seen({HEARTBEAT: steadily(1, until=NOW - 3)})
    assert state_of(alarm(orders, "no-heartbeat"), metric, NOW - 1, previous="OK") == "OK"
    assert state_of(alarm(orders, "no-heartbeat"), metric, NOW, previous="OK") == "ALARM"
    assert state_of(alarm(orders, "no-heartbeat"), seen({}), NOW) == "ALARM"


@pytest.mark.parametrize("heartbeat_at", range(0, 60, 5))
@pytest.mark.parametrize("is_killed", [False, True])
def test_a_remediation_of_55_seconds_is_no_missing_heartbeat(
    orders: Template, heartbeat_at: int, is_killed: bool
) -> None:
    """Also where it never answers, the heartbeats that it holds up are lost, and the newest
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
    """The heartbeat comes at this second of every minute, unless a remediation that starts then has
    the only seat.
    """
    ends = starts + 55
    heartbeats = [60 * minute + heartbeat_at for minute in range(NOW - 15, NOW + 1)]
    measured = [heartbeat for heartbeat in heartbeats if not starts <= heartbeat < ends] + (
        [] if is_killed else [ends]
    )
    return {second // 60: 1.0 for second in measured}


def up_to(metric: Metric, minute: int) -> Metric:
    """What CloudWatch has while everything after the minute is still on its way."""
    return lambda stat: {at: value for at, value in metric(stat).items() if at <= minute}


def test_a_direct_door_stays_shut_until_it_is_tried_again(orders: Template) -> None:
    door = alarm(orders, "direct-door-shut")
    tried = seen({DIRECT_DOOR_OPEN: {NOW - 40: 1, NOW - 30: 0, NOW - 15: 1}})
    assert state_of(door, tried, NOW - 40) == "OK"
    assert state_of(door, tried, NOW - 30, previous="OK") == "ALARM"
    assert state_of(door, tried, NOW - 20, previous="ALARM") == "ALARM"
    assert state_of(door, tried, NOW - 15, previous="ALARM") == "OK"
    assert state_of(door, tried, NOW, previous="OK") == "OK"


def test_a_proxy_that_is_shut_for_longer_than_a_remediation_is_told_where_there_is_one(
    orders: Template,
) -> None:
    behind_proxy = synthesized(a_configuration(a_database(proxy=an_existing_proxy())))
    door = alarm(behind_proxy, "proxy-door-shut")
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
    assert (
        door["AlarmActions"]
        == door["OKActions"]
        == [behind_proxy.outputs["IncidentsTopic"]["Value"]]
    )
    assert "connection-guard-orders-proxy-door-shut" not in {
        each.get("AlarmName") for each in orders.of("AWS::CloudWatch::Alarm").values()
    }


def test_being_locked_out_is_an_incident_at_once(orders: Template) -> None:
    metric = seen({LOCKED_OUT: lately(0, 0, 1)})
    assert state_of(alarm(orders, "locked-out"), metric, NOW - 1) == "OK"
    assert state_of(alarm(orders, "locked-out"), metric, NOW, previous="OK") == "ALARM"


def test_a_privilege_that_is_missing_behind_the_second_door_does_not_come_and_go(
    orders: Template,
) -> None:
    """The heartbeats between two looks behind it, through the proxy and as another role, find
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
        state_of(alarm(orders, "privilege-lost"), metric, now) for now in range(looks[0], NOW + 1)
    }
    assert states == {"ALARM"}
    assert state_of(alarm(orders, "privilege-lost"), metric, looks[0] - 1) == "OK"
    assert (
        state_of(
            alarm(orders, "privilege-lost"), seen({PREFLIGHT_FAILED: steadily(0, NOW - 30)}), NOW
        )
        == "OK"
    )


@pytest.mark.parametrize(
    ("what", "limit"), [("role-limit", ROLE_LIMIT), ("database-limit", DATABASE_LIMIT)]
)
def test_a_limit_of_ones_own_is_told_before_it_is_hit(
    orders: Template, what: str, limit: tuple[str, str, str]
) -> None:
    assert state_of(alarm(orders, what), seen({limit: lately(90, 89, 89)}), NOW) == "OK"
    assert state_of(alarm(orders, what), seen({limit: lately(90, 89, 90)}), NOW) == "ALARM"
    taken_away = state_of(alarm(orders, what), seen({}), NOW, previous="ALARM")
    assert taken_away == "INSUFFICIENT_DATA"


@pytest.mark.parametrize(
    ("what", "name"), [("errors", "Errors"), ("losses", "DestinationDeliveryFailures")]
)
def test_a_failure_of_the_responder_is_told_and_its_rest_is_none(
    orders: Template, what: str, name: str
) -> None:
    [responder] = responders(orders)
    failures = ("AWS/Lambda", name, f"FunctionName=${{{responder}}}")
    assert state_of(alarm(orders, what), seen({failures: lately(0, 1)}), NOW) == "ALARM"
    assert state_of(alarm(orders, what), seen({failures: lately(1, 0)}), NOW) == "OK"
    assert state_of(alarm(orders, what), seen({}), NOW) == "OK"


def responders(of: Template) -> list[str]:
    return [
        name
        for name, properties in of.of("AWS::Lambda::Function").items()
        if properties["Handler"] == "responder.handler.lambda_handler"
    ]
