"""How many connections a server has to give, and the limits below its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Capacity:
    """The connections of a server, and each reservation that keeps applications from some of them,
    by the name of its setting.
    """

    max_connections: int
    reservations: Mapping[str, int]

    @property
    def usable(self) -> int:
        """The connections that applications can really get."""
        return max(self.max_connections - sum(self.reservations.values()), 1)


class LimitOwner(StrEnum):
    """What a connection limit is set on."""

    ROLE = "role"
    DATABASE = "database"


@dataclass(frozen=True, slots=True)
class ConnectionLimit:
    """A role's or a database's own limit, and how many sessions count against it."""

    owner: LimitOwner
    name: str
    limit: int
    used: int

    @property
    def utilisation(self) -> float:
        """Percent of the limit in use; a limit of 0 admits nobody and counts as full."""
        return 100 * self.used / self.limit if self.limit else 100.0
