"""The DynamoDB table of incidents: its keys, and how an incident becomes an item.

The latest incident of a database is the item `database#<identifier>`, `incident`, which also says
who tells of it. Every incident, the latest too, is a copy under `database#<identifier>`,
`incident#<its id>`.
"""

import gzip
import json
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from datetime import datetime, timedelta
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from connection_guard.core.incident.incident import Incident

PARTITION_KEY = "pk"
SORT_KEY = "sk"
EXPIRY = "expires_at"

KEPT_FOR = timedelta(days=400)


def latest_key(database: str) -> dict[str, str]:
    """Where the latest incident lies."""
    return {PARTITION_KEY: f"database#{database}", SORT_KEY: "incident"}


def copy_key(database: str, incident_id: str) -> dict[str, str]:
    """Where an incident stays when another is the latest."""
    return {PARTITION_KEY: f"database#{database}", SORT_KEY: f"incident#{incident_id}"}


def attributes_of(incident: Incident) -> dict[str, str | int | bytes]:
    """What an item holds of an incident: the whole in `body`, and what a person reads in the table
    beside it.
    """
    return {
        "version": incident.version,
        "opened_at": incident.opened_at.isoformat(),
        "progress": incident.progress.value,
        "headline": incident.headline,
        EXPIRY: int((incident.entries[-1].at + KEPT_FOR).timestamp()),
        "body": body_of(incident),
    }


def body_of(incident: Incident) -> bytes:
    """The whole incident."""
    return gzip.compress(json.dumps(asdict(incident), default=datetime.isoformat).encode(), mtime=0)


def incident_of(body: bytes) -> Incident:
    """What `body_of` wrote, also by a version that knew fewer fields, or more."""
    incident = _read(Incident, json.loads(gzip.decompress(body)))
    assert isinstance(incident, Incident)
    return incident


def _read(kind: Any, value: Any) -> Any:
    """A value of the type from its JSON."""
    if get_origin(kind) is UnionType:
        (kind,) = (each for each in get_args(kind) if each is not NoneType)
        return None if value is None else _read(kind, value)
    if get_origin(kind) is tuple:
        kinds = get_args(kind)
        if kinds[-1] is Ellipsis:
            kinds = kinds[:1] * len(value)
        return tuple(_read(each, item) for each, item in zip(kinds, value, strict=True))
    if is_dataclass(kind) and isinstance(kind, type):
        return _read_fields(kind, value)
    if kind is datetime:
        return datetime.fromisoformat(value)
    return kind(value)


def _read_fields(kind: type, value: Mapping[str, Any]) -> Any:
    kinds = get_type_hints(kind)
    known = [field.name for field in fields(kind) if field.name in value]
    return kind(**{name: _read(kinds[name], value[name]) for name in known})
