"""What a database's reports come to: one incident, whatever order they come in and however
often.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from itertools import count, permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connection_guard.core.incident.incident import (
    FAILURE,
    MOST_ENTRIES,
    Alarm,
    Cause,
    Entry,
    Incident,
    Progress,
    Reopened,
    SessionGroup,
    Usage,
    absorb,
    followed,
)
from connection_guard.core.policy import Tier
from connection_guard.core.report.kind import Kind
from tests.support.builders import NOW

TARGET = 70
USABLE = 100
_requests = count(1)


def an_entry(
    kind: str = Kind.OBSERVATION, *, minute: float, used: int | None = None, **changes: Any
) -> Entry:
    """A run of that minute after NOW that last saw so many of 100 connections in use; the target is
    70 %.
    """
    usage = None if used is None else Usage(used, USABLE)
    entry = Entry(
        request_id=f"run-{next(_requests)}",
        at=NOW + timedelta(minutes=minute),
        kind=kind,
        headline="orders-prod: what happened",
        alarm=None,
        tier=None,
        attempt=0,
        has_recovered=False,
        is_below_target=None if used is None else used < TARGET,
        escalation=None,
        before=usage,
        after=None,
        terminated=(),
        survived=0,
        would_terminate=(),
        spared=(),
        reopened=(),
        causes=(),
        explanation=None,
        problems=(),
        evidence=None,
    )
    return replace(entry, **changes)


def an_alarm(tier: Tier, state: str = "ALARM") -> Alarm:
    return Alarm(f"orders-prod {tier}", f"arn:{tier}", state, tier)


def in_alarm(tier: Tier, *, minute: float, used: int, **changes: Any) -> Entry:
    """The policy only observes, or nothing may be terminated."""
    changes = {"explanation": "the policy only observes at warning", **changes}
    return an_entry(minute=minute, used=used, alarm=an_alarm(tier), tier=tier, **changes)


def alarm_ok(tier: Tier, *, minute: float, used: int) -> Entry:
    return an_entry(
        minute=minute, used=used, alarm=an_alarm(tier, "OK"), explanation="the alarm's state is OK"
    )


def a_group(
    sessions: int = 12, *, rule: str = "aborted transactions", application: str = "invoices"
) -> SessionGroup:
    return SessionGroup(
        rule, "idle in transaction for 9 min", "shop", application, "idle in transaction", sessions
    )


def an_attempt(
    *, minute: float, before: int, after: int, attempt: int = 1, **changes: Any
) -> Entry:
    """A run that terminated what lies between."""
    changes = {"terminated": (a_group(before - after),), "after": Usage(after, USABLE), **changes}
    below = after < TARGET
    entry = an_entry(
        Kind.REMEDIATION, minute=minute, used=before, attempt=attempt, tier=Tier.CRITICAL, **changes
    )
    return replace(entry, is_below_target=below, has_recovered=below)


def recovered(*, minute: float, used: int = 31) -> Entry:
    """A heartbeat that found usage below the target again."""
    return an_entry(minute=minute, used=used, has_recovered=True)


def locked_out(*, minute: float, **changes: Any) -> Entry:
    return an_entry(Kind.LOCKED_OUT, minute=minute, escalation="no door opened", **changes)


def a_failure(*, minute: float, **changes: Any) -> Entry:
    return an_entry(
        FAILURE, minute=minute, escalation="the responder was killed: look at its memory", **changes
    )


def told(entries: Iterable[Entry], current: Incident | None = None) -> Incident:
    """What comes of the entries, in this order."""
    for entry in entries:
        current = absorb(current, entry, database="orders-prod", new_id=f"by {entry.request_id}")
    assert current is not None
    return current


def sentences(incident: Incident) -> list[str]:
    return [sentence for _, sentence in incident.timeline]


def a_whole_story() -> list[Entry]:
    """75 %, then 90 %, two attempts of which one's pool storms back, recovery, both alarms' end."""
    pool = Reopened("shop", "checkout", 40, 38)
    return [
        in_alarm(Tier.WARNING, minute=0, used=77, would_terminate=(a_group(8),)),
        an_attempt(minute=2, before=97, after=95, alarm=an_alarm(Tier.CRITICAL), reopened=(pool,)),
        an_attempt(minute=3, before=96, after=84, attempt=2),
        alarm_ok(Tier.CRITICAL, minute=5, used=80),
        an_attempt(minute=6, before=80, after=66, attempt=3),
        alarm_ok(Tier.WARNING, minute=9, used=31),
    ]


def test_a_day_in_an_incident_s_life_reads_like_a_story() -> None:
    incident = told(a_whole_story())

    assert sentences(incident) == [
        "warning alarm: 77 of 100 connections in use",
        "nothing terminated, 8 would be: the policy only observes at warning",
        "critical alarm: 97 of 100 connections in use",
        'terminated 2 of shop/invoices by rule "aborted transactions", 95 of 100 now',
        "the pool of shop/checkout reopened 38 of 40: left alone from now on",
        'terminated 12 of shop/invoices by rule "aborted transactions", 84 of 100 now',
        "critical alarm OK: 80 of 100 connections in use",
        (
            'terminated 14 of shop/invoices by rule "aborted transactions", 66 of 100 now: '
            "below the target"
        ),
        "warning alarm OK: 31 of 100 connections in use: over",
    ]
    assert (
        incident.headline
        == "orders-prod: over after 9 min, 31 of 100 connections in use, 28 sessions terminated"
    )
    assert (incident.opened_at, incident.closed_at) == (NOW, NOW + timedelta(minutes=9))
    assert (incident.first, incident.peak, incident.latest) == (
        Usage(77, 100),
        Usage(97, 100),
        Usage(31, 100),
    )
    assert (incident.tier, incident.attempts, incident.alarm) == (
        Tier.CRITICAL,
        3,
        an_alarm(Tier.WARNING, "OK"),
    )
    assert incident.terminated == (a_group(28),)


def test_progress_is_told_at_each_turn() -> None:
    story = a_whole_story()

    progress = [told(story[:entries]).progress for entries in range(1, len(story) + 1)]

    assert progress == [Progress.OPEN] * 4 + [Progress.RECOVERING, Progress.CLOSED]


@pytest.mark.parametrize("last", [Tier.CRITICAL, Tier.WARNING])
@pytest.mark.parametrize("used", [72, 60], ids=["between target and threshold", "below the target"])
def test_it_is_over_when_every_alarm_that_it_saw_is_ok_and_not_before(
    last: Tier, used: int
) -> None:
    first = Tier.WARNING if last is Tier.CRITICAL else Tier.CRITICAL
    alarms = [in_alarm(Tier.CRITICAL, minute=0, used=95), in_alarm(Tier.WARNING, minute=1, used=95)]

    one_is_on = told([*alarms, alarm_ok(first, minute=2, used=used)])
    over = told([alarm_ok(last, minute=4, used=used)], one_is_on)

    assert one_is_on.progress is (Progress.OPEN if used > TARGET else Progress.RECOVERING)
    assert (over.progress, over.closed_at) == (Progress.CLOSED, NOW + timedelta(minutes=4))
    assert sentences(over)[-1] == f"{last} alarm OK: {used} of 100 connections in use: over"


def test_an_ok_that_the_guard_could_not_look_behind_leaves_people_needed_until_usage_is_down() -> (
    None
):
    ok = locked_out(minute=2, alarm=an_alarm(Tier.CRITICAL, "OK"))

    unseen = told([in_alarm(Tier.CRITICAL, minute=0, used=95), ok])

    assert unseen.progress is Progress.ESCALATED
    assert told([an_entry(minute=3, used=80)], unseen).progress is Progress.ESCALATED
    assert told([recovered(minute=3)], unseen).progress is Progress.CLOSED


def test_an_alarm_known_from_a_failure_alone_is_an_alarm() -> None:
    killed = a_failure(minute=0, alarm=replace(an_alarm(Tier.CRITICAL), tier=None))

    assert told([killed, recovered(minute=2)]).progress is Progress.RECOVERING
    assert told([killed, alarm_ok(Tier.CRITICAL, minute=3, used=72)]).progress is Progress.CLOSED


def test_missing_data_are_no_end() -> None:
    blind = an_entry(minute=2, used=95, alarm=an_alarm(Tier.CRITICAL, "INSUFFICIENT_DATA"))

    incident = told([in_alarm(Tier.CRITICAL, minute=0, used=95), blind])

    assert incident.progress is Progress.OPEN
    assert told([alarm_ok(Tier.CRITICAL, minute=4, used=72)], incident).progress is Progress.CLOSED


def changed(entry: Entry, minute: float) -> Entry:
    """As CloudWatch dates it, whenever the run took place."""
    assert entry.alarm is not None
    return replace(entry, alarm=replace(entry.alarm, changed_at=NOW + timedelta(minutes=minute)))


def test_an_ok_that_overtakes_its_alarm_is_its_end() -> None:
    late = changed(an_attempt(minute=4, before=97, after=80, alarm=an_alarm(Tier.CRITICAL)), 0)
    ok = changed(alarm_ok(Tier.CRITICAL, minute=3, used=72), 2)

    for order in permutations([late, ok]):
        incident = told(order)
        assert incident.progress is Progress.CLOSED
        assert incident.terminated

    earlier = [
        in_alarm(Tier.CRITICAL, minute=-20, used=95),
        alarm_ok(Tier.CRITICAL, minute=-10, used=72),
    ]
    assert told([*earlier, ok, late]).progress is Progress.CLOSED, (
        "also where the OK came to the incident before"
    )


def test_an_alarm_that_fires_anew_counts_also_where_its_ok_was_lost_and_a_duplicate_does_not() -> (
    None
):
    first = changed(in_alarm(Tier.CRITICAL, minute=0, used=95), 0)
    again = changed(in_alarm(Tier.CRITICAL, minute=9, used=95), 9)
    open_on = [changed(in_alarm(Tier.WARNING, minute=0, used=95), 0), first]
    ok = changed(alarm_ok(Tier.CRITICAL, minute=5, used=80), 5)
    duplicate = changed(in_alarm(Tier.CRITICAL, minute=3, used=95), 0)

    assert told(open_on).recurrences == 0
    assert told([*open_on, duplicate, ok]).recurrences == 0
    assert told([*open_on, ok, again]).recurrences == 1
    assert told([*open_on, again]).recurrences == 1
    assert told([open_on[0], ok, again]).recurrences == 1, (
        "an OK has had its alarm, though nobody delivered it"
    )


def test_an_alarm_that_is_delivered_again_after_its_end_begins_nothing() -> None:
    first = changed(in_alarm(Tier.CRITICAL, minute=0, used=95), 0)
    over = told([first, changed(alarm_ok(Tier.CRITICAL, minute=5, used=72), 5)])

    again = told([changed(in_alarm(Tier.CRITICAL, minute=7, used=72), 0)], over)

    assert (again.id, again.progress, again.closed_at) == (over.id, Progress.CLOSED, over.closed_at)


def test_an_alarm_that_is_on_is_never_too_late_to_be_heard_of_nor_is_its_end() -> None:
    first = told(
        [in_alarm(Tier.CRITICAL, minute=0, used=95), alarm_ok(Tier.CRITICAL, minute=10, used=72)]
    )
    second = told([locked_out(minute=12)], first)
    late = [in_alarm(Tier.WARNING, minute=8, used=80), alarm_ok(Tier.WARNING, minute=9, used=72)]

    on = told([late[0], recovered(minute=14)], second)
    ended = told([late[1]], on)

    assert (on.id, on.progress) == (second.id, Progress.RECOVERING)
    assert ended.progress is Progress.CLOSED


def test_further_attempts_after_the_alarms_join_and_one_that_needs_people_begins_anew() -> None:
    over = told(
        [in_alarm(Tier.CRITICAL, minute=0, used=95), alarm_ok(Tier.CRITICAL, minute=5, used=72)]
    )
    further = an_attempt(minute=6, before=72, after=66, attempt=3)

    on = told([further], over)
    called = told(
        [an_attempt(minute=6, before=72, after=72, attempt=10, escalation="10 attempts")], over
    )
    engaged_anew = told([an_attempt(minute=6, before=97, after=90, attempt=1)], over)

    assert (on.id, on.progress, on.closed_at) == (over.id, Progress.CLOSED, over.closed_at)
    assert (
        on.headline
        == "orders-prod: over after 5 min, 66 of 100 connections in use, 6 sessions terminated"
    )
    assert (called.id == over.id, called.progress) == (False, Progress.ESCALATED)
    assert told([recovered(minute=9)], called).progress is Progress.CLOSED
    assert engaged_anew.id != over.id


def test_an_incident_whose_end_nobody_saw_is_over_with_the_next() -> None:
    quiet = told(
        [in_alarm(Tier.CRITICAL, minute=0, used=95, escalation="refused"), recovered(minute=3)]
    )
    later = told([in_alarm(Tier.CRITICAL, minute=90, used=95)], quiet)

    over = followed(quiet, later.opened_at)

    assert (later.id == quiet.id, later.previous) == (False, quiet.id)
    assert (over.progress, over.closed_at) == (Progress.CLOSED, NOW + timedelta(minutes=90))
    assert over.headline == (
        "orders-prod: another incident began, nothing showed the end of this one, 31 of 100 "
        "connections in use when last looked at"
    )
    assert sentences(over)[-1] == "another incident began, nothing showed the end of this one"
    closed = told(
        [in_alarm(Tier.CRITICAL, minute=0, used=95), alarm_ok(Tier.CRITICAL, minute=5, used=72)]
    )
    assert followed(closed, later.opened_at) is closed


def test_of_a_run_that_was_killed_it_is_not_known_whom_it_terminated() -> None:
    alarm, killed = (
        in_alarm(Tier.CRITICAL, minute=0, used=97),
        a_failure(minute=1, has_unknown_outcomes=True),
    )
    ok = alarm_ok(Tier.CRITICAL, minute=5, used=40)

    assert told([alarm, killed, ok]).headline == (
        "orders-prod: over after 5 min, 40 of 100 connections in use; whether sessions were "
        "terminated is not known"
    )
    assert "whether sessions were terminated is not known" in sentences(told([alarm, killed, ok]))
    attempt = an_attempt(minute=2, before=97, after=90, has_unknown_outcomes=True)
    assert told([alarm, killed, attempt, ok]).headline.endswith(
        "7 sessions terminated, perhaps more"
    )
    assert (
        "what became of others is not known, 90 of 100 now" in sentences(told([alarm, attempt]))[-1]
    )


def test_without_an_alarm_recovery_itself_closes() -> None:
    incident = told([an_attempt(minute=0, before=97, after=90), recovered(minute=1)])

    assert incident.progress is Progress.CLOSED
    assert sentences(incident)[0] == "no alarm, but 97 of 100 connections in use"
    assert sentences(incident)[-1] == "31 of 100 connections in use: below the target again: over"


def test_an_alarm_that_is_later_than_the_heartbeats_belongs_to_what_they_mended() -> None:
    incident = told(
        [an_attempt(minute=0, before=97, after=60), in_alarm(Tier.CRITICAL, minute=2, used=58)]
    )

    assert (len(incident.entries), incident.progress) == (2, Progress.RECOVERING)
    assert told(
        [alarm_ok(Tier.CRITICAL, minute=5, used=40)], incident
    ).closed_at == NOW + timedelta(minutes=5)


def test_with_its_alarm_on_a_recovery_waits_for_the_alarm() -> None:
    incident = told([in_alarm(Tier.CRITICAL, minute=0, used=95), recovered(minute=3)])

    assert incident.progress is Progress.RECOVERING
    assert incident.headline == (
        "orders-prod: below the target again, 31 of 100 connections in use, the alarm has yet to "
        "end"
    )


def test_with_its_alarm_over_before_usage_was_down_a_recovery_closes() -> None:
    over_early = alarm_ok(Tier.CRITICAL, minute=2, used=80)

    assert told(
        [in_alarm(Tier.CRITICAL, minute=0, used=95), over_early, recovered(minute=3)]
    ).progress is (Progress.CLOSED)


@pytest.mark.parametrize(
    "trouble",
    [
        locked_out(minute=3),
        a_failure(minute=3),
        an_entry(Kind.PREFLIGHT_FAILED, minute=3, used=40, escalation="run: GRANT a TO b;"),
        an_attempt(
            minute=3,
            before=97,
            after=96,
            attempt=10,
            escalation="10 attempts, and 96 % are still in use",
        ),
        an_entry(minute=3, used=97, escalation="refused: 80 % of all sessions"),
    ],
    ids=lambda entry: entry.kind,
)
def test_people_are_needed_until_usage_is_down(trouble: Entry) -> None:
    alarm = in_alarm(Tier.CRITICAL, minute=0, used=97)

    incident = told([alarm, trouble, an_entry(minute=4, used=97)])

    assert incident.progress is Progress.ESCALATED
    assert incident.headline == f"orders-prod: people are needed: {trouble.escalation}"
    assert any(
        sentence.endswith(f"people are needed: {trouble.escalation}")
        for sentence in sentences(incident)
    )
    assert sentences(incident)[-2:] == ["still 97 of 100 connections in use", "nothing terminated"]
    assert incident.escalations == (trouble.escalation,)
    below = told([recovered(minute=5)], incident)
    assert (below.progress, below.has_called_off) == (Progress.RECOVERING, True)
    assert below.headline.startswith(
        "orders-prod: people are no longer needed: below the target again, "
    )
    assert told([alarm_ok(Tier.CRITICAL, minute=6, used=31)], incident).progress is Progress.CLOSED


def test_what_is_the_same_again_with_every_heartbeat_is_one_line_with_a_count() -> None:
    incident = told(
        [in_alarm(Tier.CRITICAL, minute=0, used=97), *(locked_out(minute=n) for n in range(1, 38))]
    )

    assert sentences(incident)[2:] == [
        "locked out, people are needed: no door opened (again and again: 37 times until 03:37 UTC)"
    ]


def test_a_lone_end_is_not_told_but_its_late_beginning_finds_it() -> None:
    end = alarm_ok(Tier.CRITICAL, minute=5, used=31)

    alone = told([end])
    whole = told([in_alarm(Tier.CRITICAL, minute=0, used=95)], alone)

    assert not alone.matters
    assert whole.matters
    assert (whole.opened_at, whole.progress) == (NOW, Progress.CLOSED)


def test_an_end_of_something_earlier_is_no_part_of_the_story() -> None:
    incident = told(
        [alarm_ok(Tier.CRITICAL, minute=0, used=31), in_alarm(Tier.CRITICAL, minute=10, used=95)]
    )

    assert (incident.opened_at, incident.progress) == (NOW + timedelta(minutes=10), Progress.OPEN)
    assert (incident.first, len(incident.timeline)) == (Usage(95, 100), 2)


def test_a_lone_heartbeat_is_nothing_and_changes_nothing() -> None:
    heartbeat = an_entry(Kind.HEARTBEAT, minute=1, used=95)
    incident = told([in_alarm(Tier.WARNING, minute=0, used=77)])

    assert absorb(None, heartbeat, database="orders-prod", new_id="new") is None
    assert absorb(incident, heartbeat, database="orders-prod", new_id="new") is incident


def test_what_matters_after_the_closing_opens_another_that_late_entries_do_not_join() -> None:
    closed = told(
        [in_alarm(Tier.CRITICAL, minute=0, used=95), alarm_ok(Tier.CRITICAL, minute=5, used=31)]
    )

    another = told([in_alarm(Tier.CRITICAL, minute=6, used=95)], closed)

    assert (another.id == closed.id, another.opened_at) == (False, NOW + timedelta(minutes=6))
    assert another.version > closed.version
    assert told([locked_out(minute=3), closed.entries[-1]], another) is another


@pytest.mark.parametrize(("minutes", "joins"), [(4, True), (59, True), (61, False)])
def test_a_further_alarm_s_ok_joins_for_an_hour(minutes: int, joins: bool) -> None:
    closed = told(
        [in_alarm(Tier.CRITICAL, minute=0, used=95), alarm_ok(Tier.CRITICAL, minute=5, used=60)]
    )

    later = told([alarm_ok(Tier.WARNING, minute=5 + minutes, used=31)], closed)

    assert (later.id == closed.id) is joins
    assert later.matters is joins
    assert not joins or later.closed_at == closed.closed_at


def test_a_late_entry_joins_what_is_closed_and_it_stays_closed() -> None:
    closed = told(
        [in_alarm(Tier.CRITICAL, minute=0, used=95), alarm_ok(Tier.CRITICAL, minute=5, used=31)]
    )

    incident = told([an_attempt(minute=2, before=97, after=96, escalation="10 attempts")], closed)

    assert (incident.id, incident.closed_at, incident.attempts) == (closed.id, closed.closed_at, 1)


@pytest.mark.parametrize(
    ("entries", "hours", "joins"),
    [
        ([in_alarm(Tier.WARNING, minute=0, used=77)], 20, True),
        ([in_alarm(Tier.WARNING, minute=0, used=77)], 25, False),
        ([in_alarm(Tier.WARNING, minute=0, used=77), recovered(minute=1)], 0.9, True),
        ([in_alarm(Tier.WARNING, minute=0, used=77), recovered(minute=1)], 1.1, False),
        ([locked_out(minute=0)], 0.9, True),
        ([a_failure(minute=0)], 1.1, False),
        ([an_entry(minute=0, used=97, escalation="refused")], 0.9, True),
        ([an_entry(minute=0, used=97, escalation="refused")], 1.1, False),
    ],
    ids=[
        "open",
        "for a day",
        "recovering",
        "recovered long ago",
        "locked out",
        "a failure long ago",
        "escalated without an alarm",
        "escalated without an alarm long ago",
    ],
)
def test_what_has_become_quiet_is_left_as_it_was(
    entries: list[Entry], hours: float, joins: bool
) -> None:
    quiet = told(entries)

    later = told([in_alarm(Tier.CRITICAL, minute=2 + 60 * hours, used=95)], quiet)

    assert (later.id == quiet.id) is joins


def test_a_recovery_ends_what_people_were_told_of_however_much_later() -> None:
    escalated = told([an_entry(minute=0, used=97, escalation="refused")])

    over = told([recovered(minute=3000)], escalated)

    assert (over.id, over.opened_at, over.progress) == (escalated.id, NOW, Progress.CLOSED)


def shape(incident: Incident) -> Incident:
    """But for what depends on which delivery came first."""
    return replace(incident, id="", version=0)


def test_every_order_of_a_story_comes_to_the_same() -> None:
    story = a_whole_story()

    assert {shape(told(order)) for order in permutations(story)} == {shape(told(story))}


_MIDDLES = st.lists(
    st.sampled_from(
        [
            lambda minute: in_alarm(Tier.WARNING, minute=minute, used=77),
            lambda minute: in_alarm(Tier.CRITICAL, minute=minute, used=60),
            lambda minute: an_attempt(minute=minute, before=97, after=90),
            lambda minute: an_attempt(minute=minute, before=97, after=60),
            lambda minute: an_entry(minute=minute, used=97, escalation="hourly cap"),
            lambda minute: alarm_ok(Tier.CRITICAL, minute=minute, used=80),
            lambda minute: recovered(minute=minute),
            lambda minute: locked_out(minute=minute),
            lambda minute: a_failure(minute=minute, alarm=an_alarm(Tier.CRITICAL)),
        ]
    ),
    max_size=8,
)
_ENDS = st.lists(
    st.sampled_from(
        [
            lambda minute: alarm_ok(Tier.CRITICAL, minute=minute, used=60),
            lambda minute: alarm_ok(Tier.WARNING, minute=minute, used=31),
            lambda minute: recovered(minute=minute),
        ]
    ),
    max_size=3,
)


@settings(max_examples=300)
@given(st.data(), _MIDDLES, _ENDS)
def test_any_order_and_any_repetition_comes_to_the_same(
    data: st.DataObject, middles: list[Any], ends: list[Any]
) -> None:
    """While the warning alarm, which began it, is on: where it ends depends on what is known by
    then.
    """
    middles = [lambda minute: in_alarm(Tier.WARNING, minute=minute, used=77), *middles]
    story = [make(minute) for minute, make in enumerate([*middles, *ends])]
    repeated = story + data.draw(st.lists(st.sampled_from(story), max_size=5))

    shuffled = told([story[0], *data.draw(st.permutations(repeated))])

    assert shape(shuffled) == shape(told(story))
    assert shuffled.version == len(story)
    assert shuffled.timeline == told(story).timeline


def test_a_repeated_delivery_is_the_same_incident_itself() -> None:
    incident = told(a_whole_story()[:3])

    assert told(incident.entries, incident) is incident


def test_a_weekend_of_lock_outs_stays_small_and_is_counted_in_full_and_once() -> None:
    start = in_alarm(Tier.CRITICAL, minute=0, used=97)
    attempt = an_attempt(minute=1, before=97, after=90)
    weekend = [locked_out(minute=minute) for minute in range(2, 2882)]

    incident = told([start, attempt, *weekend])

    assert len(incident.entries) == MOST_ENTRIES
    assert incident.entries[:2] == (start, attempt)
    assert sentences(incident)[-1].endswith("(again and again: 2880 times until 03:01 UTC)")
    assert told(weekend, incident) is incident


def test_an_alarm_that_flaps_for_hours_stays_small_and_loses_no_count() -> None:
    def turn(minute: int) -> list[Entry]:
        return [
            an_attempt(minute=minute, before=97, after=88, alarm=an_alarm(Tier.CRITICAL)),
            alarm_ok(Tier.CRITICAL, minute=minute + 1, used=85),
        ]

    warning = in_alarm(Tier.WARNING, minute=0, used=80)
    incident = told([warning, *(entry for minute in range(0, 400, 2) for entry in turn(minute))])

    assert len(incident.entries) == MOST_ENTRIES
    assert incident.recurrences >= 199
    assert (incident.attempts, incident.terminated) == (200, (a_group(1800),))
    assert (incident.opened_at, incident.progress) == (NOW, Progress.OPEN)


def test_told_runs_are_forgotten_with_the_entries_that_they_were() -> None:
    incident = told(locked_out(minute=minute) for minute in range(MOST_ENTRIES))
    incident = replace(incident, told=tuple(entry.request_id for entry in incident.entries))

    later = told([locked_out(minute=MOST_ENTRIES)], incident)

    assert set(later.told) == {entry.request_id for entry in later.entries[:-1]}


def test_sums_and_the_latest_of_what_the_runs_said() -> None:
    pool = Reopened("shop", "checkout", 40, 38)
    checkout = a_group(20, rule="stale idle", application="checkout")
    incident = told(
        [
            an_attempt(minute=0, before=97, after=95, reopened=(pool,), evidence="first"),
            an_attempt(
                minute=1,
                before=97,
                after=95,
                terminated=(a_group(3), checkout),
                spared=(a_group(7),),
                reopened=(pool,),
                evidence="second",
            ),
            an_entry(minute=2, used=93),
        ]
    )

    assert incident.terminated == (checkout, a_group(5))
    assert incident.spared == (a_group(7),)
    assert incident.reopened == (Reopened("shop", "checkout", 80, 76),)
    assert incident.evidence == "second"
    assert incident.headline == "orders-prod: 93 of 100 connections in use, 25 sessions terminated"


def test_the_cause_is_that_of_the_worst_moment_and_changes_only_for_what_terminating_proved() -> (
    None
):
    leak, storm = (
        Cause("leak", "of invoices", "end them"),
        Cause("connection storm", "of checkout", "a pool"),
    )
    reopens = Cause("pool reopens", "checkout reopened 38", "a smaller pool")
    start = in_alarm(Tier.WARNING, minute=0, used=77, causes=(storm,))
    worst = an_attempt(minute=2, before=97, after=80, causes=(leak,))
    calm = replace(alarm_ok(Tier.WARNING, minute=5, used=40), causes=(storm,))
    as_bad = an_attempt(minute=3, before=97, after=90, attempt=2, causes=(storm,))
    proof = an_attempt(
        minute=4,
        before=90,
        after=88,
        causes=(reopens,),
        reopened=(Reopened("shop", "checkout", 40, 38),),
    )

    assert told([start]).causes == (storm,)
    assert told([start, worst, calm]).causes == (leak,)
    assert told([start, worst, as_bad, calm]).causes == (leak,)
    assert told([start, worst, as_bad, proof, calm]).causes == (reopens,)


def test_the_cause_outlives_the_entries_that_an_incident_cannot_keep() -> None:
    leak = Cause("leak", "of invoices", "end them")
    alarm = in_alarm(Tier.CRITICAL, minute=0, used=90)
    worst = an_attempt(minute=1, before=99, after=98, causes=(leak,))
    others = [an_attempt(minute=minute, before=95, after=94, causes=()) for minute in range(2, 100)]

    incident = told([alarm, worst, *others])

    assert (len(incident.entries), incident.causes) == (MOST_ENTRIES, (leak,))
