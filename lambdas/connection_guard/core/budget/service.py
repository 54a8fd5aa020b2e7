"""A service that has pools, and how many connections it may open."""

from dataclasses import dataclass, replace

# Kubernetes' own default for a Deployment (Kubernetes API reference, RollingUpdateDeployment).
DEFAULT_SURGE = "25%"


@dataclass(frozen=True, slots=True)
class Service:
    """What opens connections to a database: a deployment, a task, a container, or a pooler.

    `replicas` are as many as an autoscaler may start, `surge` those that a rolling update adds.
    Each process has a pool of `pool_size`, and `overflow` beyond that. `pool_size` is None where it
    is not known; then `missing` says what to write, and where. `notes` say how figures were found
    that are written nowhere. `place` is where it was read, such as "values.yaml:12".

    `host` is where its connections go, and `database` the name that guard.toml has for that; each
    is None where it is not known. `is_pooler` marks what others connect to in place of the
    database, `answers_to` the names by which they do, and `through` names the pooler of a service
    that has one: it counts nothing itself. `application` is its application_name.
    """

    name: str
    place: str
    replicas: int
    surge: int
    processes: int
    pool_size: int | None
    overflow: int = 0
    notes: tuple[str, ...] = ()
    missing: str = ""
    host: str | None = None
    database: str | None = None
    is_pooler: bool = False
    answers_to: frozenset[str] = frozenset()
    through: str | None = None
    application: str = ""

    @property
    def pools(self) -> int:
        """How many pools there are at most: one per process of every replica."""
        return (self.replicas + self.surge) * self.processes

    @property
    def largest_pool(self) -> int:
        """The connections that one process may open; 0 where that is not known."""
        return (self.pool_size or 0) + self.overflow

    @property
    def connections(self) -> int | None:
        """The connections that it may open, None where that is not known."""
        return None if self.pool_size is None else self.pools * self.largest_pool


@dataclass(frozen=True, slots=True)
class DeclaredService:
    """A service as guard.toml declares it: what is None is read from files, or has its default.

    `surge` is a number of replicas, or a percentage of them as text. `is_proxy` marks the
    database's own RDS Proxy, whose pool counts in place of those behind it.
    """

    name: str
    place: str
    database: str | None
    replicas: int | None
    maximum_replicas: int | None
    surge: int | str | None
    processes: int | None
    pool_size: int | None
    overflow: int | None
    is_proxy: bool
    application: str | None


def surge_of(written: int | str, replicas: int) -> int:
    """Return how many replicas a rolling update adds, by a number or a percentage such as "25%",
    which is rounded up as Kubernetes does.
    """
    if isinstance(written, int):
        return written
    percent = int(written.removesuffix("%"))
    return -(-replicas * percent // 100)


def declared(written: DeclaredService, found: Service | None = None) -> Service:
    """Return the service that is declared, with what was read of the same service for the rest."""
    service = found or Service(
        written.name,
        written.place,
        replicas=1,
        surge=0 if written.is_proxy else surge_of(DEFAULT_SURGE, 1),
        processes=1,
        pool_size=None,
        missing=f"write pool_size in {written.place}",
        is_pooler=written.is_proxy,
    )
    if replicas := max(written.replicas or 0, written.maximum_replicas or 0):
        service = replace(service, replicas=replicas, surge=surge_of(DEFAULT_SURGE, replicas))
    if written.surge is not None:
        service = replace(service, surge=surge_of(written.surge, service.replicas))
    if written.pool_size is not None:
        service = replace(service, pool_size=written.pool_size, overflow=0, missing="", notes=())
    return replace(
        service,
        place=written.place if found is None else f"{found.place}, {written.place}",
        database=written.database or service.database,
        processes=written.processes or service.processes,
        overflow=service.overflow if written.overflow is None else written.overflow,
        application=written.application or service.application,
    )
