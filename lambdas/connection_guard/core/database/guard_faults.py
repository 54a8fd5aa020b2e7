"""What keeps the guard itself from its work, as far as one run knows."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from connection_guard.core.database.door import DoorAttempt, DoorName
from connection_guard.core.database.snapshot import Measurement, Privileges
from connection_guard.errors import Refusal


class Fault(StrEnum):
    """A fault of the guard, as the log names it: it did not get in, cannot see the states of other
    sessions, may not terminate them, or has lost one of its two ways in.
    """

    LOCKED_OUT = "locked_out"
    SESSIONS_HIDDEN = "sessions_hidden"
    MISSING_GRANT = "missing_grant"
    DIRECT_DOOR_SHUT = "direct_door_shut"
    PROXY_DOOR_SHUT = "proxy_door_shut"


@dataclass(frozen=True, slots=True)
class DirectDoor:
    """The direct door as it was when it was last tried; `is_open` is None before the first time.
    `privileges` are those of the role behind it, None where they are not known.
    """

    is_open: bool | None = None
    privileges: Privileges | None = None

    @property
    def needs_test(self) -> bool:
        """Return whether it is not known to be in order."""
        return not (self.is_open and self.privileges and _can_work(self.privileges))


def faults_of(
    latest: Measurement | None,
    attempts: Sequence[DoorAttempt],
    direct: DirectDoor,
    critical_percent: float,
) -> tuple[Fault, ...]:
    """Return the faults that a run knows of; what is not known is in order.

    `latest` is None where the guard did not get in. A proxy that refuses the guard while the server
    is full is no fault: it has no connection to lend.
    """
    if latest is None:
        return (Fault.LOCKED_OUT,)
    roles = [latest.privileges, *([direct.privileges] if direct.privileges else [])]
    is_full = latest.utilisation >= critical_percent
    holds = {
        Fault.SESSIONS_HIDDEN: not all(each.reads_all_stats for each in roles),
        Fault.MISSING_GRANT: not all(each.signals_sessions for each in roles),
        Fault.DIRECT_DOOR_SHUT: direct.is_open is False,
        Fault.PROXY_DOOR_SHUT: _proxy_refused(attempts) and not is_full,
    }
    return tuple(fault for fault in holds if holds[fault])


def _proxy_refused(attempts: Sequence[DoorAttempt]) -> bool:
    at_proxy = [each for each in attempts if each.door is DoorName.PROXY]
    return bool(
        at_proxy and at_proxy[-1].error is not None and at_proxy[-1].refusal is not Refusal.FULL
    )


def _can_work(privileges: Privileges) -> bool:
    return privileges.reads_all_stats and privileges.signals_sessions
