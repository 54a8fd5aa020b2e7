"""The DynamoDB table of incidents: its keys, and how an incident becomes an item.

The latest incident of a database is the item `database#<identifier>`, `incident`. Every incident,
the latest too, has a copy under `database#<identifier>`, `incident#<its id>`, which also says what
each channel has been notified of it, and is in the index PENDING_INDEX while a channel has yet to
be notified of something. A channel's lane, the right to call it, is `channel#<its name>`, `lane`.
"""

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from datetime import datetime, timedelta
from functools import cache, partial
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from connection_guard.core.incident.incident import Incident

PARTITION_KEY = "pk"
SORT_KEY = "sk"
EXPIRY = "expires_at"

# An item is in the index only while it has both of these: PENDING is always the same, DUE_AT is a
# time. PENDING_SINCE does not move with further changes.
PENDING_INDEX = "pending"
PENDING = "pending"
DUE_AT = "due_at"
PENDING_SINCE = "pending_since"
PENDING_PROJECTION = ("version", "channels", PENDING_SINCE)

KEPT_FOR = timedelta(days=400)

# Fields of an incident that an older version wrote under another name.
_FORMER_NAMES = {"context": "circumstances"}


def latest_key(database: str) -> dict[str, str]:
    """Return the key of the latest incident."""
    return {PARTITION_KEY: f"database#{database}", SORT_KEY: "incident"}


def copy_key(database: str, incident_id: str) -> dict[str, str]:
    """Return the key of the copy, which stays when another is the latest."""
    return {PARTITION_KEY: f"database#{database}", SORT_KEY: f"incident#{incident_id}"}


def key_of_copy(key: Mapping[str, str]) -> tuple[str, str]:
    """Return the database and the incident's id that a copy's key names."""
    return (
        key[PARTITION_KEY].partition("#")[2],
        key[SORT_KEY].partition("#")[2],
    )


def lane_key(channel: str) -> dict[str, str]:
    """Return the key of a channel's lane."""
    return {PARTITION_KEY: f"channel#{channel}", SORT_KEY: "lane"}


def attributes_of(incident: Incident, headline: str) -> dict[str, str | int | bytes]:
    """Return what an item holds of an incident: the whole in `body`, and beside it what a person
    reads in the table.
    """
    return {
        "version": incident.version,
        "opened_at": incident.opened_at.isoformat(),
        "progress": incident.progress.value,
        "headline": headline,
        EXPIRY: int((incident.entries[-1].at + KEPT_FOR).timestamp()),
        "body": body_of(incident),
    }


def body_of(incident: Incident) -> bytes:
    """Return the whole incident."""
    text = json.dumps(asdict(incident), default=datetime.isoformat, ensure_ascii=False)
    # A database's names may hold half a character.
    return gzip.compress(text.encode(errors="surrogatepass"), mtime=0)


def incident_of(body: bytes) -> Incident:
    """Return what `body_of` wrote, also in a version that knew fewer fields, or more."""
    incident = read_value(Incident, json.loads(gzip.decompress(body)))
    assert isinstance(incident, Incident)
    return incident


def read_value(kind: Any, value: Any) -> Any:
    """Return a value of the type from its JSON; a field without its value there has its default."""
    return _reader_of(kind)(value)


@cache
def _reader_of(kind: Any) -> Callable[[Any], Any]:
    """Return a function that reads values of the type: finding out how takes far longer."""
    if get_origin(kind) is UnionType:
        (kind,) = (each for each in get_args(kind) if each is not NoneType)
        read = _reader_of(kind)
        return lambda value: None if value is None else read(value)
    if get_origin(kind) is tuple:
        first, *others = map(_reader_of, (each for each in get_args(kind) if each is not Ellipsis))
        if get_args(kind)[-1] is Ellipsis:
            return lambda value: tuple(map(first, value))
        readers = (first, *others)
        return lambda value: tuple(read(item) for read, item in zip(readers, value, strict=True))
    if is_dataclass(kind) and isinstance(kind, type):
        return partial(_read_fields, kind, get_type_hints(kind))
    return datetime.fromisoformat if kind is datetime else kind


def _read_fields(kind: type, kinds: Mapping[str, Any], value: Mapping[str, Any]) -> Any:
    written = {_FORMER_NAMES.get(name, name): each for name, each in value.items()}
    known = {name: each for name, each in written.items() if name in kinds}
    return kind(**{name: _reader_of(kinds[name])(each) for name, each in known.items()})
