"""However deliveries are ordered, and however often each is repeated, the database's latest
incident ends in the same state.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from connection_guard.core.incident.entry import Alarm, Entry
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.progress import Progress
from connection_guard.core.policy import Tier
from tests.support.builders import NOW
from tests.support.reporter.stories import (
    a_failure,
    a_guard_alarm,
    absorbed,
    alarm_ok,
    an_alarm,
    an_attempt,
    an_entry,
    changed,
    in_alarm,
    locked_out,
    recovered,
)

# Everything takes place within less than an hour: what is silent for longer is left as it was.
# Between the two bursts there is time for an incident to end and another to begin.
TENTHS_OF_A_MINUTE = [*range(100), *range(300, 450)]

Run = Callable[[float], Entry]

_ANSWERS: list[Run] = [
    lambda minute: an_entry(minute=minute, used=95),
    lambda minute: an_entry(minute=minute, used=72),
    lambda minute: an_entry(minute=minute, used=60),
    lambda minute: an_attempt(minute=minute, before=97, after=72),
    lambda minute: an_attempt(minute=minute, before=97, after=60),
    lambda minute: an_entry(minute=minute, used=97, escalation="refused"),
    lambda minute: locked_out(minute=minute),
    lambda minute: a_failure(minute=minute),
]
_HEARTBEATS: list[Run] = [
    lambda minute: an_attempt(minute=minute, before=80, after=72, attempt=2),
    lambda minute: an_attempt(minute=minute, before=97, after=90),
    lambda minute: an_attempt(minute=minute, before=80, after=80, attempt=10, escalation="10"),
    lambda minute: locked_out(minute=minute),
    lambda minute: a_failure(minute=minute),
    lambda minute: recovered(minute=minute),
]


@st.composite
def stories(draw: st.DrawFn) -> list[Entry]:
    """Two usage alarms that fire and clear, perhaps served late or twice, heartbeats, and alarms
    about the guard itself, all at distinct times.
    """
    times = iter(draw(st.permutations(TENTHS_OF_A_MINUTE)))
    entries: list[Entry] = []
    for tier in (Tier.WARNING, Tier.CRITICAL):
        moments = sorted(next(times) for _ in range(draw(st.integers(0, 4))))
        for number, moment in enumerate(moments):
            state = "OK" if number % 2 else "ALARM"
            alarm = Alarm(f"orders-prod {tier}", f"arn:{tier}", state, tier, NOW + _tenths(moment))
            for _ in range(draw(st.integers(1, 2))):
                run = draw(st.sampled_from(_ANSWERS))
                # Lambda gives up minutes after the alarm.
                late = draw(st.sampled_from([0.01, 0.02, 3.03, 6.04]))
                entries.append(replace(run(moment / 10 + late), alarm=alarm, tier=tier))
    for name in draw(st.lists(st.sampled_from(["orders-prod-unguarded", "limit"]), unique=True)):
        moments = sorted(next(times) for _ in range(draw(st.integers(0, 3))))
        for number, moment in enumerate(moments):
            state = "OK" if number % 2 else "ALARM"
            entries.append(a_guard_alarm(name, state, minute=moment / 10))
    entries += [
        draw(st.sampled_from(_HEARTBEATS))(next(times) / 10 + 0.05)
        for _ in range(draw(st.integers(0, 4)))
    ]
    return sorted(entries, key=lambda entry: entry.at)


def _tenths(moment: int) -> timedelta:
    return timedelta(minutes=moment / 10)


@settings(max_examples=600, deadline=None)
@given(stories().filter(bool), st.data())
def test_the_latest_incident_ends_the_same_in_any_order(
    story: list[Entry], data: st.DataObject
) -> None:
    repeated = story + data.draw(st.lists(st.sampled_from(story), max_size=4))

    in_order = absorbed(story)
    shuffled = absorbed(data.draw(st.permutations(repeated)))

    assert state_of(shuffled) == state_of(in_order)


def test_an_attempt_that_answered_an_ok_counts_once_where_its_alarm_comes_later() -> None:
    """It joined the incident before, and belongs to the one that the alarm opens."""
    story = [
        changed(in_alarm(Tier.WARNING, minute=1, used=95), 1),
        changed(alarm_ok(Tier.WARNING, minute=5, used=72), 5),
        changed(in_alarm(Tier.WARNING, minute=40, used=95), 40),
        changed(an_attempt(minute=41, before=97, after=72, alarm=an_alarm(Tier.WARNING, "OK")), 41),
        changed(locked_out(minute=43, alarm=an_alarm(Tier.WARNING)), 40),
    ]
    ends = {state_of(absorbed(order)) for order in permutations(story)}

    assert ends == {(Progress.CLOSED, None)}


def test_an_alarm_that_was_on_before_another_incident_began_is_still_on() -> None:
    """Its delivery comes last: without it, what it began seemed to have ended."""
    fired = changed(in_alarm(Tier.WARNING, minute=1, used=80), 1)
    story = [
        changed(in_alarm(Tier.CRITICAL, minute=0, used=97, escalation="refused"), 0),
        fired,
        changed(alarm_ok(Tier.CRITICAL, minute=5, used=80), 5),
        changed(in_alarm(Tier.CRITICAL, minute=25, used=95), 25),
    ]
    without = absorbed(each for each in story if each is not fired)

    late = absorbed([fired], without)

    assert (without.progress, late.id) == (Progress.OPEN, without.id)
    assert state_of(late) == state_of(absorbed(story)) == (Progress.ESCALATED, "refused")


def test_an_ok_that_overtakes_its_alarm_into_the_next_incident_ends_it() -> None:
    """The alarm comes when its OK has been taken for that of an alarm that fired earlier."""
    before = [
        changed(in_alarm(Tier.CRITICAL, minute=0, used=97), 0),
        changed(alarm_ok(Tier.CRITICAL, minute=5, used=72), 5),
    ]
    fails = an_entry(minute=25, used=97, escalation="refused")
    ok = changed(alarm_ok(Tier.WARNING, minute=30, used=72), 30)
    alarm = changed(in_alarm(Tier.WARNING, minute=1, used=80), 1)

    overtaken = absorbed([*before, fails, ok])

    assert overtaken.progress is Progress.ESCALATED, "nothing shows that its alarm was on"
    assert absorbed([alarm], overtaken).progress is Progress.CLOSED


def test_a_failure_that_lambda_reports_after_its_alarm_has_cleared_requires_no_action() -> None:
    earlier = [
        changed(in_alarm(Tier.CRITICAL, minute=-40, used=97), -40),
        changed(alarm_ok(Tier.CRITICAL, minute=-30, used=72), -30),
    ]
    ok = changed(alarm_ok(Tier.CRITICAL, minute=2, used=72), 2)
    gave_up = changed(a_failure(minute=6, alarm=an_alarm(Tier.CRITICAL)), 0)

    for story in ([ok, gave_up], [gave_up, ok], [*earlier, ok, gave_up], [*earlier, gave_up, ok]):
        assert absorbed(story).progress is Progress.CLOSED
    still_on = changed(in_alarm(Tier.WARNING, minute=1, used=80), 1)
    assert absorbed([still_on, ok, gave_up]).progress is Progress.ESCALATED


def state_of(incident: Incident) -> tuple[Progress, str | None]:
    if not incident.matters:
        return Progress.CLOSED, None
    return incident.progress, incident.action_required
