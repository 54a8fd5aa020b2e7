"""Incidents in the table: each written whole, with what its channels have been notified of."""

import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connection_guard.adapters.aws.table import Table, Update, Values, sortable
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.item import (
    DUE_AT,
    EXPIRY,
    KEPT_FOR,
    PARTITION_KEY,
    PENDING,
    PENDING_INDEX,
    PENDING_SINCE,
    SORT_KEY,
    attributes_of,
    copy_key,
    incident_of,
    key_of_copy,
    latest_key,
)
from connection_guard.core.incident.progress import Progress
from connection_guard.core.notification.channel.notified import Notified, notified_body, notified_of
from connection_guard.core.notification.status import headline_of
from connection_guard.errors import StoreError

# A database and the ID of one of its incidents.
IncidentKey = tuple[str, str]

# What an item is read from, and what reading one raises that is damaged or of another version.
_KEPT = f"body, channels, {DUE_AT}"
_UNREADABLE = (AttributeError, LookupError, TypeError, ValueError, OSError, EOFError, zlib.error)


@dataclass(frozen=True, slots=True)
class Pending:
    """An incident that a channel may have to be notified of, without its story; `since` is None
    where it is not in the index.
    """

    key: IncidentKey
    version: int
    channels: Mapping[str, Notified]
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Kept:
    """An incident as it is stored, and what each channel has been notified of it. `due_at` is when
    a channel may have to be notified of more, None where none has to.
    """

    incident: Incident
    channels: Mapping[str, Notified]
    due_at: datetime | None


class IncidentTable:
    """Every method raises StoreError where DynamoDB does not do it, or an item cannot be read."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def latest(self, database: str) -> Incident | None:
        """Return the latest of the database, as it was last written."""
        item = self._table.item(latest_key(database), "body")
        return self._incident(database, item) if item else None

    def put(
        self, incident: Incident, *, replaces: int | None, ended: Incident | None, now: datetime
    ) -> bool:
        """Return whether it is now the database's latest: it is not where the stored one no longer
        has version `replaces` (None: there is none).

        Its copy is written with it, and so is the incident before where `ended` says how that has
        ended: all or none. Channels are to be notified of both from now on.
        """
        attributes = _attributes_of(incident)
        latest = Update(
            latest_key(incident.database),
            f"SET {_assignments(attributes)}",
            _as_values(attributes) | ({} if replaces is None else {":replaces": replaces}),
            "attribute_not_exists(version)" if replaces is None else "version = :replaces",
        )
        copies = [_pending_copy(each, now) for each in (incident, ended) if each is not None]
        return self._table.update_together([latest, *copies])

    def kept(self, key: IncidentKey) -> Kept | None:
        """Return the incident as it was last written."""
        item = self._table.item(copy_key(*key), _KEPT)
        return self._kept(key, item) if item else None

    def changed_since(self, database: str, since: datetime | None) -> dict[str, Kept | StoreError]:
        """Return the incidents of the database by their IDs, or why one cannot be read: those with
        an entry since then and those that are not closed, all of them where `since` is None.
        """
        key = copy_key(database, "")
        values: dict[str, Any] = {":database": key[PARTITION_KEY], ":incident": key[SORT_KEY]}
        only = None
        if since is not None:
            only = f"{EXPIRY} >= :expiry OR progress <> :closed"
            expiry = int((since + KEPT_FOR).timestamp())
            values |= {":expiry": expiry, ":closed": Progress.CLOSED.value}
        items = self._table.query(
            f"{PARTITION_KEY} = :database AND begins_with({SORT_KEY}, :incident)",
            values,
            attributes=f"{PARTITION_KEY}, {SORT_KEY}, {_KEPT}",
            only=only,
        )
        found: dict[str, Kept | StoreError] = {}
        for item in items:
            key_of_item = key_of_copy(item)
            try:
                found[key_of_item[1]] = self._kept(key_of_item, item)
            except StoreError as error:
                found[key_of_item[1]] = error
        return found

    def pending(self, now: datetime) -> list[Pending]:
        """Return the incidents that a channel may have to be notified of by now; what was written
        within the last moment may be missing.
        """
        items = self._table.query(
            f"{PENDING} = :pending AND {DUE_AT} <= :now",
            {":pending": PENDING, ":now": sortable(now)},
            index=PENDING_INDEX,
        )
        return [_pending(key_of_copy(item), item) for item in items]

    def put_notified(self, key: IncidentKey, channel: str, notified: Notified) -> Pending:
        """Write what the channel has been notified of; return what every channel has been."""
        item = self._table.update(
            Update(
                copy_key(*key),
                "SET channels.#channel = :notified",
                {":notified": notified_body(notified)},
                "attribute_exists(channels)",
                {"#channel": channel},
            )
        )
        if item is None:
            raise StoreError(f"table {self._table.name}: incident {key[1]} of {key[0]} is gone")
        return _pending(key, item)

    def settle(self, key: IncidentKey, version: int, *, due_at: datetime | None) -> None:
        """Take the incident of that version from the index, until `due_at` where that is given;
        leave it there where it has changed.
        """
        update = Update(
            copy_key(*key),
            f"REMOVE {PENDING}, {DUE_AT}, {PENDING_SINCE}"
            if due_at is None
            else f"SET {PENDING} = :pending, {DUE_AT} = :due_at REMOVE {PENDING_SINCE}",
            {":version": version}
            | ({} if due_at is None else {":pending": PENDING, ":due_at": sortable(due_at)}),
            "version = :version",
        )
        self._table.update(update)

    def _kept(self, key: IncidentKey, item: Values) -> Kept:
        database, incident_id = key
        incident = self._incident(database, item, f", {incident_id}")
        due_at = item.get(DUE_AT)
        return Kept(
            incident, _channels_of(item), datetime.fromisoformat(due_at) if due_at else None
        )

    def _incident(self, database: str, item: Values, place: str = "") -> Incident:
        try:
            return incident_of(bytes(item["body"].value))
        except _UNREADABLE as error:
            raise StoreError(
                f"table {self._table.name}{place}: the incident of {database} cannot be read: "
                f"{error!r}"
            ) from error


def _pending_copy(incident: Incident, now: datetime) -> Update:
    attributes = _attributes_of(incident)
    kept = "channels = if_not_exists(channels, :none)"
    if incident.matters:
        attributes |= {PENDING: PENDING, DUE_AT: sortable(now)}
        kept += f", {PENDING_SINCE} = if_not_exists({PENDING_SINCE}, :{DUE_AT})"
    return Update(
        copy_key(incident.database, incident.id),
        f"SET {_assignments(attributes)}, {kept}",
        _as_values(attributes) | {":none": {}},
    )


def _attributes_of(incident: Incident) -> dict[str, Any]:
    return dict(attributes_of(incident, headline_of(incident)))


def _assignments(attributes: Values) -> str:
    return ", ".join(f"{name} = :{name}" for name in attributes)


def _as_values(attributes: Values) -> dict[str, Any]:
    return {f":{name}": value for name, value in attributes.items()}


def _pending(key: IncidentKey, item: Values) -> Pending:
    since = item.get(PENDING_SINCE) or item.get(DUE_AT)
    return Pending(
        key,
        int(item["version"]),
        _channels_of(item),
        datetime.fromisoformat(since) if since else None,
    )


def _channels_of(item: Values) -> Mapping[str, Notified]:
    """Return what can be read: a channel is notified anew rather than no channel of anything."""
    channels = {}
    for name, body in item.get("channels", {}).items():
        with suppress(LookupError, TypeError, ValueError):
            channels[name] = notified_of(body)
    return channels
