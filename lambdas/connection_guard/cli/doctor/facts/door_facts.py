"""What was seen at a door, step by step as the responder goes: its name, its port, TLS, the login,
and the database behind it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from connection_guard.adapters.postgresql.examination.examine import Examination
from connection_guard.adapters.postgresql.examination.login_refusals import LoginRefusal
from connection_guard.cli.doctor.facts.check import Unknown
from connection_guard.core.database.door import Door
from connection_guard.core.database.snapshot import Measurement

_NOBODY = Unknown("nobody got in")


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a server's certificate says, after it was verified."""

    names: tuple[str, ...]
    issuer: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """How TLS began. `problem` is None where it did. `certificate` is None where it was not
    verified, which is a problem only where it should have been. `has_expired` is the problem that
    another certificate solves.
    """

    is_verified: bool
    version: str = ""
    certificate: Certificate | None = None
    problem: str | None = None
    has_expired: bool = False


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """What the network shows of a door. Each step is None where an earlier one failed.

    `addresses` are those of the host's name, or why there are none. `connected` is the address that
    answered, with its port, `connection_problem` why none did; `is_refused` says that nothing
    listens there.
    """

    addresses: tuple[str, ...] | str
    tunnel: tuple[str, int] | None
    connected: str | None = None
    connection_problem: str | None = None
    is_refused: bool = False
    tls: TlsFacts | None = None

    @property
    def obstacle(self) -> str | None:
        """What keeps a login from being tried, None where nothing does."""
        if isinstance(self.addresses, str) and self.tunnel is None:
            return "the host's name was not resolved"
        if self.connection_problem is not None:
            return "the port was not reached"
        if self.tls is not None and self.tls.problem is not None:
            return "TLS failed"
        return None


@dataclass(frozen=True, slots=True)
class LoginFacts:
    """What a login through a door showed.

    `obstacle` is why none was tried, `error` what refused it, and `refusal` what that means, None
    where it is not known. `clock_offset` is how far the
    database's clock is ahead of this machine's: zero where both agree as far as the time of the
    answer shows.
    """

    door: Door
    obstacle: str | None = None
    error: str | None = None
    refusal: LoginRefusal | None = None
    measurement: Measurement | None = None
    examination: Examination | Unknown = _NOBODY
    clock_offset: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class DoorFacts:
    """A door, and what was seen at it."""

    door: Door
    network: NetworkFacts
    login: LoginFacts
    seen_at: datetime
