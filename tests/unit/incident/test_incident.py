"""What an incident says over all of its entries: sums, the latest, and the causes."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from connection_guard.core.incident.entry import (
    DiagnosedCause,
    Reopened,
    Usage,
)
from connection_guard.core.incident.incident_size import MOST_ENTRIES
from connection_guard.core.incident.progress import Progress
from connection_guard.core.notification.channel.news import state_name
from connection_guard.core.notification.status import headline_of
from connection_guard.core.notification.timeline import timeline_of
from connection_guard.core.policy import Tier
from tests.support.builders import NOW
from tests.support.reporter.stories import (
    a_group,
    absorbed,
    alarm_ok,
    an_attempt,
    an_entry,
    changed,
    in_alarm,
    locked_out,
    recovered,
)


def test_an_alarm_that_fires_again_counts_also_where_its_ok_was_lost_and_a_duplicate_does_not() -> (
    None
):
    first = changed(in_alarm(Tier.CRITICAL, minute=0, used=95), 0)
    again = changed(in_alarm(Tier.CRITICAL, minute=9, used=95), 9)
    open_on = [changed(in_alarm(Tier.WARNING, minute=0, used=95), 0), first]
    ok = changed(alarm_ok(Tier.CRITICAL, minute=5, used=80), 5)
    duplicate = changed(in_alarm(Tier.CRITICAL, minute=3, used=95), 0)

    assert absorbed(open_on).beginnings == 1
    assert absorbed([*open_on, duplicate, ok]).beginnings == 1
    assert absorbed([*open_on, ok, again]).beginnings == 2
    assert absorbed([*open_on, again]).beginnings == 2
    assert absorbed([open_on[0], ok, again]).beginnings == 2, (
        "an OK has had its alarm, though nobody delivered it"
    )


def test_it_has_begun_once_more_with_each_reopening_and_each_alarm_that_fires_again() -> None:
    both = [
        in_alarm(Tier.WARNING, minute=0, used=80),
        in_alarm(Tier.CRITICAL, minute=1, used=95),
        alarm_ok(Tier.CRITICAL, minute=3, used=72),
    ]
    cleared = [*both, alarm_ok(Tier.WARNING, minute=5, used=72)]
    again = [*cleared, in_alarm(Tier.WARNING, minute=10, used=80)]
    locked = [*cleared, locked_out(minute=10), recovered(minute=11), locked_out(minute=15)]

    assert [absorbed(story).beginnings for story in (both, cleared, again)] == [1, 1, 2]
    assert absorbed([*again, in_alarm(Tier.CRITICAL, minute=11, used=95)]).beginnings == 2, (
        "a further alarm of the same beginning"
    )
    assert absorbed([*both, in_alarm(Tier.CRITICAL, minute=4, used=95)]).beginnings == 2
    assert absorbed([*both[:2], in_alarm(Tier.CRITICAL, minute=4, used=95)]).beginnings == 2, (
        "its OK was lost"
    )
    assert absorbed(locked).beginnings == 3


def test_after_30_turns_each_further_one_is_still_counted_and_news() -> None:
    """Entries are merged by then."""
    incident = absorbed([in_alarm(Tier.CRITICAL, minute=0, used=95, escalation="refused")])
    news, progress = [state_name(incident)], [incident.progress]
    for turn in range(1, 80):
        for entry in (
            alarm_ok(Tier.CRITICAL, minute=4 * turn - 2, used=72),
            in_alarm(Tier.CRITICAL, minute=4 * turn, used=95, escalation="refused"),
        ):
            incident = absorbed([entry], incident)
            news.append(state_name(incident))
            progress.append(incident.progress)
        assert incident.beginnings == turn + 1

    assert progress == ([Progress.ESCALATED, Progress.CLOSED] * 80)[:-1]
    assert all(later != earlier for earlier, later in pairwise(news))
    assert len(incident.entries) == MOST_ENTRIES
    assert incident.opened_at == NOW


def test_no_reason_is_lost_with_the_entries_that_an_incident_cannot_keep() -> None:
    escalations = ["a login failed", *("attempts used" for _ in range(100))]
    incident = absorbed(
        [
            in_alarm(Tier.CRITICAL, minute=0, used=97),
            *(
                an_attempt(minute=minute, before=97, after=95, escalation=reason)
                for minute, reason in enumerate(escalations, start=1)
            ),
        ]
    )

    assert len(incident.entries) <= MOST_ENTRIES
    assert incident.reasons == set(escalations)


def test_a_lone_end_does_not_matter_but_its_late_beginning_finds_it() -> None:
    end = alarm_ok(Tier.CRITICAL, minute=5, used=31)

    end_only = absorbed([end])
    whole = absorbed([in_alarm(Tier.CRITICAL, minute=0, used=95)], end_only)

    assert not end_only.matters
    assert whole.matters
    assert (whole.opened_at, whole.progress) == (NOW, Progress.CLOSED)


def test_an_end_of_something_earlier_is_not_part_of_the_story() -> None:
    incident = absorbed(
        [alarm_ok(Tier.CRITICAL, minute=0, used=31), in_alarm(Tier.CRITICAL, minute=10, used=95)]
    )

    assert (incident.opened_at, incident.progress) == (NOW + timedelta(minutes=10), Progress.OPEN)
    assert (incident.first, len(timeline_of(incident))) == (Usage(95, 100), 2)


def test_sums_and_the_latest_of_what_the_runs_reported() -> None:
    pool = Reopened("shop", "checkout", 40, 38)
    checkout = a_group(20, rule="stale idle", application="checkout")
    incident = absorbed(
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
    assert (
        headline_of(incident)
        == "orders-prod is running out of connections: 93 of 100 in use. Connection Guard freed "
        "25, 25 came back at once. No action needed yet."
    )


def test_the_cause_is_that_of_the_worst_moment_and_changes_only_for_what_terminating_proved() -> (
    None
):
    leak, storm = (
        DiagnosedCause("leak", "of invoices", "end them"),
        DiagnosedCause("connection storm", "of checkout", "a pool"),
    )
    reopens = DiagnosedCause("pool reopens", "checkout reopened 38", "a smaller pool")
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

    assert absorbed([start]).causes == (storm,)
    assert absorbed([start, worst, calm]).causes == (leak,)
    assert absorbed([start, worst, as_bad, calm]).causes == (leak,)
    assert absorbed([start, worst, as_bad, proof, calm]).causes == (reopens,)


def test_the_cause_outlives_the_entries_that_an_incident_cannot_keep() -> None:
    leak = DiagnosedCause("leak", "of invoices", "end them")
    alarm = in_alarm(Tier.CRITICAL, minute=0, used=90)
    worst = an_attempt(minute=1, before=99, after=98, causes=(leak,))
    others = [an_attempt(minute=minute, before=95, after=94, causes=()) for minute in range(2, 100)]

    incident = absorbed([alarm, worst, *others])

    assert (len(incident.entries), incident.causes) == (MOST_ENTRIES, (leak,))


def test_what_ended_and_what_is_not_known_outlives_the_entries_that_an_incident_cannot_keep() -> (
    None
):
    alarm = in_alarm(Tier.CRITICAL, minute=0, used=90)
    killed = an_attempt(minute=1, before=95, after=94, has_unknown_outcomes=True)
    others = [an_attempt(minute=minute, before=95, after=94, survived=2) for minute in range(2, 99)]

    incident = absorbed([alarm, killed, *others])

    assert len(incident.entries) == MOST_ENTRIES
    assert (incident.has_unknown_outcomes, incident.survived) == (True, 2 * len(others))
