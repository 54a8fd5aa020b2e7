"""What the reporter notifies people through: one channel for each service that they listen to."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from connection_guard.core.deployment.reporter_settings import WatchedDatabase
from connection_guard.core.notification.channel.news import news_of
from connection_guard.core.notification.channel.notified import Notified
from connection_guard.core.notification.channel.storm import Storm
from connection_guard.core.notification.view import View

T = TypeVar("T")


class Calls(Protocol):
    """The right to call a channel, and what is known of its other incidents: its storms, and the
    databases of which it has yet to be notified for the first time.
    """

    storms: tuple[Storm, ...]
    waiting: frozenset[WatchedDatabase]

    def keep(self) -> None:
        """Write the storms into the table. Raises NotificationError and StoreError."""
        ...

    def call(self, request: Callable[[], T]) -> T:
        """Return what the request returns, which makes one call. Raises NotificationError."""
        ...


class Channel(Protocol):
    """A service that people listen to. Every method raises NotificationError."""

    @property
    def name(self) -> str:
        """The channel's name in the table, in logs and in `make notify-test`."""
        ...

    @property
    def seconds_between_calls(self) -> float:
        """The least time between two calls, in seconds."""
        ...

    def advance(self, view: View, notified: Notified, calls: Calls) -> Notified:
        """Make at most one call about the incident; return what the channel then is notified of."""
        ...

    def urgency(self, view: View, notified: Notified) -> int:
        """Return how long the next call about the incident can wait, 0 for not at all."""
        ...

    def announce(self, view: View) -> None:
        """Notify people of an incident that cannot be stored: what follows will not know of it."""
        ...


class NewsChannel:
    """A channel whose messages cannot be edited: it gets one for each piece of news."""

    def __init__(
        self, name: str, send: Callable[[View], None], *, seconds_between_calls: float = 0
    ) -> None:
        self.name = name
        self.seconds_between_calls = seconds_between_calls
        self._send = send

    def advance(self, view: View, notified: Notified, calls: Calls) -> Notified:
        """Send the incident as it is now, where that is news by now."""
        return advanced_by_news(view, notified, lambda: calls.call(lambda: self._send(view)))

    def urgency(self, view: View, notified: Notified) -> int:  # noqa: ARG002
        """Return 0: every piece of news is a first message."""
        return 0

    def announce(self, view: View) -> None:
        """Send the incident."""
        self._send(view)


def advanced_by_news(view: View, notified: Notified, send: Callable[[], None]) -> Notified:
    """Return what a channel is notified of, once it was sent what is news by now."""
    incident = view.incident
    news = news_of(incident, notified, view.at)
    if news is None:
        return notified.up_to(incident.version)
    if news.due_at > view.at:
        return notified.up_to(incident.version, due_at=news.due_at)
    send()
    return notified.with_news(news.name, view.at).up_to(incident.version)
