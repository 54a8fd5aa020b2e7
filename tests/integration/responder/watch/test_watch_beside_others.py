"""A heartbeat that keeps looking beside a run in another execution environment: one shortage is
one incident.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connection_guard.core.incident.progress import Progress
from connection_guard.core.notification.status import headline_of
from connection_guard.core.policy import Mode, Policy, Tier
from doubles.postgresql.postgres_server import PostgresServer
from doubles.slack_double import SlackDouble
from doubles.waiting import wait_until
from tests.integration.conftest import NEWEST, OLDEST
from tests.integration.responder.responder_actions import sessions_of_app, terminated
from tests.integration.responder.watch.watching import (
    PRESSED,
    SECONDS_OF_SHORT_WATCH,
    Run,
    open_sessions,
    wait_for_looks,
    watching,
)
from tests.support.builders import (
    WARNING_ALARM,
    a_heartbeat_at,
    a_policy,
    a_rule,
    an_alarm_event,
)
from tests.support.guarded import Guarded, fill
from tests.support.reporter.deliveries import a_success
from tests.support.reporter.outside import Outside, everything_said, states, stores_in_memory


class People:
    """The reporter, and the people whom it notifies."""

    def __init__(self, slack: SlackDouble) -> None:
        self.outside = Outside(slack, stores_in_memory())
        self.incidents = set[str]()
        self._reports = 0

    def read(self, *reports: dict[str, Any]) -> None:
        """Deliver the reports but heartbeats, as the filter of SNS does."""
        self.outside.now = max(datetime.now(UTC), self.outside.now)
        for report in reports:
            if report["kind"] != "heartbeat":
                self._reports += 1
                self.outside.deliver(a_success(report, f"run-{self._reports}"))
                self.incidents.add(self.outside.incident.id)
        self.outside.every_minute(1)


@pytest.mark.parametrize("alarm_first", [False, True], ids=["in order", "alarm's report first"])
@NEWEST
def test_an_alarm_that_comes_while_the_watch_acts_waits_and_finds_the_work_done(
    database: PostgresServer, slack: SlackDouble, *, alarm_first: bool
) -> None:
    policy = a_policy(watch=timedelta(seconds=1))
    watcher, other = watching(database, policy), watching(database, policy)
    open_sessions(database, PRESSED)
    watch = Run(watcher, a_heartbeat_at(1))
    wait_for_looks(watcher)
    fill(database, role="app")
    wait_until(lambda: len(sessions_of_app(database)) < PRESSED)  # and it has yet to verify

    alarm = other.deliver(an_alarm_event())
    watched = watch.report()

    assert (watched["kind"], watched["recovered"]) == ("remediation", True)
    assert (alarm["kind"], alarm["restraint"]) == ("observation", "below target")
    assert (alarm["problems"], alarm["escalation"]) == ([], None)
    assert watched["received_at"] < alarm["received_at"]
    people = People(slack)
    people.read(*([alarm, watched] if alarm_first else [watched, alarm]))
    people.read(other.deliver(an_alarm_event(state="OK")), watcher.deliver(a_heartbeat_at(2)))
    assert len(people.incidents) == 1
    assert people.outside.progress() is Progress.CLOSED
    assert len([state for state in states(people.outside) if state == "[RESOLVED]"]) == 1
    assert len(people.outside.sns.subjects) <= 2


@NEWEST
def test_a_watch_does_not_act_beside_an_alarms_run_and_ends(
    database: PostgresServer, slack: SlackDouble
) -> None:
    """The alarm's run acts while it observes at critical what the watch is looking at."""
    policy = a_policy(batch_size=1, pause=timedelta(milliseconds=100), attempts=3)
    watcher, other = watching(database, policy), watching(database, policy)
    open_sessions(database, PRESSED)
    watch = Run(watcher, a_heartbeat_at(1))
    wait_for_looks(watcher)

    alarm = other.deliver(an_alarm_event())
    watched = watch.report()

    assert (alarm["kind"], alarm["recovered"]) == ("remediation", True)
    assert watched["kind"] == "heartbeat", "no report of its own"
    assert (terminated(watched), watched["escalation"]) == (0, None)
    assert [watcher.deliver(a_heartbeat_at(minute))["kind"] for minute in (2, 3)] == [
        "heartbeat"
    ] * 2
    people = People(slack)
    people.read(alarm)
    people.read(other.deliver(an_alarm_event(state="OK")))
    assert (len(people.incidents), people.outside.progress()) == (1, Progress.CLOSED)


@NEWEST
def test_alarms_that_come_minutes_after_the_watch_has_ended_the_shortage_are_no_news(
    database: PostgresServer, slack: SlackDouble
) -> None:
    watcher, other = watching(database), watching(database)
    fill(database, role="app")
    people = People(slack)
    people.read(watcher.deliver(a_heartbeat_at(1)))
    assert states(people.outside) == ["[RESOLVED]"]
    arns = [None, WARNING_ALARM]

    late = [
        other.deliver(an_alarm_event(*filter(None, [arn]), state=state))
        for state in ("ALARM", "OK")
        for arn in arns
    ]
    people.read(*late)

    assert [report["restraint"] for report in late[:2]] == ["below target"] * 2
    assert (len(people.incidents), states(people.outside)) == (1, ["[RESOLVED]"])
    assert len(people.outside.incident.entries) == 5


@pytest.mark.parametrize(
    ("policy", "subject"),
    [
        (a_policy(modes=dict.fromkeys(Tier, Mode.OBSERVE)), "[CRITICAL]"),
        (a_policy(refuse_above_percent=1), "[ACTION REQUIRED]"),
    ],
    ids=["observing", "notified"],
)
@OLDEST
def test_an_alarm_that_a_full_server_refuses_beside_a_watch_is_no_lockout(
    database: PostgresServer, slack: SlackDouble, policy: Policy, subject: str
) -> None:
    """Only the watch has a seat, and the server has no reserve to let a second run in."""
    watcher, cold = watching(database, policy), Guarded(database, policy)
    clients = fill(database, role="app")
    people = People(slack)
    people.read(watcher.deliver(a_heartbeat_at(1)))
    before = headline_of(people.outside.incident)
    watch = Run(watcher, a_heartbeat_at(2), seconds_left=SECONDS_OF_SHORT_WATCH + 5)
    wait_for_looks(watcher)

    alarm = cold.deliver(an_alarm_event(), seconds_left=5)
    people.read(alarm, watch.report())

    assert (alarm["kind"], alarm["before"], alarm["escalation"]) == ("observation", None, None)
    assert "the server is full and refused a login" in alarm["headline"]
    assert headline_of(people.outside.incident) == before
    assert "terminated no sessions: the server is full and refused" in everything_said(slack)
    assert states(people.outside) == [subject]
    for client in clients:
        client.close()
    people.read(watcher.deliver(a_heartbeat_at(3)), watcher.deliver(an_alarm_event(state="OK")))
    assert (len(people.incidents), people.outside.progress()) == (1, Progress.CLOSED)


@OLDEST
def test_a_guard_that_is_locked_out_is_reported_by_the_heartbeat_after_the_alarm(
    database: PostgresServer, slack: SlackDouble
) -> None:
    fill(database, role="app")
    people, cold = People(slack), Guarded(database)

    people.read(cold.deliver(an_alarm_event(), seconds_left=5))
    assert states(people.outside) == ["[CRITICAL]"]
    people.read(cold.deliver(a_heartbeat_at(1), seconds_left=5))

    assert states(people.outside) == ["[CRITICAL]", "[ACTION REQUIRED]"]
    assert "cannot get in" in slack.channel_view[0].text


@NEWEST
def test_two_watches_of_one_database_act_once(database: PostgresServer) -> None:
    policy = a_policy(a_rule(roles=("app",)), watch=timedelta(seconds=1))
    guards = [watching(database, policy) for _ in range(2)]
    open_sessions(database, PRESSED)
    runs = [
        Run(guard, a_heartbeat_at(1), seconds_left=SECONDS_OF_SHORT_WATCH + 5) for guard in guards
    ]
    wait_for_looks(guards[0])

    fill(database, role="app")

    reports = [run.report() for run in runs]
    assert sorted(report["kind"] for report in reports) == ["heartbeat", "remediation"]
    assert sum(map(terminated, reports)) == max(map(terminated, reports))
