"""When the alarms on usage fire: their expressions, evaluated as CloudWatch evaluates them."""

import pytest

from connection_guard.configuration.max_connections.estimate import estimate_serverless
from connection_guard.core.policy import Mode, Tier
from doubles.aws.cloudwatch_alarms import datapoints, state_of
from tests.cdk.database.alarm_states import NOW, alarm, lately, responders, seen, steadily
from tests.cdk.template import Template, referred, synthesized
from tests.support.builders import a_policy
from tests.support.configurations import a_cluster, a_configuration, a_database

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


@pytest.fixture(scope="module")
def cluster() -> Template:
    return synthesized(a_configuration(a_cluster()))


@pytest.mark.parametrize(
    ("what", "connections", "state"),
    [
        ("warning", 149, "OK"),
        ("warning", 150, "ALARM"),
        ("critical", 179, "OK"),
        ("critical", 180, "ALARM"),
    ],
)
def test_they_fire_at_75_and_90_percent_of_what_the_guard_found_to_be_usable(
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
def test_alarms_use_the_estimate_until_the_first_heartbeat(
    orders: Template, what: str, connections: int, state: str
) -> None:
    assert state_of(alarm(orders, what), seen({CONNECTIONS: steadily(connections)}), NOW) == state


def test_the_last_published_figure_is_used_when_heartbeats_stop(orders: Template) -> None:
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


def test_without_the_usable_connections_there_is_no_recovery_either(
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
def test_without_a_count_of_connections_there_is_no_recovery(orders: Template, what: str) -> None:
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
def test_only_the_writer_of_a_cluster_counts(
    cluster: Template, others: tuple[str, str, str]
) -> None:
    quiet = seen(
        {CONNECTIONS_OF_WRITER: steadily(10), others: steadily(500), USABLE: steadily(200)}
    )
    assert state_of(alarm(cluster, "critical"), quiet, NOW) == "OK"
    full = seen({CONNECTIONS_OF_WRITER: steadily(190), others: steadily(10), USABLE: steadily(200)})
    assert state_of(alarm(cluster, "critical"), full, NOW) == "ALARM"


def test_sessions_whose_clients_are_gone_count_as_the_guard_measures_them(orders: Template) -> None:
    """DatabaseConnections does not count them."""
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
    assert (
        "uses an estimate: 70 connections. It is estimated."
        in alarm(orders, "critical")["AlarmDescription"]
    )
    observing = synthesized(
        a_configuration(a_database(policy=a_policy(modes=dict.fromkeys(Tier, Mode.OBSERVE))))
    )
    assert "observe and report" in alarm(observing, "critical-measured")["AlarmDescription"]


def test_the_longest_description_is_within_the_limit_of_cloudwatch() -> None:
    expression = f"LEAST({'+'.join(['{DBInstanceClassMemory/9531392}'] * 14)},5000)"
    wordy = a_database(max_connections=estimate_serverless(0.5, 256, expression, place="orders"))
    template = synthesized(a_configuration(wordy))
    descriptions = [
        each["AlarmDescription"] for each in template.of("AWS::CloudWatch::Alarm").values()
    ]
    assert max(map(len, descriptions)) <= 1024
