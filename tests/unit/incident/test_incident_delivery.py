"""In any order of deliveries, and however often each is repeated, people learn how it ended."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from connection_guard.core.incident.entry import Alarm, Entry
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.lifecycle import absorb
from connection_guard.core.incident.progress import Progress
from connection_guard.core.notification.channel.news import SETTLED_AFTER, news_of, state_name
from connection_guard.core.notification.channel.notified import Notified
from connection_guard.core.policy import Tier
from connection_guard.core.report.kind import Kind
from tests.support.builders import NOW
from tests.support.reporter.stories import (
    a_failure,
    an_attempt,
    an_entry,
    in_alarm,
    locked_out,
    recovered,
)


@dataclass
class Mailbox:
    """The incidents of one database, and what people were last sent about each."""

    current: Incident | None = None
    known: dict[str, Notified] = field(default_factory=dict)
    incidents: dict[str, Incident] = field(default_factory=dict)
    messages: list[Incident] = field(default_factory=list)

    def deliver(self, entry: Entry) -> bool:
        """Whether people were sent anything."""
        sent = len(self.messages)
        outcome = absorb(
            self.current, entry, database="orders-prod", new_id=f"by {entry.request_id}"
        )
        self.current = outcome.latest
        assert self.current is not None
        if outcome.ended is not None:
            self._send(outcome.ended)
        self._send(self.current)
        return len(self.messages) > sent

    def wait(self, time: timedelta) -> None:
        """Let so much time pass without a delivery."""
        for incident in list(self.incidents.values()):
            self._send(incident, incident.entries[-1].at + time)

    def _send(self, incident: Incident, now: datetime | None = None) -> None:
        known = self.known.get(incident.id, Notified())
        now = now or incident.entries[-1].at + SETTLED_AFTER
        self.incidents[incident.id] = incident
        if (news := news_of(incident, known, now)) is not None and news.due_at <= now:
            self.known[incident.id] = known.with_news(news.name, now)
            self.messages.append(incident)


Run = Callable[[float], Entry]

_ON_ALARM: dict[str, Run] = {
    "observes": lambda minute: an_entry(minute=minute, used=95),
    "frees some": lambda minute: an_attempt(minute=minute, before=97, after=72),
    "frees enough": lambda minute: an_attempt(minute=minute, before=97, after=60),
    "refuses": lambda minute: an_entry(minute=minute, used=97, escalation="refused"),
    "is locked out": lambda minute: locked_out(minute=minute),
    "is killed": lambda minute: a_failure(minute=minute),
}
_ON_OK: dict[str, Run] = {
    "between target and threshold": lambda minute: an_entry(minute=minute, used=72),
    "below the target": lambda minute: an_entry(minute=minute, used=60),
    "is locked out": lambda minute: locked_out(minute=minute),
    "is killed": lambda minute: a_failure(minute=minute),
}
_ON_HEARTBEAT: dict[str, Run] = {
    "carries on": lambda minute: an_attempt(minute=minute, before=80, after=72, attempt=2),
    "gives up": lambda minute: an_attempt(
        minute=minute, before=80, after=80, attempt=10, escalation="10 attempts"
    ),
    "engages": lambda minute: an_attempt(minute=minute, before=97, after=90),
    "is locked out": lambda minute: locked_out(minute=minute),
    "is killed": lambda minute: a_failure(minute=minute),
    "sees recovery": lambda minute: recovered(minute=minute),
}


def a_change(tier: Tier, state: str, run: Run, *, changed: float, ran: float) -> Entry:
    at = NOW + timedelta(minutes=changed)
    return replace(
        run(ran), alarm=Alarm(f"orders-prod {tier}", f"arn:{tier}", state, tier, at), tier=tier
    )


@st.composite
def stories(draw: st.DrawFn) -> list[Entry]:
    """Less than an hour: alarms that fire and end, runs that answer some minutes later, heartbeats
    between; a calm end.
    """
    entries = []
    for tier, offset in ((Tier.CRITICAL, 0.0), (Tier.WARNING, 0.5)):
        minute = offset
        for _ in range(draw(st.integers(0, 3))):
            for state, answers in (("ALARM", _ON_ALARM), ("OK", _ON_OK)):
                minute += draw(st.integers(1, 5))
                run = answers[draw(st.sampled_from(sorted(answers)))]
                entries.append(
                    a_change(
                        tier,
                        state,
                        run,
                        changed=minute,
                        ran=minute + draw(st.sampled_from([0.1, 4])),
                    )
                )
    minutes = draw(st.lists(st.integers(0, 35), max_size=4, unique=True))
    heartbeats = [
        _ON_HEARTBEAT[draw(st.sampled_from(sorted(_ON_HEARTBEAT)))](minute + 0.7)
        for minute in minutes
    ]
    return sorted([*entries, *heartbeats, recovered(minute=45)], key=lambda entry: entry.at)


@settings(max_examples=250, deadline=None)
@given(stories(), st.data())
def test_in_the_end_people_know_that_every_incident_is_resolved(
    story: list[Entry], data: st.DataObject
) -> None:
    repeated = story + data.draw(st.lists(st.sampled_from(story), max_size=4))
    mailbox = Mailbox()

    for entry in data.draw(st.permutations(repeated)):
        mailbox.deliver(entry)

    assert {incident.progress for incident in mailbox.incidents.values()} <= {Progress.CLOSED}


@settings(max_examples=250, deadline=None)
@given(stories(), st.data())
def test_an_alarm_that_fires_again_is_news_once_it_has_lasted(
    story: list[Entry], data: st.DataObject
) -> None:
    repeated = story + data.draw(st.lists(st.sampled_from(story), max_size=4))
    mailbox = Mailbox()

    for entry in data.draw(st.permutations(repeated)):
        mailbox.deliver(entry)
    mailbox.wait(timedelta(hours=1))

    for incident in mailbox.incidents.values():
        if incident.matters:
            assert mailbox.known[incident.id].news[-1] == state_name(incident)


def _changed_at(alarm: Alarm) -> datetime:
    assert alarm.changed_at is not None
    return alarm.changed_at


@settings(max_examples=200, deadline=None)
@given(stories())
def test_in_order_no_action_is_required_once_usage_is_below_the_target(story: list[Entry]) -> None:
    mailbox = Mailbox()

    for entry in story:
        mailbox.deliver(entry)
        if entry.is_below_target and not entry.is_trouble:
            assert all(
                incident.progress is not Progress.ESCALATED
                for incident in mailbox.incidents.values()
            )


@settings(max_examples=200, deadline=None)
@given(stories())
def test_no_incident_outlives_the_alarms_that_it_saw(story: list[Entry]) -> None:
    """Where the guard can log in when the last of them clears, and no run requires action then."""
    mailbox, states = Mailbox(), dict[str, Alarm]()

    for entry in story:
        mailbox.deliver(entry)
        if entry.change is None or mailbox.current is None:
            continue
        states[entry.change.arn] = max(
            entry.change, states.get(entry.change.arn, entry.change), key=_changed_at
        )
        changes = [each.change for each in mailbox.current.entries if each.change]
        seen = {change.arn for change in changes if change.state == "ALARM"}
        is_any_on = any(states[arn].state == "ALARM" for arn in seen)
        if seen and not is_any_on and not entry.is_trouble and not entry.escalation:
            assert mailbox.current.progress is Progress.CLOSED


def test_without_its_ok_an_incident_requires_no_action_and_closes_with_the_next() -> None:
    mailbox = Mailbox()
    called = in_alarm(Tier.CRITICAL, minute=0, used=97, escalation="refused")

    sent = [
        mailbox.deliver(each)
        for each in (called, recovered(minute=5), in_alarm(Tier.CRITICAL, minute=90, used=95))
    ]

    assert sent == [True, True, True]
    states = [(incident.id, incident.progress) for incident in mailbox.messages]
    old, new = f"by {called.request_id}", mailbox.messages[-1].id
    assert states == [
        (old, Progress.ESCALATED),
        (old, Progress.RECOVERING),
        (old, Progress.CLOSED),
        (new, Progress.OPEN),
    ]


def test_a_heartbeat_is_nothing_that_people_are_sent() -> None:
    mailbox = Mailbox()
    mailbox.deliver(in_alarm(Tier.WARNING, minute=0, used=77))

    assert not mailbox.deliver(an_entry(Kind.HEARTBEAT, minute=1, used=95))
