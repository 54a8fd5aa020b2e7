"""Read the values that only a policy has: which sessions a rule or a protection matches."""

import re
from fnmatch import translate
from ipaddress import IPv4Network, IPv6Network, ip_network

from connection_guard.adapters.postgresql.names import BEYOND_PRINTABLE_ASCII, LONGEST_NAME
from connection_guard.configuration.toml.readers import MistakeError, given, one_of
from connection_guard.core.database.session import SessionState
from connection_guard.core.decision.judge import NEVER_VICTIMS

VICTIM_STATES = tuple(state for state in SessionState if state not in NEVER_VICTIMS)


def state(value: object) -> SessionState:
    """Read a state in which a session can be terminated."""
    if isinstance(value, str) and value in NEVER_VICTIMS:
        raise MistakeError(
            f"{given(value)} sessions are never terminated, because PostgreSQL does not show what "
            "they are doing; leave it out"
        )
    return one_of(VICTIM_STATES)(value)


# A bracket expression as fnmatch reads it: a "]" that comes first is one of the characters.
BRACKETS = re.compile(r"\[!?+\]?+[^\]]*\]")


def glob(value: object) -> str:
    """Read a glob of roles or databases."""
    if not isinstance(value, str) or not value:
        raise MistakeError(
            f'{given(value)} is not a name or glob; write one such as "batch" or "batch_*"'
        )
    if "%" in value or ".*" in value:
        raise MistakeError(
            f"{given(value)} looks like a LIKE pattern or a regular expression; write a glob, such "
            'as "batch_*"'
        )
    if "[" in BRACKETS.sub("", value):
        raise MistakeError(
            f'{given(value)} has a "[" that is never closed; write "[[]" for the character itself'
        )
    if "(?!)" in translate(value):  # what fnmatch makes of a range that runs backwards
        raise MistakeError(
            f"{given(value)} has a range in reverse order, which can never match; swap its ends"
        )
    if len(BRACKETS.sub("?", value).replace("*", "").encode(errors="replace")) > LONGEST_NAME:
        raise MistakeError(
            f"{given(value)} can never match, because PostgreSQL cuts names to {LONGEST_NAME} "
            'bytes; write a shorter beginning, followed by "*"'
        )
    return value


def application_glob(value: object) -> str:
    """Read a glob of applications, whose names PostgreSQL stores in printable ASCII."""
    written = glob(value)
    stored = BEYOND_PRINTABLE_ASCII.sub("*", BRACKETS.sub(_any_text_if_beyond_ascii, written))
    if stored != written:
        raise MistakeError(
            f"{given(value)} is not printable ASCII, and PostgreSQL stores any other character of "
            'an application_name as "?" (14 and 15) or as "\\xNN" (16 and later); write '
            f"{given(_STARS.sub('*', stored))}, which may also match other names"
        )
    return written


_STARS = re.compile(r"\*+")


def _any_text_if_beyond_ascii(brackets: re.Match[str]) -> str:
    return "*" if BEYOND_PRINTABLE_ASCII.search(brackets[0]) else brackets[0]


def network(value: object) -> IPv4Network | IPv6Network:
    """Read the address of one client, or a network of them."""
    example = 'write one such as "10.1.2.3", "10.1.0.0/16" or "fd00::/8"'
    if not isinstance(value, str):
        raise MistakeError(f"{given(value)} is not an address or network; {example}")
    try:
        with_host_bits_cleared = ip_network(value, strict=False)
    except ValueError as error:
        raise MistakeError(f"{given(value)} is not an address or network; {example}") from error
    try:
        return ip_network(value)
    except ValueError as error:
        address = value.partition("/")[0]
        raise MistakeError(
            f'{given(value)} has host bits set; write "{with_host_bits_cleared}", or "{address}" '
            "for that client only"
        ) from error


def only_when_terminating(_: object) -> bool:
    """Refuse a key that says which sessions a rule terminates all the same."""
    raise MistakeError(
        'has no effect with action = "spare", which also spares such sessions; leave it out'
    )
