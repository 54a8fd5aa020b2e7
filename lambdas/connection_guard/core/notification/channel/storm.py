"""When many databases fail at once, a channel gets one summary message, and the rest in its thread.

A channel of Slack remembers its storm between runs, beside its lane.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from connection_guard.core.incident.item import read_value
from connection_guard.core.notification.channel.notified import PostedMessage
from connection_guard.core.notification.status import ENDED

# A tenth database within this time makes it a storm.
MOST_APART = 9
WITHIN = timedelta(minutes=5)

# What begins later is another story, even where a database of the storm has yet to recover.
TAKES_MORE_FOR = timedelta(minutes=15)

# The summary is edited no more often, so that it does not take its members' turns.
BETWEEN_EDITS = timedelta(seconds=15)

# A DynamoDB item holds 400 KB, a member is about 250 bytes.
MOST_MEMBERS = 300
MOST_STORMS = 4


@dataclass(frozen=True, slots=True)
class StormMember:
    """A database in the summary: the status of its incident, and a few words about it."""

    database: str
    status: str
    line: str

    @property
    def has_ended(self) -> bool:
        """Return whether its incident is closed."""
        return self.status in ENDED


@dataclass(frozen=True, slots=True)
class Opening:
    """When a database's message was posted."""

    database: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Storm:
    """What one channel has seen lately. `message` is the summary, None while there is none; it was
    posted or edited at `edited_at`, and `is_shown` says that it still shows what the members do.
    """

    channel: str
    openings: tuple[Opening, ...] = ()
    message: PostedMessage | None = None
    members: tuple[StormMember, ...] = ()
    is_shown: bool = True
    edited_at: datetime | None = None

    def needs_summary(self, waiting: Collection[str], now: datetime) -> bool:
        """Return whether more databases than can be shown apart failed lately; `waiting` are those
        whose message is yet to be posted.
        """
        lately = {each.database for each in self.openings if now - each.at <= WITHIN}
        return self.message is None and len(lately | set(waiting)) > MOST_APART

    def takes_more(self, now: datetime) -> bool:
        """Return whether a database that fails now belongs to it."""
        latest = max((each.at for each in self.openings), default=self.edited_at)
        return self.message is None or latest is None or now - latest <= TAKES_MORE_FOR

    def with_opening(self, database: str, now: datetime) -> "Storm":
        """Return it after the database's message was posted."""
        lately = (
            each for each in self.openings if now - each.at <= WITHIN and each.database != database
        )
        return replace(self, openings=(*lately, Opening(database, now)))

    def with_member(self, member: StormMember) -> "Storm":
        """Return it with what its database's message shows now; those that have ended make room."""
        if member in self.members:
            return self
        known = {each.database: each for each in self.members} | {member.database: member}
        members = sorted(known.values(), key=lambda each: not each.has_ended)[-MOST_MEMBERS:]
        return replace(self, members=tuple(members), is_shown=False)

    @property
    def edit_due_at(self) -> datetime | None:
        """Return when the summary is to be edited, None where it shows what its members do."""
        if self.message is None or self.edited_at is None or self.is_shown:
            return None
        return self.edited_at + BETWEEN_EDITS

    def is_edit_due(self, now: datetime) -> bool:
        """Return whether the summary is to be edited now."""
        return self.edit_due_at is not None and self.edit_due_at <= now

    def with_summary(self, message: PostedMessage, now: datetime) -> "Storm":
        """Return it after the summary was posted or edited: over once every member has ended."""
        if self.members and all(member.has_ended for member in self.members):
            return Storm(self.channel, self.openings)
        return replace(self, message=message, is_shown=True, edited_at=now)


def current_storm(storms: Sequence[Storm], channel: str, now: datetime) -> Storm:
    """Return the channel's storm that takes a database which fails now, a new one where there is
    none.
    """
    of_channel = (each for each in reversed(storms) if each.channel == channel)
    return next((each for each in of_channel if each.takes_more(now)), Storm(channel))


def storm_of(storms: Sequence[Storm], message: PostedMessage | None) -> Storm | None:
    """Return the storm in whose thread the message is."""
    thread = message.thread if message else None
    summaries = ((each, each.message) for each in storms)
    return next(
        (each for each, summary in summaries if summary and summary.timestamp == thread), None
    )


def with_storm(storms: Sequence[Storm], old: Storm, new: Storm) -> tuple[Storm, ...]:
    """Return the storms with a new one in place of the old."""
    kept = (
        each
        for each in storms
        if each != old and (each.message or new.message or each.channel != new.channel)
    )
    return (*kept, new)[-MOST_STORMS:]


def storms_body(storms: Collection[Storm]) -> str:
    """Return them as the table stores them."""
    return json.dumps([asdict(storm) for storm in storms], default=datetime.isoformat)


def storms_of(body: str) -> tuple[Storm, ...]:
    """Return what `storms_body` wrote."""
    return tuple(read_value(Storm, each) for each in json.loads(body))
