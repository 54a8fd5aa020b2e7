"""What AWS says of an account's databases, as plain values: gathered once, decided on later."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class FoundSubnet:
    """A subnet of a DB subnet group, and its availability zone."""

    identifier: str
    zone: str


@dataclass(frozen=True, slots=True)
class ParameterGroup:
    """A parameter group by its name; a cluster's and an instance's are different things."""

    name: str
    is_of_cluster: bool


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter that its group sets. `takes_reboot` says that a change waits for one."""

    name: str
    value: str
    takes_reboot: bool


@dataclass(frozen=True, slots=True)
class FoundDatabase:
    """A DB instance, or a cluster, with a PostgreSQL engine that the guard can look after.

    `kind` is "instance" or "cluster", as guard.toml has it. Of a cluster, class, subnets and being
    public are the writer's. `groups` are its parameter groups, of which the first that sets a
    parameter counts, and `rebooting` those that wait for a reboot. The ACUs are None where the
    class is not that of Serverless v2.
    """

    kind: str
    identifier: str
    arn: str
    resource_id: str
    engine: str
    version: str
    status: str
    host: str
    port: int
    instance_class: str
    minimum_acu: float | None
    maximum_acu: float | None
    has_iam: bool
    iam_is_pending: bool
    is_public: bool
    writer: str
    vpc: str
    subnets: tuple[FoundSubnet, ...]
    security_groups: tuple[str, ...]
    groups: tuple[ParameterGroup, ...]
    rebooting: frozenset[ParameterGroup]
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def account(self) -> str:
        """The AWS account that owns it."""
        return self.arn.split(":")[4]

    @property
    def is_multi_az_cluster(self) -> bool:
        """Whether it is a cluster of RDS, and not of Aurora."""
        return self.kind == "cluster" and self.engine == "postgres"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A database that gets no table, and why not. An instance of a cluster is one that a person may
    still have written into guard.toml.
    """

    kind: str
    identifier: str
    why: str
    is_of_cluster: bool = False


@dataclass(frozen=True, slots=True)
class ProxyLogin:
    """A secret that a proxy logs in with. `user` is None where AWS shows only the secret; `texts`
    are what people wrote about it.
    """

    secret: str
    user: str | None
    texts: tuple[str, ...]
    takes_tokens: bool


@dataclass(frozen=True, slots=True)
class FoundProxy:
    """An RDS Proxy, and the databases behind it: (kind, identifier). `borrow_seconds` is None where
    it could not be read.
    """

    name: str
    host: str
    resource_id: str
    security_groups: tuple[str, ...]
    is_iam_end_to_end: bool
    logins: tuple[ProxyLogin, ...]
    targets: frozenset[tuple[str, str]]
    borrow_seconds: int | None


@dataclass(frozen=True, slots=True)
class MissingFact:
    """What could not be found out, for want of which permission."""

    action: str
    fact: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is around the databases.

    `parameters` has each group that could be read; `proxies` and `public_subnets` are None where
    they could not be. `memory_gib` has those classes that only EC2 knows.
    """

    parameters: Mapping[ParameterGroup, tuple[Parameter, ...]] = field(default_factory=dict)
    proxies: tuple[FoundProxy, ...] | None = ()
    public_subnets: frozenset[str] | None = None
    memory_gib: Mapping[str, float] = field(default_factory=dict)
    missing: tuple[MissingFact, ...] = ()
