"""What each channel knows of an incident, and what it has yet to be notified of."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from connection_guard.adapters.aws.incident_table import Kept
from connection_guard.core.notification.channel.notified import Notified


class Knowledge(StrEnum):
    """Which state of an incident a channel was notified of."""

    PRESENT = "the present state"
    EARLIER = "an earlier state"
    NOTHING = "nothing yet"


@dataclass(frozen=True, slots=True)
class ChannelState:
    """What a channel knows since `notified_at`. `news` names what it was sent, the latest last.

    `due_at` is when it is to be notified of more, None where there is nothing more. `refusals`
    counts how often in a row it refused this incident's message.
    """

    channel: str
    knows: Knowledge
    notified_at: datetime | None
    due_at: datetime | None
    refusals: int
    news: tuple[str, ...]


def channel_states(kept: Kept, channels: Iterable[str]) -> tuple[ChannelState, ...]:
    """Return the state of each channel of the stack, then of those that it no longer notifies."""
    present = tuple(channels)
    return tuple(
        _state(name, kept, kept.channels.get(name, Notified()), is_notified=name in present)
        for name in dict.fromkeys([*present, *sorted(kept.channels)])
    )


def pending_channels(kept: Kept, channels: Iterable[str]) -> tuple[str, ...]:
    """Return the names of those that are to be notified of more."""
    return tuple(each.channel for each in channel_states(kept, channels) if each.due_at)


def _state(name: str, kept: Kept, notified: Notified, *, is_notified: bool) -> ChannelState:
    is_behind = notified.version < kept.incident.version
    due_at = kept.due_at if is_behind else notified.due_at
    if not is_notified or kept.due_at is None:
        due_at = None
    if due_at is None and not is_behind:
        knows = Knowledge.PRESENT
    else:
        knows = Knowledge.EARLIER if notified.news or notified.message else Knowledge.NOTHING
    return ChannelState(name, knows, notified.news_at, due_at, notified.refusals, notified.news)
