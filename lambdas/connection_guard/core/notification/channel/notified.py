"""What one channel has been notified of, of one incident: stored with the incident, typed."""

from dataclasses import dataclass
from datetime import datetime


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
    then there is news that waited, or a call that failed is to be made again. `news` is the name of
    the last news that it was sent. Of a channel that edits, `message` is the incident's,
    `shown` the version that it shows, and `replies` names the entries in its thread.
    """

    version: int = 0
    news: str | None = None
    due_at: datetime | None = None
    message: PostedMessage | None = None
    shown: int = 0
    replies: tuple[str, ...] = ()

    def is_behind(self, version: int, now: datetime) -> bool:
        """Return whether the channel has something to do for the incident of that version."""
        if self.due_at is not None:
            return self.due_at <= now
        return self.version < version
