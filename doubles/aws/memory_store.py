"""The reporter's bucket and tables in memory, as fast as a test of many databases needs them."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from threading import RLock

from connection_guard.adapters.aws.evidence_bucket import EvidenceBucket
from connection_guard.adapters.aws.incident_table import (
    IncidentKey,
    IncidentTable,
    Kept,
    Pending,
)
from connection_guard.adapters.aws.lane_table import LaneState, LaneTable
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.item import body_of, incident_of
from connection_guard.core.notification.channel.notified import (
    Notified,
    notified_body,
    notified_of,
)
from connection_guard.core.notification.channel.storm import Storm, storms_body, storms_of
from connection_guard.errors import StoreError


class MemoryBucket(EvidenceBucket):
    """Keeps objects, uncompressed."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put(self, key: str, body: bytes, content_type: str = "application/json") -> None:
        self.objects[key] = gzip.decompress(body) if content_type == "application/gzip" else body

    def put_first(self, key: str) -> bool:
        is_first = key not in self.objects
        self.objects.setdefault(key, b"")
        return is_first


@dataclass
class _Item:
    body: bytes
    version: int
    due_at: datetime | None
    pending_since: datetime | None = None
    channels: dict[str, str] = field(default_factory=dict)

    @property
    def since(self) -> datetime | None:
        return self.pending_since or self.due_at

    @property
    def notified(self) -> Mapping[str, Notified]:
        return {name: notified_of(body) for name, body in self.channels.items()}


class MemoryIncidents(IncidentTable):
    """Keeps incidents in the form in which the table would."""

    def __init__(self) -> None:
        self._latest: dict[str, str] = {}
        self._items: dict[IncidentKey, _Item] = {}
        self._lock = RLock()

    def latest(self, database: str) -> Incident | None:
        with self._lock:
            if database not in self._latest:
                return None
            return incident_of(self._items[database, self._latest[database]].body)

    def put(
        self, incident: Incident, *, replaces: int | None, ended: Incident | None, now: datetime
    ) -> bool:
        with self._lock:
            known = self._latest.get(incident.database)
            version = None if known is None else self._items[incident.database, known].version
            if version != replaces:
                return False
            for each in filter(None, (incident, ended)):
                item = self._items.setdefault((each.database, each.id), _Item(b"", 0, None))
                item.body, item.version = body_of(each), each.version
                if each.matters:
                    item.due_at, item.pending_since = now, item.pending_since or now
            self._latest[incident.database] = incident.id
            return True

    def kept(self, key: IncidentKey) -> Kept | None:
        with self._lock:
            item = self._items.get(key)
            return (
                None if item is None else Kept(incident_of(item.body), item.notified, item.due_at)
            )

    def pending(self, now: datetime) -> list[Pending]:
        with self._lock:
            return [
                Pending(key, item.version, item.notified, item.since)
                for key, item in self._items.items()
                if item.due_at is not None and item.due_at <= now
            ]

    def put_notified(self, key: IncidentKey, channel: str, notified: Notified) -> Pending:
        with self._lock:
            item = self._items.get(key)
            if item is None:
                raise StoreError(f"memory: incident {key[1]} of {key[0]} is gone")
            item.channels[channel] = notified_body(notified)
            return Pending(key, item.version, item.notified, item.since)

    def settle(self, key: IncidentKey, version: int, *, due_at: datetime | None) -> None:
        with self._lock:
            item = self._items.get(key)
            if item is not None and item.version == version:
                item.due_at, item.pending_since = due_at, None


@dataclass
class _Lane:
    holder: str | None = None
    held_until: datetime | None = None
    ready_at: datetime | None = None
    storms: str = "[]"
    wanted: int = 0


class MemoryLanes(LaneTable):
    """Keeps lanes in the form in which the table would."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._lock = RLock()

    def _lane(self, channel: str) -> _Lane:
        return self._lanes.setdefault(channel, _Lane())

    def claim(
        self, channel: str, holder: str, *, now: datetime, until: datetime, ready_by: datetime
    ) -> LaneState | None:
        with self._lock:
            lane = self._lane(channel)
            is_held = lane.held_until is not None and lane.held_until > now
            if is_held or (lane.ready_at is not None and lane.ready_at > ready_by):
                return None
            lane.holder, lane.held_until = holder, until
            return LaneState(lane.ready_at or now, storms_of(lane.storms), lane.wanted)

    def want(self, channel: str) -> None:
        with self._lock:
            self._lane(channel).wanted += 1

    def wanted(self, channel: str) -> int:
        with self._lock:
            return self._lane(channel).wanted

    def keep(
        self,
        channel: str,
        holder: str,
        *,
        until: datetime,
        ready_at: datetime,
        storms: tuple[Storm, ...],
    ) -> bool:
        with self._lock:
            lane = self._lane(channel)
            if lane.holder != holder:
                return False
            lane.held_until, lane.ready_at, lane.storms = until, ready_at, storms_body(storms)
            return True

    def release(
        self,
        channel: str,
        holder: str,
        *,
        ready_at: datetime,
        storms: tuple[Storm, ...],
        wanted: int | None = None,
    ) -> bool:
        with self._lock:
            lane = self._lane(channel)
            if lane.holder == holder and wanted in (None, lane.wanted):
                lane.holder = lane.held_until = None
                lane.ready_at, lane.storms = ready_at, storms_body(storms)
            return lane.holder != holder
