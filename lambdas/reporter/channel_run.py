"""One run's notifications through one channel: all that is pending, the most urgent first."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count

from aws_lambda_powertools.logging import Logger

from connection_guard.adapters.aws.incident_table import IncidentKey, Kept, Pending
from connection_guard.adapters.aws.lane_table import LaneState
from connection_guard.core.deployment.reporter_settings import WatchedDatabase
from connection_guard.core.incident.incident import Incident
from connection_guard.core.notification.channel.notified import Notified
from connection_guard.core.notification.view import View
from connection_guard.errors import NotificationError, StoreError
from reporter.channel import Channel
from reporter.lane import HELD_FOR, Lane, LaneLostError
from reporter.world import World

# How often a run looks for further incidents while it has some to go on with.
LOOKS_AGAIN_AFTER = timedelta(seconds=3)

# The index may be a moment behind what another run wrote before it wanted the lane.
INDEX_DELAY_SECONDS = 1

# A run of the schedule that finds the lane taken goes on where the other run's time is over.
CLAIMS_EVERY_SECONDS = 3

# A channel that is to be left alone for longer is left to the next run.
MOST_SECONDS_TO_WAIT = 5

# The urgency of what a call has just failed for.
LAST = 3

# After failures in a row: how long the channel, or a message that it refuses, is left alone.
SECONDS_TO_REST = (2, 4, 8)
MINUTES_TO_REFUSE = (1, 2, 5, 15)

logger = Logger(service="connection-guard")


@dataclass(frozen=True, slots=True)
class _Work:
    """An incident that the channel has to be notified of, and what it has been notified of."""

    version: int
    notified: Notified
    urgency: int
    turn: int


class ChannelRun:
    """What one run does through one channel, until nothing is pending or its time is over."""

    def __init__(
        self,
        channel: Channel,
        world: World,
        database_of: Callable[[str], WatchedDatabase],
        view_of: Callable[[Incident, datetime], View],
        holder: str,
        deadline: datetime,
    ) -> None:
        self._channel = channel
        self._world = world
        self._database_of = database_of
        self._view_of = view_of
        self._holder = holder
        self._deadline = deadline
        self._work: dict[IncidentKey, _Work] = {}
        # The index may be older than what this run wrote.
        self._known: dict[IncidentKey, tuple[int, Notified]] = {}
        self._unreadable: set[IncidentKey] = set()
        self._turns = count()
        self._looked_at: datetime | None = None
        self._failures = 0

    def run(self, own: IncidentKey | None) -> NotificationError | None:
        """Notify people of `own` and everything else that is pending; return the last failure of
        the channel.

        Where another run has the lane, that one does so; without an `own`, this run waits for its
        turn. Raises StoreError.
        """
        world = self._world
        state = self._claim()
        while state is None and own is None and world.now() < self._deadline:
            world.sleep(CLAIMS_EVERY_SECONDS)
            state = self._claim()
        if state is None:
            world.lanes.want(self._channel.name)
            return None
        pause = self._channel.seconds_between_calls
        lane = Lane(self._channel.name, pause, self._holder, state, world.lanes, world.now)
        if own is not None:
            self._work[own] = _Work(0, Notified(), 0, next(self._turns))
        try:
            return self._serve(lane)
        except LaneLostError as error:
            logger.warning(str(error))
            return None
        finally:
            lane.leave()

    def _claim(self) -> LaneState | None:
        now = self._world.now()
        return self._world.lanes.claim(
            self._channel.name,
            self._holder,
            now=now,
            until=now + HELD_FOR,
            ready_by=now + timedelta(seconds=MOST_SECONDS_TO_WAIT),
        )

    def _serve(self, lane: Lane) -> NotificationError | None:
        failure: NotificationError | None = None
        while self._has_time(lane):
            if self._is_time_to_look():
                self._look()
            if not self._work:
                if lane.release():
                    break
                self._world.sleep(INDEX_DELAY_SECONDS)
                self._looked_at = None
                continue
            key = min(
                self._work, key=lambda each: (self._work[each].urgency, self._work[each].turn)
            )
            try:
                self._notify(key, lane)
            except LaneLostError:
                raise
            except NotificationError as error:
                logger.error(f"{self._channel.name}: {error}", database=key[0], incident=key[1])
                failure = error
                self._rest(error, lane)
            else:
                self._failures = 0
        return failure

    def _has_time(self, lane: Lane) -> bool:
        """Wait until the channel may be called; return whether this run may still call it then."""
        now = self._world.now()
        wait = (lane.ready_at - now).total_seconds()
        if lane.ready_at >= self._deadline or now >= self._deadline or wait > MOST_SECONDS_TO_WAIT:
            return False
        if wait > 0:
            self._world.sleep(wait)
        return True

    def _is_time_to_look(self) -> bool:
        now = self._world.now()
        return (
            self._looked_at is None or not self._work or now >= self._looked_at + LOOKS_AGAIN_AFTER
        )

    def _look(self) -> None:
        now = self._looked_at = self._world.now()
        for pending in _from_another_place(self._world.incidents.pending(now), now):
            if pending.key in self._unreadable:
                continue
            notified = pending.channels.get(self._channel.name, Notified())
            version, known = self._known.get(pending.key, (0, notified))
            if version >= pending.version:
                notified = known
            if notified.is_behind(pending.version, now):
                self._add(pending, notified)
            else:
                self._work.pop(pending.key, None)

    def _add(self, pending: Pending, notified: Notified) -> None:
        """Add the incident, or let it come sooner where it has become more urgent."""
        urgency = 0 if notified.message is None else 1 if notified.shown < pending.version else 2
        known = self._work.get(pending.key)
        if known is None:
            self._work[pending.key] = _Work(pending.version, notified, urgency, next(self._turns))
        elif urgency < known.urgency < LAST:
            self._work[pending.key] = replace(known, urgency=urgency)

    def _notify(self, key: IncidentKey, lane: Lane) -> None:
        """Make the next call about the incident, as it is now."""
        name, now = self._channel.name, self._world.now()
        kept = self._kept(key)
        work = self._work.pop(key)
        if kept is None:
            return
        notified, version = kept.channels.get(name, Notified()), kept.incident.version
        self._known[key] = version, notified
        if not notified.is_behind(version, now):
            self._settle(Pending(key, version, kept.channels, None))
            return
        lane.waiting = self._waiting()
        try:
            view = self._view_of(kept.incident, now)
            after = self._channel.advance(view, notified, lane)
        except StoreError:
            raise
        except NotificationError as error:
            if not error.is_of_message:
                self._work[key] = work if error.retry_after else self._put_off(work)
                raise
            logger.error(f"{name} refuses the message: {error}", database=key[0], incident=key[1])
            after = _refused(notified, version, now)
        except Exception:
            # A fault of the reporter's own with one incident is no reason to hold up the others.
            logger.exception(f"no message for {name}", database=key[0], incident=key[1])
            after = _refused(notified, version, now)
        self._known[key] = version, after
        if after != notified:
            self._settle(self._world.incidents.put_notified(key, name, after))
        if after.is_behind(version, now):
            urgency = self._channel.urgency(view, after)
            self._work[key] = _Work(version, after, urgency, next(self._turns))

    def _kept(self, key: IncidentKey) -> Kept | None:
        """Return the incident, None where it cannot be read: that is no reason to hold up others;
        where the table is down, the next look raises it.
        """
        try:
            return self._world.incidents.kept(key)
        except StoreError as error:
            logger.error(str(error), database=key[0], incident=key[1])
            self._unreadable.add(key)
            return None

    def _put_off(self, work: _Work) -> _Work:
        """Return work that others come before: perhaps the channel fails for its message only."""
        return replace(work, urgency=LAST, turn=next(self._turns))

    def _waiting(self) -> frozenset[WatchedDatabase]:
        return frozenset(
            self._database_of(database)
            for (database, _), work in self._work.items()
            if work.notified.message is None
        )

    def _settle(self, pending: Pending) -> None:
        """Take the incident from the index where no channel has anything left to do by now."""
        channels = self._world.channels
        settle(pending, [each.name for each in channels], self._world)

    def _rest(self, error: NotificationError, lane: Lane) -> None:
        seconds = SECONDS_TO_REST[min(self._failures, len(SECONDS_TO_REST) - 1)]
        self._failures += 1
        lane.rest(error.retry_after or seconds)


def _from_another_place(pending: Sequence[Pending], now: datetime) -> Iterator[Pending]:
    """Yield them, each minute from another place on: a run gives up after a few failures, and those
    for which the channel always fails must not keep the others from their turn.
    """
    minutes = int(now.timestamp() // 60)
    start = minutes * len(SECONDS_TO_REST) % len(pending) if pending else 0
    yield from (*pending[start:], *pending[:start])


def settle(pending: Pending, channels: list[str], world: World) -> None:
    """Take an incident from the index once every channel is notified of this version of it, until
    one of them is due.
    """
    notified = [pending.channels.get(name, Notified()) for name in channels]
    if any(each.is_behind(pending.version, world.now()) for each in notified):
        return
    due = min((each.due_at for each in notified if each.due_at is not None), default=None)
    world.incidents.settle(pending.key, pending.version, due_at=due)


def _refused(notified: Notified, version: int, now: datetime) -> Notified:
    """Return it after the channel refused the incident's message in that version: it is tried
    again, and again, ever less often, and when the incident has changed.
    """
    minutes = MINUTES_TO_REFUSE[min(notified.refusals, len(MINUTES_TO_REFUSE) - 1)]
    return replace(
        notified,
        version=version,
        due_at=now + timedelta(minutes=minutes),
        refusals=notified.refusals + 1,
    )
