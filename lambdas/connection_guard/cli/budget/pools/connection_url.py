"""Where a connection string leads, and its parameters. Its password goes nowhere."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

_SCHEME = re.compile(r"((?:jdbc:)?postgres(?:ql)?(?:\+\w+)?:)//")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}|\[[0-9A-Fa-f:.]+\]")
_WORD = re.compile(r"([A-Za-z][\w ]*?)\s*=\s*('(?:[^'\\]|\\.)*'|[^\s;]*)")


@dataclass(frozen=True, slots=True)
class ConnectionUrl:
    """What of a connection string may be shown. `host` is None where it cannot be read safely."""

    scheme: str
    host: str | None
    parameters: Mapping[str, str]


def connection_url(value: str) -> ConnectionUrl | None:
    """Return what a URL of PostgreSQL says, or a string such as "host=db dbname=orders"; None where
    it is neither.
    """
    value = value.strip()
    match = _SCHEME.match(value.lower())
    if match is None:
        return _keywords(value)
    try:
        parts = urlsplit(f"x:{value[match.end(1) :]}")
    except ValueError:
        return ConnectionUrl(match[1], None, {})
    # A password that is not quoted can end the part with the host too soon.
    is_torn = "@" in parts.path + parts.fragment
    authority = "" if is_torn else parts.netloc.rpartition("@")[2]
    host = authority.partition(",")[0]
    host = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
    parameters = dict(parse_qsl(parts.query))
    host = host or parameters.get("host", "")
    return ConnectionUrl(
        match[1], host.lower() if _HOST.fullmatch(host) else None, {} if is_torn else parameters
    )


def _keywords(value: str) -> ConnectionUrl | None:
    found = {
        key.strip().lower().replace(" ", "_"): word.strip("'") for key, word in _WORD.findall(value)
    }
    host = found.get("host", found.get("server"))
    if host is None or not found.keys() & {"dbname", "database", "user", "username", "port"}:
        return None
    return ConnectionUrl("", host.lower() if _HOST.fullmatch(host) else None, found)
