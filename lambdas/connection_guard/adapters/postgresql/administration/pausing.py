"""Pauses the guard of a server, and ends the pause.

Roles belong to a whole server, and so does the pause: it holds in each of its databases. Its end is
the VALID UNTIL of the role that pauses, and its note is the comment on it, which `\\du+` of psql
shows.
"""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Literal

from connection_guard.adapters.postgresql.guard_session import GuardSession, execute
from connection_guard.adapters.postgresql.names import identifier
from connection_guard.adapters.postgresql.roles import PAUSING_ROLE
from connection_guard.core.words import shown
from connection_guard.errors import StatementError

NOTE_MOST = 300

# PostgreSQL manual, appendix A "PostgreSQL Error Codes".
INSUFFICIENT_PRIVILEGE = "42501"
UNDEFINED_OBJECT = "42704"
UNTRANSLATABLE_CHARACTER = "22P05"


def pause_guard(
    session: GuardSession, guard_roles: Collection[str], lasts: timedelta | None, note: str
) -> None:
    """Let every run of the guard only observe, for that long by the database's clock, or until it
    is resumed.

    A pause that lasts already is replaced. Raise StatementError where the session's role may not do
    it, and DatabaseError as `execute` does.
    """
    parameters = {
        "roles": _array(guard_roles),
        "lasts": lasts,
        "note": shown(note, NOTE_MOST).encode(),
    }
    _alter(session, "pause", guard_roles, parameters)


def resume_guard(session: GuardSession, guard_roles: Collection[str]) -> None:
    """End the pause of these roles, if there is one, and clear what an expired one has left.

    Raise as `pause_guard` does.
    """
    _alter(session, "resume", guard_roles, {"roles": _array(guard_roles)})


def paused_roles(session: GuardSession) -> tuple[str, ...]:
    """Return every role of the server that the present pause, or the last one, is granted to.

    Raise DatabaseError as `execute` does.
    """
    return tuple(row.role for row in execute(session, "paused_roles", {}))


def pausing_statement(verb: Literal["pause", "resume"], guard_roles: Collection[str]) -> str:
    """Return what a person runs by hand, without an end or a note."""
    roles = ", ".join(map(identifier, guard_roles))
    return {
        # With the end of an earlier pause, which has passed, the GRANT alone has no effect.
        "pause": f"ALTER ROLE {PAUSING_ROLE} VALID UNTIL 'infinity'; "
        f"GRANT {PAUSING_ROLE} TO {roles};",
        "resume": f"REVOKE {PAUSING_ROLE} FROM {roles};",
    }[verb]


def _alter(
    session: GuardSession,
    verb: Literal["pause", "resume"],
    guard_roles: Collection[str],
    parameters: Mapping[str, object],
) -> None:
    try:
        execute(session, verb, parameters)
    except StatementError as error:
        raise StatementError(
            _explained(error, session.door.role, verb, guard_roles), sqlstate=error.sqlstate
        ) from error


def _explained(
    error: StatementError,
    role: str,
    verb: Literal["pause", "resume"],
    guard_roles: Collection[str],
) -> str:
    if error.sqlstate == INSUFFICIENT_PRIVILEGE:
        return (
            f"role {identifier(role)} may not {verb} the guard: log in with --user as the one "
            "that ran bootstrap.sql, usually the master user, or have it run: "
            f"{pausing_statement(verb, guard_roles)}"
        )
    if error.sqlstate == UNDEFINED_OBJECT:
        return (
            f"the guard's role does not exist on this server ({', '.join(guard_roles)}): run "
            "bootstrap.sql, or name its role in guard.toml"
        )
    if error.sqlstate == UNTRANSLATABLE_CHARACTER:
        return "the database's encoding lacks a character of the note: write it in ASCII"
    return str(error)


def _array(names: Collection[str]) -> str:
    """Return the names as PostgreSQL writes an array in a text."""
    quoted = (name.replace("\\", "\\\\").replace('"', '\\"') for name in names)
    return "{" + ",".join(f'"{name}"' for name in quoted) + "}"
