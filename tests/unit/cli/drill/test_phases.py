"""What has happened of a drill by now, what is late, and when its sessions may go."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from connection_guard.cli.drill.phases import (
    AlarmSeen,
    Inside,
    Sighting,
    expected_phases,
    happened,
    may_let_go,
    missing,
    new_entries,
    overdue,
    seconds_of,
)
from connection_guard.cli.drill.preconditions import refuse_unrest, where_to_look
from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.core.deployment.alarm_names import USAGE_TIERS, database_alarm_name
from connection_guard.core.deployment.events import AlarmState
from connection_guard.core.incident.incident import Incident
from connection_guard.core.notification.channel.notified import Notified
from tests.support.reporter.incidents import OPENED, a_recovery, an_alarm, an_entry, an_incident

DATABASE = "orders-prod"
WARNING, CRITICAL, MEASURED = (database_alarm_name("Guard", DATABASE, what) for what in USAGE_TIERS)
CROSSED = OPENED - timedelta(minutes=1)
FILLED = {"filled": CROSSED}
QUIET = Inside(None, is_below_target=False)


def minute(number: float) -> datetime:
    return OPENED + timedelta(minutes=number)


def sighting(
    *on: str,
    since: float = 0,
    incident: Incident | None = None,
    notified: dict[str, Notified] | None = None,
) -> Sighting:
    """Return a look at AWS with these alarms on."""
    alarms = {
        name: AlarmSeen(AlarmState.ALARM if name in on else AlarmState.OK, minute(since))
        for name in (WARNING, CRITICAL, MEASURED)
    }
    return Sighting(alarms, incident, notified)


CALM = sighting(since=-60)


def after(
    seen: Sighting,
    inside: Inside = QUIET,
    known: dict[str, datetime] = FILLED,
    *,
    before: Sighting = CALM,
    acts: bool = True,
    now: float = 5,
) -> dict[str, datetime]:
    """Return what is new at a look."""
    found = happened(before, seen, inside, known, minute(now), acts=acts)
    assert {name: found[name] for name in known} == known, "what is known does not change"
    return {name: at for name, at in found.items() if name not in known}


@pytest.mark.parametrize("name", [CRITICAL, MEASURED])
def test_the_first_critical_alarm_counts_by_cloudwatchs_time(name: str) -> None:
    assert after(sighting(name, since=1)) == {"alarm": minute(1)}


def test_the_warning_alarm_is_not_the_critical_one() -> None:
    assert after(sighting(WARNING)) == {}


def test_nothing_happens_before_the_line_is_crossed_however_clocks_differ() -> None:
    assert after(sighting(CRITICAL, since=-30)) == {"alarm": CROSSED}


def test_the_responder_acts_with_the_first_session_that_ends_and_relief_is_below_the_target() -> (
    None
):
    inside = Inside(minute(2), is_below_target=True)

    assert after(sighting(), inside) == {"responder": minute(2), "relief": minute(5)}


def test_a_responder_that_only_observes_is_seen_by_its_report() -> None:
    observed = an_incident(an_entry(1, "observation", alarm=an_alarm()))

    assert after(sighting(incident=observed), acts=False) == {"responder": minute(1)}
    assert after(sighting(incident=observed), acts=True) == {}


def test_a_channel_is_notified_once_it_has_news_of_this_incident() -> None:
    incident = an_incident()
    news = Notified(news=("critical",), news_at=minute(1))
    none = Notified(version=1)
    seen = sighting(incident=incident, notified={"slack": news, "teams": none})

    assert after(seen) == {"notified: slack": minute(1)}


def test_what_a_channel_was_notified_of_before_is_no_news() -> None:
    news = Notified(news=("not critical",), news_at=minute(-5))
    old = an_incident(an_entry(-6, "observation"))
    before = sighting(incident=old, notified={"slack": news})
    now = an_incident(*old.entries, an_entry(1, alarm=an_alarm()))

    assert after(sighting(incident=now, notified={"slack": news}), before=before) == {}
    more = Notified(news=("not critical", "critical"), news_at=minute(1))
    seen = sighting(incident=now, notified={"slack": more})
    assert after(seen, before=before) == {"notified: slack": minute(1)}


def test_the_end_is_the_incident_closed_once_the_sessions_have_gone() -> None:
    let_go = FILLED | {"let go": minute(2)}
    open_yet = an_incident(an_entry(alarm=an_alarm()))
    closed = an_incident(an_entry(alarm=an_alarm()), a_recovery(4))

    assert after(sighting(incident=open_yet), known=let_go) == {}
    assert after(sighting(incident=closed)) == {}
    assert after(sighting(incident=closed), known=let_go) == {"resolved": minute(4)}


def test_what_a_heartbeat_ended_before_an_alarm_fired_is_resolved_without_one() -> None:
    known = FILLED | {"let go": minute(2)}
    ended = an_incident(replace(an_entry(1), is_below_target=True))

    assert after(sighting(incident=ended), known=known) == {"resolved": minute(2)}
    late = sighting(CRITICAL, since=3, incident=ended)
    assert after(late, known=known) == {"alarm": minute(3), "resolved": minute(2)}


def test_the_end_of_an_incident_before_the_drill_is_not_its_own() -> None:
    known = FILLED | {"let go": minute(2)}
    news = Notified(news=("resolved",), news_at=minute(-40))
    old = an_incident(an_entry(-60, alarm=an_alarm()), a_recovery(-50))
    before = sighting(since=-60, incident=old, notified={"slack": news})

    seen = sighting(since=3, incident=old, notified={"slack": news})

    assert after(seen, known=known, before=before) == {}
    assert new_entries(before, seen) == ()


def test_the_sessions_go_with_relief_or_once_everybody_knows() -> None:
    acting = expected_phases(["slack"], acts=True)
    observing = expected_phases(["slack"], acts=False)
    known = dict.fromkeys(("filled", "responder", "alarm"), minute(0))

    assert not may_let_go(acting, known, acts=True)
    assert may_let_go(acting, known | {"relief": minute(1)}, acts=True)
    assert not may_let_go(observing, known, acts=False)
    assert may_let_go(observing, known | {"notified: slack": minute(1)}, acts=False)


def late_after(known: dict[str, datetime], now: datetime) -> list[str]:
    phases = expected_phases(["slack"], acts=True)
    return [phase.name for phase in overdue(phases, known, now)]


def test_a_phase_is_late_once_its_patience_has_passed_since_what_it_follows() -> None:
    known = FILLED | {"responder": minute(1), "relief": minute(1)}

    assert late_after(known, minute(5)) == []
    assert late_after(known, minute(6)) == ["notified: slack"]


def test_where_neither_the_responder_nor_an_alarm_comes_both_are_late() -> None:
    late_at = CROSSED + timedelta(minutes=5, seconds=1)

    assert late_after(FILLED, CROSSED + timedelta(minutes=5)) == []
    assert late_after(FILLED, late_at) == ["responder", "alarm"]
    assert late_after(FILLED | {"alarm": minute(0)}, late_at) == ["responder"]


def test_no_alarm_has_to_fire_once_the_responder_has_acted() -> None:
    phases = expected_phases([], acts=True)
    acted = dict.fromkeys(("filled", "responder", "relief", "let go"), CROSSED)

    assert [phase.name for phase in missing(phases, acted)] == ["resolved"]
    assert missing(phases, acted | {"resolved": minute(1)}) == []
    assert late_after(FILLED | {"responder": minute(1)}, minute(5)) == []


def test_where_the_guard_only_observes_usage_stays_high_until_an_alarm_fires() -> None:
    phases = expected_phases([], acts=False)
    observed = FILLED | {"responder": minute(0)}

    assert not may_let_go(phases, observed, acts=False)
    assert [phase.name for phase in overdue(phases, observed, minute(5))] == ["alarm"]
    assert may_let_go(phases, observed | {"alarm": minute(1)}, acts=False)


def test_filling_is_timed_from_the_beginning_and_all_else_from_the_line() -> None:
    known = FILLED | {"alarm": minute(0), "relief": minute(0.5)}

    seconds = seconds_of(known, CROSSED - timedelta(minutes=10))

    assert seconds == {"filled": 600.0, "alarm": 60.0, "relief": 90.0}


# Before it begins


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (Sighting({}), f"there is no alarm {WARNING}"),
        (sighting(MEASURED), f"alarm {MEASURED} is on"),
        (sighting(incident=an_incident()), "is not resolved"),
        (
            sighting(incident=an_incident(an_entry(alarm=an_alarm()), a_recovery(4))),
            "was resolved 6 min ago: .* drill in 9 min",
        ),
    ],
)
def test_a_drill_does_not_begin_where_the_guard_is_at_work(seen: Sighting, said: str) -> None:
    with pytest.raises(UserMistakeError, match=said):
        refuse_unrest(DATABASE, (WARNING, CRITICAL, MEASURED), seen, minute(10))


def test_a_drill_begins_where_all_is_quiet() -> None:
    refuse_unrest(DATABASE, (WARNING, CRITICAL, MEASURED), CALM, minute(10))
    resolved = an_incident(an_entry(alarm=an_alarm()), a_recovery(4))
    refuse_unrest(DATABASE, (WARNING, CRITICAL, MEASURED), sighting(incident=resolved), minute(19))


@pytest.mark.parametrize(
    ("late", "command"),
    [
        ("alarm", "connection-guard doctor orders"),
        ("responder", "connection-guard doctor orders"),
        ("relief", "connection-guard plan orders"),
        ("notified: slack", "connection-guard notify-test --stack Guard"),
        ("resolved", "connection-guard incidents"),
        (None, "connection-guard doctor orders"),
    ],
)
def test_each_phase_has_a_command_that_says_more(late: str | None, command: str) -> None:
    assert where_to_look(late, "orders", "Guard") == command
    assert where_to_look(late, "local", None) is None
