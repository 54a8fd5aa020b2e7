"""The two ways into the database, and the attempts at them."""

from dataclasses import dataclass
from enum import StrEnum

from connection_guard.errors import Refusal


class DoorName(StrEnum):
    """Through RDS Proxy, or directly to the writer."""

    PROXY = "proxy"
    DIRECT = "direct"


@dataclass(frozen=True, slots=True)
class Door:
    """One way into the database, and the role that the guard logs in as there."""

    name: DoorName
    host: str
    port: int
    role: str


@dataclass(frozen=True, slots=True)
class DoorAttempt:
    """The result of trying one door during a run: `tries` logins within `seconds`; `error` is None
    where it opened.

    `is_reused` marks a session that was kept from an earlier run: the seat. `refusal` is that of
    the last error.
    """

    door: DoorName
    is_reused: bool
    tries: int
    seconds: float
    error: str | None
    refusal: Refusal | None = None
