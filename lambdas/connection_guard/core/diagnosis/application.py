"""Whose sessions they are, in the words of a report: names, last statements, and what may be set
for a role.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from connection_guard.core.database.session import Session
from connection_guard.core.diagnosis.cause import Case, Figures
from connection_guard.core.words import identifier, printable

# What a client library says between two uses of a session, whatever the application does:
# transaction control, settings, resets, and the question whether the session still lives.
_BETWEEN_USES = re.compile(
    r"""(?: ABORT | BEGIN | CLOSE | COMMIT | DEALLOCATE | DISCARD | END | RELEASE | RESET
            | ROLLBACK | SAVEPOINT | SET | SHOW | START \s TRANSACTION | UNLISTEN )\b
        | SELECT \s \? $
        | SELECT \s (?: pg_catalog \. )? (?: pg_advisory_unlock_all | set_config ) \b""",
    re.IGNORECASE | re.VERBOSE,
)
_PUTS_BACK = re.compile(r"(?:DISCARD|RESET|UNLISTEN)\b", re.IGNORECASE)
_SETS_UP = re.compile(r"(?:SET|SHOW)\b", re.IGNORECASE)

IDLE_SESSION_TIMEOUT_SINCE = 140_000


@dataclass(frozen=True, slots=True)
class Application:
    """The application, as a role, that most of some sessions belong to, and the addresses that it
    logs in from.
    """

    role: str
    name: str
    largest_address: str
    addresses: int
    sessions: int

    def __str__(self) -> str:
        name = f"application {quoted(self.name)}" if self.name else "unnamed application"
        return (
            f"{name} (role {quoted(self.role)})" if self.role else f"{name} (its role was dropped)"
        )

    @property
    def evidence(self) -> Figures:
        """Who it is, in figures."""
        return {
            "role": shown(self.role),
            "application": shown(self.name),
            "clients": self.addresses,
            "largest client": at_address(self.largest_address),
        }


def application_of(sessions: Iterable[Session]) -> Application:
    """Return the application that most of the sessions belong to; there is at least one session."""
    applications: dict[tuple[str, str], Counter[str]] = {}
    for session in sessions:
        applications.setdefault((session.role, session.application_name), Counter())[
            session.client_address
        ] += 1
    (role, name), addresses = max(applications.items(), key=lambda item: item[1].total())
    return Application(
        role, name, addresses.most_common(1)[0][0], len(addresses), addresses.total()
    )


def share_of(application: Application, sessions: Sequence[Session]) -> str:
    """Return how many of the sessions are the application's: "most of them" only where they are
    more than half.
    """
    if application.sessions == len(sessions):
        return f"all of them of {application}"
    if 2 * application.sessions > len(sessions):
        return f"most of them of {application}"
    return f"{application.sessions} of them of {application}"


def pools_by_application(sessions: Iterable[Session]) -> list[list[list[Session]]]:
    """Return each application's pools, one per address; what RDS Proxy owns is the proxy's pool,
    and no client's.
    """
    applications: dict[tuple[str, str], dict[str, list[Session]]] = {}
    for session in sessions:
        if not session.is_owned_by_proxy:
            pools = applications.setdefault((session.role, session.application_name), {})
            pools.setdefault(session.client_address, []).append(session)
    return [list(pools.values()) for pools in applications.values()]


def was_given_back(session: Session) -> bool:
    """Whether its last statement shows that its pool has it: it was opened and not used yet, or was
    reset.
    """
    last = _statements(session.query)
    return (
        not last
        or bool(_PUTS_BACK.match(last[-1]))
        or all(_SETS_UP.match(statement) for statement in last)
    )


def most_common_query(sessions: Iterable[Session]) -> str:
    """Return the last statement of most sessions, empty where none says what the application
    does.
    """
    queries = Counter(session.query for session in sessions)
    return next(
        (shown(query, 500) for query, _ in queries.most_common() if _says_something(query)), ""
    )


def _says_something(query: str) -> bool:
    return not all(_BETWEEN_USES.match(statement) for statement in _statements(query))


def _statements(query: str) -> list[str]:
    return [statement.strip() for statement in query.split(";") if statement.strip()]


def end_idle_transactions(case: Case, role: str) -> str | None:
    """Return the statement that bounds a role's idle transactions, None where it cannot be
    advised.
    """
    if not role or role in case.protected_roles:
        return None
    return f"ALTER ROLE {identifier(role)} SET idle_in_transaction_session_timeout = '1min'"


def end_idle_sessions(case: Case, role: str) -> str | None:
    """Return the statement that bounds a role's idle sessions, None where it cannot be advised.

    It would end listeners and holders of advisory locks, too. PostgreSQL has it since 14 (release
    notes).
    """
    on_duty = any(
        session.role == role and (session.is_listening or session.holds_advisory_lock)
        for session in case.sessions
    )
    is_known = case.snapshot.measurement.server.version >= IDLE_SESSION_TIMEOUT_SINCE
    if not role or role in case.protected_roles or on_duty or not is_known:
        return None
    return f"ALTER ROLE {identifier(role)} SET idle_session_timeout = '15min'"


def oldest_state_change(sessions: Iterable[Session]) -> datetime | None:
    """Return when the first of the sessions entered its state."""
    return min((session.state_change for session in sessions if session.state_change), default=None)


def at_address(address: str) -> str:
    """Return where an application logs in from."""
    return address or "local socket"


def clients(number: int) -> str:
    """Return a number of clients' addresses in words."""
    return "1 client" if number == 1 else f"{number} clients"


def quoted(name: str) -> str:
    """Return a name in quotation marks."""
    return f'"{shown(name)}"'


def shown(text: str, length: int = 500) -> str:
    """Return a client's text as one printable line, cut where it is too long."""
    line = printable(text[: 2 * length])
    return line if len(line) <= length else f"{line[: length - 1]}…"
