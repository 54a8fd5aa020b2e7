"""People are notified of what they do not know yet, and of nothing twice."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connection_guard.core.incident.entry import Entry
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.lifecycle import absorb
from connection_guard.core.incident.progress import Progress
from connection_guard.core.notification.channel.news import (
    SETTLED_AFTER,
    news_of,
    state_name,
    thread_entries,
)
from connection_guard.core.notification.channel.notified import (
    MOST_NEWS,
    Notified,
    notified_body,
    notified_of,
)
from connection_guard.core.policy import Tier
from tests.support.builders import NOW
from tests.support.reporter import stories
from tests.support.reporter.incident_stories import (
    HALF,
    MINUTE,
    START,
    a_recovery,
    an_alarm,
    an_entry,
    an_incident,
)

LATER = START + timedelta(hours=1)


def is_news(before: Incident | None, after: Incident) -> bool:
    """Return whether a message is due by now where people know all up to `before`."""
    known = Notified()
    if before is not None and before.matters:
        known = known.with_news(state_name(before), START)
    news = news_of(after, known, LATER)
    return news is not None and news.due_at <= LATER


OPEN = an_entry()


WORSE = an_entry(1)


NO_ALARM = replace(OPEN, alarm=None)


OVER = replace(a_recovery(5), alarm=None)


BELOW = an_entry(2, after=HALF, is_below_target=True)


CALLED = an_entry(1, escalation="refused")


FIRED_TWICE = [
    an_entry(minute, "observation", alarm=an_alarm(Tier.WARNING, state))
    for minute, state in ((2, "ALARM"), (3, "OK"), (4, "ALARM"))
]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, an_incident(OPEN), True),
        (an_incident(OPEN), an_incident(OPEN), False),
        (an_incident(OPEN), an_incident(OPEN, WORSE), False),
        (an_incident(OPEN), an_incident(OPEN, BELOW), False),
        (an_incident(OPEN, BELOW), an_incident(OPEN, BELOW, a_recovery(5)), True),
        (an_incident(OPEN, a_recovery(5)), an_incident(OPEN, a_recovery(5), a_recovery(6)), False),
        (an_incident(OPEN), an_incident(OPEN, replace(WORSE, escalation="refused")), True),
        (
            an_incident(replace(OPEN, escalation="refused")),
            an_incident(
                replace(OPEN, escalation="refused"),
                replace(WORSE, escalation="the database is lost"),
            ),
            True,
        ),
        (
            an_incident(replace(OPEN, escalation="still at 100 %", escalation_code="attempts")),
            an_incident(
                replace(OPEN, escalation="still at 100 %", escalation_code="attempts"),
                replace(WORSE, escalation="still at 99 %", escalation_code="attempts"),
            ),
            False,
        ),
        (an_incident(NO_ALARM, OVER), an_incident(NO_ALARM, OVER, an_entry(6)), True),
        (an_incident(OPEN, BELOW), an_incident(OPEN, BELOW, WORSE), False),
        (an_incident(OPEN, *FIRED_TWICE[:2]), an_incident(OPEN, *FIRED_TWICE), True),
        (
            an_incident(OPEN, CALLED, *FIRED_TWICE[:2]),
            an_incident(OPEN, CALLED, *FIRED_TWICE),
            True,
        ),
        (
            an_incident(OPEN, a_recovery(5)),
            an_incident(OPEN, a_recovery(5), an_entry(6, alarm=an_alarm())),
            True,
        ),
        (None, an_incident(a_recovery(1)), False),
        (an_incident(a_recovery(1)), an_incident(OPEN, a_recovery(1)), True),
        (
            an_incident(OPEN, a_recovery(5)),
            an_incident(OPEN, an_entry(1, escalation="refused"), a_recovery(5)),
            False,
        ),
    ],
    ids=[
        "opened",
        "the same again",
        "another attempt",
        "recovering",
        "closed",
        "a second OK",
        "escalated",
        "a further reason",
        "the same reason with other figures",
        "begun again after it was over",
        "above the target again, where nobody was notified that it was below",
        "an alarm that fires anew while another is on",
        "an alarm that fires anew while action is required",
        "an alarm that fires anew after the end",
        "an end without a beginning",
        "whose beginning comes late",
        "what comes late of a closed incident",
    ],
)
def test_a_message_is_sent_where_something_changed_for_people(
    before: Incident | None, after: Incident, expected: bool
) -> None:
    assert is_news(before, after) is expected


def test_a_warning_that_becomes_critical_is_news_and_the_other_way_round_is_not() -> None:
    warning = an_entry(tier=Tier.WARNING, alarm=an_alarm(Tier.WARNING))
    none_known = an_entry(tier=None, alarm=None)

    assert is_news(an_incident(warning), an_incident(warning, WORSE))
    assert not is_news(
        an_incident(none_known), an_incident(none_known, replace(warning, request_id="later"))
    )
    assert not is_news(
        an_incident(OPEN),
        an_incident(OPEN, replace(warning, at=START + MINUTE, request_id="later")),
    )


def test_people_learn_when_action_is_no_longer_required_and_when_it_is_again() -> None:
    escalated = an_incident(replace(OPEN, escalation="refused"))
    recovering = an_incident(*escalated.entries, BELOW)
    rising = an_incident(*recovering.entries, an_entry(3))
    again = an_incident(*recovering.entries, an_entry(3, escalation="refused"))

    assert recovering.progress is Progress.RECOVERING
    assert is_news(escalated, recovering)
    assert is_news(recovering, rising)
    assert is_news(recovering, again)
    assert is_news(recovering, an_incident(*recovering.entries, a_recovery(5)))


def test_people_are_notified_once_of_an_hour_of_the_same_trouble() -> None:
    entries = [
        an_entry(
            n, "locked_out", escalation=f"no door opened in {n} s", escalation_code="locked out"
        )
        for n in range(60)
    ]

    names = {state_name(an_incident(*entries[: n + 1])) for n in range(60)}

    assert len(names) == 1


def test_an_older_versions_text_with_other_figures_is_the_same_reason() -> None:
    entries = [
        an_entry(n, "observation", escalation=f"{97 - n} of 97 in use, the pools reopen")
        for n in range(3)
    ]
    names = {state_name(an_incident(*entries[: n + 1])) for n in range(3)}

    assert len(names) == 1
    assert thread_entries(an_incident(*entries)) == (entries[0],)


class Readers:
    """What people get through a channel that cannot edit: it is offered each change at once, and
    what waits every minute.
    """

    def __init__(self) -> None:
        self.latest: Incident | None = None
        self.now = NOW
        self.incidents: dict[str, Incident] = {}
        self.sent: dict[str, list[tuple[str, datetime]]] = defaultdict(list)
        self._notified: dict[str, Notified] = defaultdict(Notified)

    def live(self, entries: Iterable[Entry], *, quiet_minutes: int = 20) -> None:
        """Let the entries come, each at its own time, and then nothing."""
        for entry in entries:
            self._wait(entry.at)
            self._absorb(entry)
            self._offer()
        self._wait(self.now + quiet_minutes * MINUTE)

    def names(self) -> list[str]:
        """Return what was sent of the only incident."""
        (sent,) = self.sent.values()
        return [name for name, _ in sent]

    def _absorb(self, entry: Entry) -> None:
        new_id = f"by {entry.request_id}"
        absorbed = absorb(self.latest, entry, database="orders-prod", new_id=new_id)
        self.latest = absorbed.latest
        for incident in filter(None, (absorbed.ended, absorbed.latest)):
            self.incidents[incident.id] = incident

    def _wait(self, until: datetime) -> None:
        while self.now + MINUTE < until:
            self.now += MINUTE
            self._offer()
        self.now = until
        self._offer()

    def _offer(self) -> None:
        for key, incident in self.incidents.items():
            news = news_of(incident, self._notified[key], self.now)
            if news is not None and news.due_at <= self.now:
                stored = notified_body(self._notified[key].with_news(news.name, self.now))
                self._notified[key] = notified_of(stored)
                self.sent[key].append((news.name, self.now))


def flaps(count: int, *, minutes: float) -> list[Entry]:
    """Return so many alarms and their ends, evenly within the time."""
    return [
        entry
        for n in range(count)
        for entry in (
            stories.in_alarm(Tier.CRITICAL, minute=n * minutes / count, used=95),
            stories.alarm_ok(Tier.CRITICAL, minute=(n + 0.5) * minutes / count, used=31),
        )
    ]


def escalated(minute: float) -> Entry:
    return stories.an_entry(
        minute=minute, used=95, escalation="refused: too many", escalation_code="refused"
    )


def below_target(minute: float) -> Entry:
    return stories.an_entry(minute=minute, used=40)


def alternating(turns: int, *, minutes_apart: float) -> list[Entry]:
    """Return runs after which action is required, no longer required, required again ..."""
    opened = stories.in_alarm(Tier.CRITICAL, minute=0, used=95)
    return [opened] + [
        (below_target if turn % 2 else escalated)((turn + 1) * minutes_apart)
        for turn in range(turns)
    ]


def test_an_incident_is_news_when_it_opens_and_when_it_closes() -> None:
    readers = Readers()

    readers.live(flaps(1, minutes=10))

    ((opened, opened_at), (closed, closed_at)) = readers.sent[readers.incidents.popitem()[0]]
    assert (opened, opened_at) == ("critical, began 1 times", NOW)
    assert (closed, closed_at) == ("resolved, began 1 times", NOW + 5 * MINUTE)


def test_a_lone_end_is_no_news() -> None:
    readers = Readers()

    readers.live([stories.alarm_ok(Tier.CRITICAL, minute=0, used=31)])

    assert readers.sent == {}


def test_the_end_of_what_began_again_is_news_once_it_has_lasted() -> None:
    readers = Readers()
    story = flaps(2, minutes=20)

    readers.live(story, quiet_minutes=14)
    assert readers.names() == [
        "critical, began 1 times",
        "resolved, began 1 times",
        "critical, began 2 times",
    ]

    readers.live([], quiet_minutes=1)
    assert readers.names()[-1] == "resolved, began 2 times"
    (sent,) = readers.sent.values()
    assert sent[-1][1] == story[-1].at + SETTLED_AFTER


def test_an_end_that_was_sent_long_before_has_to_last_again() -> None:
    readers = Readers()
    readers.live(flaps(2, minutes=20), quiet_minutes=0)
    incident = readers.latest
    assert incident is not None
    assert incident.closed_at is not None
    before = incident.closed_at - 2 * SETTLED_AFTER
    known = Notified().with_news(state_name(incident), before).with_news("critical", before)

    news = news_of(incident, known, incident.closed_at)

    assert news is not None
    assert news.due_at == incident.closed_at + SETTLED_AFTER


def test_fifteen_flaps_within_an_hour_are_at_most_eight_messages() -> None:
    readers = Readers()

    readers.live(flaps(15, minutes=60))

    assert len(readers.names()) <= 8
    assert readers.names()[-1].startswith("resolved")


def test_hours_of_flaps_are_mute_neither_at_their_end_nor_meanwhile() -> None:
    readers = Readers()

    readers.live(flaps(36, minutes=4 * 60))

    names = readers.names()
    assert len(names) <= 10
    assert any("began 32 times" in name for name in names)
    assert names[-1].startswith("resolved")


def test_action_that_is_required_again_is_news_again_after_a_quarter_of_an_hour() -> None:
    readers = Readers()
    story = alternating(3, minutes_apart=1)

    readers.live(story, quiet_minutes=20)

    (sent,) = readers.sent.values()
    required = "critical, action required for 1 reasons, began 1 times"
    assert [name for name, _ in sent] == [
        "critical, began 1 times",
        required,
        "critical, action no longer required, began 1 times",
        required,
    ]
    assert sent[-1][1] == sent[-2][1] + SETTLED_AFTER


@pytest.mark.parametrize(
    ("turns", "minutes_apart"), [(30, 0.5), (31, 0.5), (100, 0.5), (30, 7), (31, 16)]
)
def test_an_incident_never_goes_mute_however_often_its_state_turns(
    turns: int, minutes_apart: float
) -> None:
    readers = Readers()

    readers.live(alternating(turns, minutes_apart=minutes_apart))

    assert readers.latest is not None
    assert readers.names()[-1] == state_name(readers.latest)
    expected = "action required" if turns % 2 else "action no longer required"
    assert expected in readers.names()[-1]
    assert len(readers.names()) <= 3 + turns * minutes_apart / 7 + 2


def test_what_was_sent_is_remembered_within_bounds() -> None:
    notified = Notified()
    for n in range(10 * MOST_NEWS):
        notified = notified.with_news(f"state {n}", NOW)
    again = notified.with_news(notified.news[0], NOW + MINUTE)

    assert len(notified.news) == len(again.news) == MOST_NEWS
    assert notified.news[-1] == f"state {10 * MOST_NEWS - 1}"
    assert again.news == (*notified.news[1:], notified.news[0])
    assert again.news_at == NOW + MINUTE


HAPPENINGS: dict[str, Callable[[float], Entry]] = {
    "critical": lambda minute: stories.in_alarm(Tier.CRITICAL, minute=minute, used=95),
    "warning": lambda minute: stories.in_alarm(Tier.WARNING, minute=minute, used=80),
    "critical ended": lambda minute: stories.alarm_ok(Tier.CRITICAL, minute=minute, used=60),
    "warning ended": lambda minute: stories.alarm_ok(Tier.WARNING, minute=minute, used=31),
    "escalated": escalated,
    "below target": below_target,
    "recovered": lambda minute: stories.recovered(minute=minute),
    "locked out": lambda minute: stories.locked_out(minute=minute),
    "attempt": lambda minute: stories.an_attempt(minute=minute, before=97, after=90),
}


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(HAPPENINGS)), st.sampled_from([0.5, 1, 3, 8, 16, 70])),
        min_size=1,
        max_size=25,
    )
)
def test_after_any_course_the_final_state_is_known_and_nothing_comes_twice(
    course: list[tuple[str, float]],
) -> None:
    readers, minute, entries = Readers(), 0.0, []
    for happening, gap in course:
        minute += gap
        entries.append(HAPPENINGS[happening](minute))

    readers.live(entries)

    for key, incident in readers.incidents.items():
        sent = readers.sent[key]
        assert [name for name, _ in sent[-1:]] == ([state_name(incident)] * incident.matters)
        for position, (name, at) in enumerate(sent):
            assert all(
                other != name or at - earlier >= SETTLED_AFTER for other, earlier in sent[:position]
            )
