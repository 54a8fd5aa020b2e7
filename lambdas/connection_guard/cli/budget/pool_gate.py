"""What the verb `budget` found: a budget per database, and the services that have none."""

from collections.abc import Mapping
from dataclasses import dataclass

from connection_guard.core.budget.observed import Seen
from connection_guard.core.budget.pool_budget import PoolBudget
from connection_guard.core.budget.service import Service


@dataclass(frozen=True, slots=True)
class DatabaseGate:
    """One database's budget, and where its usable connections are from.

    `observed` are the sessions by service and `undeclared` those of no service, None where no live
    database was asked.
    """

    budget: PoolBudget
    usable_from: str
    observed: Mapping[str, Seen] | None = None
    undeclared: Mapping[str, Seen] | None = None

    @property
    def beyond(self) -> list[str]:
        """The services that have opened more than they may."""
        return [
            each.name
            for each in self.budget.counted
            if each.connections is not None
            and self.observed is not None
            and self.observed.get(each.name, Seen(0, 0)).most > each.connections
        ]

    @property
    def fits(self) -> bool:
        """Whether all pools are known and fit, and no service has opened more than its own."""
        return not (self.budget.over or self.budget.unknown or self.beyond)


@dataclass(frozen=True, slots=True)
class Gate:
    """The databases; the services whose database is not known, and those of other databases."""

    databases: tuple[DatabaseGate, ...]
    unplaced: tuple[Service, ...]
    elsewhere: tuple[Service, ...]

    @property
    def fits(self) -> bool:
        """Whether every database fits and every service has one."""
        return all(each.fits for each in self.databases) and not self.unplaced
