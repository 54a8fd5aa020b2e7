"""What one channel has been notified of, of one incident: stored with the incident, typed."""

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from connection_guard.core.incident.item import read_value

# An incident has fewer names of news than that; it is only that an item stays small.
MOST_NEWS = 50


@dataclass(frozen=True, slots=True)
class PostedMessage:
    """A message that can be edited, as Slack's chat.postMessage names it. `thread` is the message
    in whose thread it is, None where it is in the channel itself.
    """

    channel: str
    timestamp: str
    thread: str | None = None


@dataclass(frozen=True, slots=True)
class Notified:
    """What a channel has been notified of.

    It has nothing left to do for the incident's versions up to `version`, unless `due_at` has come:
    then there is news that waited, or a call that was refused is to be made again. `news` names
    what it was sent, the latest last, at `news_at`.

    Of a channel that edits, `message` is the incident's, which shows version `shown`; `details` is
    the first reply to it, which shows version `detailed`; `replies` names the entries in its
    thread. `refusals` counts how often in a row the channel refused this incident's message.
    """

    version: int = 0
    due_at: datetime | None = None
    news: tuple[str, ...] = ()
    news_at: datetime | None = None
    message: PostedMessage | None = None
    shown: int = 0
    details: PostedMessage | None = None
    detailed: int = 0
    replies: tuple[str, ...] = ()
    refusals: int = 0

    def is_behind(self, version: int, now: datetime) -> bool:
        """Return whether the channel has something to do for the incident of that version."""
        is_due = self.due_at is not None and self.due_at <= now
        return is_due or self.version < version

    def with_news(self, name: str, at: datetime) -> "Notified":
        """Return it after the channel was sent that news."""
        others = tuple(each for each in self.news if each != name)
        return replace(self, news=(*others, name)[-MOST_NEWS:], news_at=at)

    def up_to(self, version: int, *, due_at: datetime | None = None) -> "Notified":
        """Return it once there is nothing left to do for that version, before `due_at` at least."""
        return replace(self, version=version, due_at=due_at, refusals=0)


def notified_body(notified: Notified) -> str:
    """Return it as the table stores it."""
    return json.dumps(asdict(notified), default=datetime.isoformat)


def notified_of(body: str) -> Notified:
    """Return what `notified_body` wrote, also in a version that knew fewer fields, or more."""
    read = read_value(Notified, json.loads(body))
    assert isinstance(read, Notified)
    return read
