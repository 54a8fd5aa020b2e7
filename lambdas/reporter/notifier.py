"""How people are notified of incidents: through all channels at once, none after another."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from aws_lambda_powertools.logging import Logger

from connection_guard.adapters.aws.incident_table import IncidentKey
from connection_guard.adapters.channels.deadline import answer_within
from connection_guard.core.deployment.reporter_settings import (
    ApplicationOwner,
    ReporterSettings,
    WatchedDatabase,
)
from connection_guard.core.incident.entry import Entry
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.lifecycle import incident_id
from connection_guard.core.notification.channel.news import first_due_at
from connection_guard.core.notification.links import links_of
from connection_guard.core.notification.view import View
from connection_guard.errors import NotificationError, StoreError
from reporter.channel import Channel
from reporter.channel_run import MINUTES_TO_REFUSE, ChannelRun, settle
from reporter.lane import CALL_SECONDS
from reporter.world import InvocationContext, World

# What an invocation leaves for the last call, once more with a secret that was read anew, and for
# writing what it came to.
RESERVED = timedelta(seconds=2 * CALL_SECONDS + 5)

# Without the table, nothing says what people know.
HEADLINE_EVERY = timedelta(minutes=10)

# A channel that refuses everything for longer is a fault of its own.
PATIENCE = timedelta(minutes=10)

# So often in a row, a channel refuses an incident's message within about as long.
MOST_REFUSALS = 4

LONGEST_REFUSAL = timedelta(minutes=max(MINUTES_TO_REFUSE))

T = TypeVar("T")

logger = Logger(service="connection-guard")


class Notifier:
    """The channels, and the incidents that they have to be notified of."""

    def __init__(
        self,
        settings: ReporterSettings,
        region: str,
        world: World,
        application_owners: tuple[ApplicationOwner, ...] = (),
    ) -> None:
        self._settings = settings
        self._region = region
        self._world = world
        self._application_owners = application_owners
        # Where the bucket is down as well, this process at least does not repeat itself. None where
        # this process was the first to try, and failed.
        self._announced: dict[tuple[str, str], datetime | None] = {}

    def notify(self, own: IncidentKey, context: InvocationContext) -> None:
        """Notify people of the incident, and of everything else that is pending.

        What cannot be done is logged, and done by a later run: nothing is raised.
        """
        self._through_every_channel(own, context)

    def notify_pending(self, context: InvocationContext) -> None:
        """Notify people of everything that is pending.

        Raises StoreError, and NotificationError where a channel fails and something has been
        pending for longer than PATIENCE, or where one keeps refusing an incident's message.
        """
        pending = self._world.incidents.pending(self._world.now())
        if not pending:
            return
        self._world.databases.refresh()
        failures = self._through_every_channel(None, context)
        # A run may have died before it did so, and a channel may have been removed.
        names = [channel.name for channel in self._world.channels]
        for each in pending:
            settle(each, names, self._world)
        tried = {each.key for each in pending}
        left = self._world.incidents.pending(self._world.now() + LONGEST_REFUSAL)
        refusals = [
            f"{name} refuses the message of {each.key[0]}"
            for each in left
            for name in names
            if each.key in tried
            and name in each.channels
            and each.channels[name].refusals > MOST_REFUSALS
        ]
        if refusals:
            raise NotificationError("people could not be notified: " + "; ".join(refusals))
        waiting_since = min(each.since for each in pending if each.since is not None)
        if failures and self._world.now() - waiting_since > PATIENCE:
            raise NotificationError(
                f"since {waiting_since:%H:%M} UTC people could not be notified: "
                + "; ".join(f"{name}: {error}" for name, error in failures.items())
            )

    def announce(self, database: WatchedDatabase, entry: Entry, context: InvocationContext) -> None:
        """Notify people of an entry that the table did not take: each channel of its headline, once
        per database and ten minutes. An old entry, which the queue brought again, may no longer be
        so; the first state of a new alarm is announced when the queue brings it again.
        """
        incident = Incident(database.identifier, incident_id(entry), (entry,), version=1)
        now, begins_at = self._world.now(), first_due_at(incident)
        if begins_at is None or begins_at > now or now - entry.at > HEADLINE_EVERY:
            return
        view, deadline = self._view_of(incident, now), self._deadline(context)
        self._at_once(lambda channel: self._announce(channel, view, deadline))

    def test(self, database: WatchedDatabase, incident: Incident) -> Mapping[str, str | None]:
        """Return for each channel what went wrong with the incident, which is not stored; None
        where the channel took it.
        """
        view = self._view_of(incident, self._world.now(), database)

        def answer_of(channel: Channel) -> str | None:
            try:
                _announce_in_time(channel, view)
            except NotificationError as error:
                return str(error)
            return None

        return self._at_once(answer_of)

    def _through_every_channel(
        self, own: IncidentKey | None, context: InvocationContext
    ) -> dict[str, Exception]:
        """Return the failures by the channels' names."""
        deadline = self._deadline(context)

        def run(channel: Channel) -> Exception | None:
            try:
                return ChannelRun(
                    channel,
                    self._world,
                    self.database,
                    self._view_of,
                    f"{context.aws_request_id} {channel.name}",
                    deadline,
                ).run(own)
            except StoreError as error:
                logger.error(f"{channel.name}: {error}")
                return error

        answers = self._at_once(run)
        return {name: error for name, error in answers.items() if error is not None}

    def _deadline(self, context: InvocationContext) -> datetime:
        left = timedelta(milliseconds=context.get_remaining_time_in_millis())
        return self._world.now() + left - RESERVED

    def _at_once(self, do: Callable[[Channel], T]) -> dict[str, T]:
        """Return what `do` returns for each channel, by its name."""
        channels = self._world.channels
        with ThreadPoolExecutor(len(channels)) as executor:
            names = [channel.name for channel in channels]
            return dict(zip(names, executor.map(do, channels), strict=True))

    def _announce(self, channel: Channel, view: View, deadline: datetime) -> None:
        database, now = view.database.identifier, view.at
        if not self._is_first_announcement(channel.name, database, now):
            return
        try:
            self._announce_once(channel, view, deadline)
        except Exception:
            # The queue keeps the message: this process tries again when it comes again.
            logger.exception(f"{channel.name}: not announced", database=database)
            self._announced[channel.name, database] = None

    def _announce_once(self, channel: Channel, view: View, deadline: datetime) -> None:
        """Announce it, and wait where the channel asks for that: without the table there is no lane
        that keeps the pace.
        """
        while True:
            try:
                _announce_in_time(channel, view)
                return
            except NotificationError as error:
                wait = error.retry_after
                if wait is None or self._world.now() + timedelta(seconds=wait) >= deadline:
                    raise
                self._world.sleep(wait)

    def _is_first_announcement(self, channel: str, database: str, now: datetime) -> bool:
        last = self._announced.get((channel, database), datetime.min.replace(tzinfo=UTC))
        if last is not None and now - last < HEADLINE_EVERY:
            return False
        window = int(now.timestamp() // HEADLINE_EVERY.total_seconds())
        key = f"announced/{channel}/{database}/{window}"
        try:
            is_first = last is None or self._world.bucket.put_first(key)
        except StoreError as error:
            logger.error(str(error))
            is_first = True
        if is_first:
            self._announced[channel, database] = now
        return is_first

    def database(self, identifier: str) -> WatchedDatabase:
        """Return the database; the guard itself, which its stack is named after, where it is no
        database, and one that is no longer guarded, whose responder is not known.
        """
        known = (each for each in self._world.databases.known if each.identifier == identifier)
        unknown = WatchedDatabase(
            identifier, is_cluster=False, function_name=self._world.function_name
        )
        return next(known, unknown)

    def _view_of(
        self, incident: Incident, now: datetime, database: WatchedDatabase | None = None
    ) -> View:
        database = database or self.database(incident.database)
        links = links_of(incident, database, self._settings, self._region)
        return View(incident, database, links, now, self._application_owners, self._region)


def _announce_in_time(channel: Channel, view: View) -> None:
    answer_within(CALL_SECONDS, channel.name, lambda: channel.announce(view))
