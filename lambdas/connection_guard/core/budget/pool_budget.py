"""The connections that the services of one database may open, against what it has to give."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from connection_guard.core.budget.fair_pools import fair_pools
from connection_guard.core.budget.service import DeclaredService, Service, declared
from connection_guard.core.words import counted as in_number

DEFAULT_SHARE = 80
RDS_PROXY = "RDS Proxy"


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the pool of a service could be, per process."""

    service: Service
    pool_size: int
    overflow: int

    @property
    def connections(self) -> int:
        """The connections that the service may then open."""
        return self.service.pools * (self.pool_size + self.overflow)


@dataclass(frozen=True, slots=True)
class PoolBudget:
    """A database, its usable connections, the percentage of them that pools may open, and its
    services.
    """

    database: str
    usable: int
    share: int
    services: tuple[Service, ...]

    @property
    def limit(self) -> int:
        """The connections that pools may open together."""
        return self.usable * self.share // 100

    @property
    def counted(self) -> tuple[Service, ...]:
        """The services that open connections to the database itself, in order."""
        return tuple(each for each in self.services if each.through is None)

    @property
    def unknown(self) -> tuple[Service, ...]:
        """The counted services whose connections are not known."""
        return tuple(each for each in self.counted if each.connections is None)

    @property
    def opened(self) -> int:
        """The connections that all counted services may open, as far as that is known."""
        return sum(each.connections or 0 for each in self.counted)

    @property
    def over(self) -> int:
        """How many connections are too many; 0 where they fit."""
        return max(self.opened - self.limit, 0)

    def proposals(self) -> list[Proposal] | None:
        """Return what each pool that is to shrink could be, or None where not even 1 connection per
        process fits. Overflow is given up before the pool itself.
        """
        known = [each for each in self.counted if each.connections is not None]
        fair = fair_pools(known, self.limit)
        if fair is None:
            return None
        return [
            Proposal(each, min(each.pool_size or 0, pool), max(pool - (each.pool_size or 0), 0))
            for each, pool in zip(known, fair, strict=True)
            if pool < each.largest_pool
        ]

    @property
    def fewest(self) -> int:
        """The connections that one per process would be."""
        return sum(each.pools for each in self.counted if each.connections)

    def in_words(self) -> str:
        """Return the sum and what it is measured against, in one line."""
        line = (
            f"services may open {self.opened} connections; {self.share} % of {self.usable} usable "
            f"are {self.limit}"
        )
        if self.over:
            return f"{line}: over by {self.over}"
        if self.unknown:
            return f"{line}, without {in_number(len(self.unknown), 'pool of unknown size')}"
        return f"{line}: {self.limit - self.opened} to spare"


def with_declarations(
    found: Iterable[Service], declarations: Sequence[DeclaredService]
) -> list[Service]:
    """Return the services that were found, completed by the declarations of the same names, and
    those that are only declared.
    """
    by_name = {each.name: each for each in declarations}
    services = [
        declared(by_name[each.name], each) if each.name in by_name else each for each in found
    ]
    names = {each.name for each in services}
    return services + [declared(each) for each in declarations if each.name not in names]


def assigned(
    services: Iterable[Service],
    databases: Mapping[str, str],
    proxies: Mapping[str, str],
    database_of_all: str | None = None,
) -> list[Service]:
    """Return the services with the databases that they use, and the poolers that they go through.

    `databases` and `proxies` map the hosts of databases and of their RDS Proxies to the names of
    the databases. `database_of_all` is that of each service whose host is none of these. A declared
    proxy is a pooler that answers to no name of its own; where none is declared, RDS Proxy counts
    as many connections as its clients may open.
    """
    everyone = list(services)
    own_proxies = {
        each.database or database_of_all: each.name
        for each in everyone
        if each.is_pooler and not each.answers_to
    }
    poolers = {name: each for each in everyone if each.is_pooler for name in each.answers_to}

    def placed_one(service: Service, before: frozenset[str] = frozenset()) -> Service:
        host = (service.host or "").lower()
        pooler = poolers.get(host) or poolers.get(host.partition(".")[0])
        passed = before | {service.name}
        if pooler is not None and pooler.name not in passed:
            pooler = placed_one(pooler, passed)
            return replace(service, through=pooler.name, database=pooler.database)
        if host in proxies:
            name = proxies[host]
            return replace(service, through=own_proxies.get(name, RDS_PROXY), database=name)
        if service.database is not None:
            return service
        return replace(service, database=databases.get(host, database_of_all))

    placed = [placed_one(each) for each in everyone]
    return placed + [
        _undeclared_proxy(name, [each for each in placed if each.database == name])
        for name in dict.fromkeys(each.database for each in placed if each.through == RDS_PROXY)
        if name not in own_proxies
    ]


def _undeclared_proxy(database: str | None, services: Sequence[Service]) -> Service:
    """Return the proxy as a service. It opens no more connections than its clients do."""
    behind = [each for each in services if each.through == RDS_PROXY]
    known = [each.connections for each in behind if each.connections is not None]
    return Service(
        RDS_PROXY,
        place="",
        replicas=1,
        surge=0,
        processes=1,
        pool_size=sum(known) if len(known) == len(behind) else None,
        notes=("at most what its clients open; declare its own limit in guard.toml",),
        missing="declare it in guard.toml: [[services]] with proxy = true and pool_size, the "
        "connections that MaxConnectionsPercent leaves it",
        database=database,
        is_pooler=True,
    )
