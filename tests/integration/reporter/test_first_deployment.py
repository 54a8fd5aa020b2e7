"""What people get when databases are guarded for the first time: their alarms have no data yet."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from connection_guard.core.deployment.reporter_settings import WatchedDatabase
from doubles.slack_double import SlackDouble
from tests.integration.reporter.test_guard_alarms import ARN, an_alarm
from tests.support.reporter.deliveries import a_report, a_success
from tests.support.reporter.faults import Fault, KilledError
from tests.support.reporter.outside import Outside, at, on_a_heartbeat, states, stores_in_memory

TWELVE = [
    WatchedDatabase(f"orders{number}", is_cluster=False, function_name=f"responder{number}")
    for number in range(12)
]
# One per topic that an e-mail address is subscribed to.
CONFIRMATIONS = 2


@pytest.fixture
def twelve(slack: SlackDouble) -> Outside:
    return Outside(slack, stores_in_memory(), *TWELVE)


def a_new_alarm(database: WatchedDatabase, minute: float) -> Mapping[str, Any]:
    return unguarded(database, minute, "ALARM", "INSUFFICIENT_DATA")


def unguarded(
    database: WatchedDatabase, minute: float, state: str, before: str
) -> Mapping[str, Any]:
    name = database.identifier
    return an_alarm(
        f"{ARN}ConnectionGuard-{name}-unguarded",
        minute,
        state,
        AlarmDescription=f"{name}: For 3 minutes the guard could not work. See its log.",
        OldStateValue=before,
        Trigger={"Dimensions": [{"name": "Database", "value": name}]},
    )


def cannot_get_in(database: WatchedDatabase, minute: int) -> Mapping[str, Any]:
    report = on_a_heartbeat(a_report("locked_out", at(minute), database=database.identifier))
    return a_success(report, f"{database.function_name}@{minute}", database.function_name)


def test_nobody_is_notified_of_databases_that_are_well(twelve: Outside, slack: SlackDouble) -> None:
    for database in TWELVE:
        twelve.deliver(a_new_alarm(database, 0))
    twelve.every_minute(4)
    for database in TWELVE:
        twelve.deliver(unguarded(database, 4, "OK", "ALARM"))
    twelve.every_minute(60)

    assert not twelve.sns.messages
    assert not slack.messages
    assert twelve.is_settled


def test_people_are_notified_of_a_new_alarm_that_does_not_clear(
    twelve: Outside, slack: SlackDouble
) -> None:
    twelve.deliver(a_new_alarm(TWELVE[0], 0))
    twelve.every_minute(4)
    assert not twelve.sns.messages
    twelve.every_minute(2)

    assert states(twelve) == ["[ACTION REQUIRED]"]
    assert "orders0 may be unprotected" in slack.channel_view[0].text
    twelve.deliver(unguarded(TWELVE[0], 9, "OK", "ALARM"))
    assert states(twelve) == ["[ACTION REQUIRED]", "[RESOLVED]"]


def test_an_end_that_is_late_on_its_way_still_ends_what_people_were_notified_of(
    twelve: Outside,
) -> None:
    twelve.deliver(a_new_alarm(TWELVE[0], 0))
    twelve.every_minute(6)
    twelve.deliver(unguarded(TWELVE[0], 4, "OK", "ALARM"))

    assert states(twelve) == ["[ACTION REQUIRED]", "[RESOLVED]"]
    assert twelve.is_settled


def test_an_alarm_that_is_not_new_is_news_at_once(twelve: Outside) -> None:
    twelve.deliver(unguarded(TWELVE[0], 0, "ALARM", "OK"))
    assert states(twelve) == ["[ACTION REQUIRED]"]


@pytest.mark.parametrize("step", range(12))
def test_a_new_alarm_is_not_lost_with_a_reporter_that_dies(twelve: Outside, step: int) -> None:
    twelve.faults.at[step] = Fault.KILLED
    message = a_new_alarm(TWELVE[0], 0)
    try:
        twelve.deliver(message)
    except KilledError:
        twelve.another_process()
        twelve.now += timedelta(minutes=2)
        twelve.deliver(message)
    twelve.another_process()
    twelve.every_minute(8)

    assert states(twelve) == ["[ACTION REQUIRED]"]


def test_twelve_databases_without_the_guard_s_roles_are_fewer_than_fifteen_e_mails(
    twelve: Outside,
) -> None:
    for database in TWELVE:
        twelve.deliver(a_new_alarm(database, 0))
    for minute in range(1, 31):
        for database in TWELVE:
            twelve.deliver(cannot_get_in(database, minute))
        twelve.every_minute(1)

    assert states(twelve) == ["[ACTION REQUIRED]"] * len(TWELVE)
    assert len(twelve.sns.messages) + CONFIRMATIONS < 15


def test_a_fault_that_a_report_and_the_alarm_both_say_is_one_e_mail(twelve: Outside) -> None:
    [database, *_] = TWELVE
    twelve.deliver(cannot_get_in(database, 0))
    for minute in range(1, 3):
        twelve.every_minute(1)
        twelve.deliver(cannot_get_in(database, minute))
    twelve.every_minute(1)
    twelve.deliver(unguarded(database, 3, "ALARM", "OK"))
    twelve.every_minute(30)
    assert states(twelve) == ["[ACTION REQUIRED]"]
