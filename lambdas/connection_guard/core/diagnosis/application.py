"""Which application some sessions belong to, in the words of a report."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from connection_guard.core.database.session import Session
from connection_guard.core.diagnosis.case import Figures
from connection_guard.core.words import quoted, shown


@dataclass(frozen=True, slots=True)
class Application:
    """The application, under one role, that most of a set of sessions belong to, and the addresses
    that it logs in from.
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
    """Return the application that most of the sessions belong to; there must be one session."""
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
        return f"all of them from {application}"
    if 2 * application.sessions > len(sessions):
        return f"most of them from {application}"
    return f"{application.sessions} of them from {application}"


def pools_by_application(sessions: Iterable[Session]) -> list[list[list[Session]]]:
    """Return each application's pools, one per address, without the sessions that RDS Proxy
    pools.
    """
    applications: dict[tuple[str, str], dict[str, list[Session]]] = {}
    for session in sessions:
        if not session.is_owned_by_proxy:
            pools = applications.setdefault((session.role, session.application_name), {})
            pools.setdefault(session.client_address, []).append(session)
    return [list(pools.values()) for pools in applications.values()]


def most_common_query(sessions: Iterable[Session]) -> str:
    """Return the most common last statement that shows what the application does, "" where none
    does.
    """
    queries = Counter(
        session.query for session in sessions if not session.last_use.says_nothing
    ).most_common(1)
    return shown(queries[0][0]) if queries else ""


def oldest_state_change(sessions: Iterable[Session]) -> datetime | None:
    """Return when the first of the sessions entered its state."""
    return min((session.state_change for session in sessions if session.state_change), default=None)


def at_address(address: str) -> str:
    """Return where an application logs in from."""
    return address or "local socket"


def clients(number: int) -> str:
    """Return a number of clients' addresses in words."""
    return "1 client" if number == 1 else f"{number} clients"
