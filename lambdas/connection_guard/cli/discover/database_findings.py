"""What would stop the deployment, or make the guard helpless: one line each, with its remedy.

No I/O.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from connection_guard.cli.discover.account.discovered import (
    FoundDatabase,
    FoundProxy,
    Parameter,
    Surroundings,
)
from connection_guard.cli.discover.wanted_tables import (
    PROXY_ROLE,
    guard_login,
    proxies_of,
    usable_subnets,
)
from connection_guard.configuration.max_connections.classes import KNOWN_CLASSES
from connection_guard.core.words import printable

OLDEST_VERSION, NEWEST_VERSION = 14, 18  # of PostgreSQL, on which the guard is tested
DEFAULT_BORROW_SECONDS = 120  # Amazon RDS User Guide, "RDS Proxy connection considerations"

# Other states in which a database serves its clients (Amazon RDS User Guide, "Viewing DB instance
# status"; Amazon Aurora User Guide, "Viewing DB cluster status").
_SERVING = re.compile(
    "available|backing-up|modifying|storage-(optimization|config-upgrade|initialization)"
    "|configuring-.*|update-iam-db-auth|scaling-compute|scaling-storage"
)
# What decides on how many connections the guard and applications can get.
_LIMITS = frozenset(
    {
        "max_connections",
        "reserved_connections",
        "superuser_reserved_connections",
        "rds.rds_reserved_connections",
        "rds.rds_superuser_reserved_connections",
    }
)


@dataclass(frozen=True, slots=True)
class DatabaseFinding:
    """What is wrong, with which database (None for the file as a whole), and what to do."""

    database: str | None
    problem: str
    remedy: str


def findings_of_database(
    database: FoundDatabase, surroundings: Surroundings
) -> list[DatabaseFinding]:
    """Return the findings about one database, the gravest first."""
    return [
        DatabaseFinding(database.identifier, problem, remedy)
        for problems in (
            _login(database),
            _reach(database, surroundings),
            _size(database, surroundings),
            _proxies(database, surroundings),
        )
        for problem, remedy in problems
    ]


def waiting_parameters(
    database: FoundDatabase, surroundings: Surroundings
) -> tuple[Parameter, ...]:
    """Return the parameters that may be what the groups wait to be rebooted for: AWS says that a
    group waits, and not for which of those that take a reboot.
    """
    return tuple(
        parameter
        for group in database.groups
        if group in database.rebooting
        for parameter in surroundings.parameters.get(group, ())
        if parameter.takes_reboot
    )


def _login(database: FoundDatabase) -> Iterator[tuple[str, str]]:
    if not database.has_iam and not database.iam_is_pending:
        yield (
            "IAM authentication is off, so that the guard cannot log in",
            _modify(database, "--enable-iam-database-authentication --apply-immediately"),
        )
    elif not database.has_iam:
        yield (
            "IAM authentication is turned on only in the next maintenance window",
            _modify(database, "--enable-iam-database-authentication --apply-immediately"),
        )
    if not _SERVING.fullmatch(database.status):
        yield (
            f"it is {printable(database.status)}, so that the guard cannot log in",
            f"wait until it is available, or {_start(database)}",
        )
    major = re.match("[0-9]+", database.version)
    if not major or not OLDEST_VERSION <= int(major[0]) <= NEWEST_VERSION:
        yield (
            f"the guard is not tested with PostgreSQL {printable(database.version)}",
            f"it is with {OLDEST_VERSION} to {NEWEST_VERSION}; try it on a copy first",
        )
    if database.is_multi_az_cluster:
        yield (
            (
                "it is a Multi-AZ DB cluster of RDS and not of Aurora, with which the guard is not "
                "tested: its alarms read the metrics by cluster and role, as Aurora has them"
            ),
            "see after the deployment whether the usage alarms have data",
        )


def _reach(database: FoundDatabase, surroundings: Surroundings) -> Iterator[tuple[str, str]]:
    subnets, are_private = usable_subnets(database, surroundings)
    if not subnets:
        yield (
            "its subnet group has no subnet in which Lambda could run",
            f"write private subnets of {printable(database.vpc)} under subnets",
        )
    elif are_private is False:
        yield (
            "no subnet of its subnet group is private: each routes to an internet gateway",
            (
                f"write private subnets of {printable(database.vpc)} under subnets, with their "
                "availability_zones"
            ),
        )
    if database.is_public:
        yield (
            "it is publicly accessible: the internet can use up its connections, too",
            _modify(database, "--no-publicly-accessible", of_writer=True),
        )


def _size(database: FoundDatabase, surroundings: Surroundings) -> Iterator[tuple[str, str]]:
    name = database.instance_class
    is_serverless = database.minimum_acu is not None
    if not is_serverless and name not in KNOWN_CLASSES and name not in surroundings.memory_gib:
        yield (
            f"the memory of {printable(name)} is known neither to the guard nor to EC2",
            "write memory_gib, or max_connections as a number",
        )
    if database.minimum_acu == 0:
        yield (
            "its minimum is 0 ACUs, but it does not pause while the guard keeps a session there",
            "leave it out of guard.toml if it has to pause, or pay for it",
        )
    waiting = [each for each in waiting_parameters(database, surroundings) if each.name in _LIMITS]
    if waiting:
        settings = ", ".join(f"{each.name} = {printable(each.value)}" for each in waiting)
        yield (
            f"a parameter group waits for a reboot, perhaps for {settings}",
            f"aws rds reboot-db-instance --db-instance-identifier {_shell(database.writer)}",
        )


def _proxies(database: FoundDatabase, surroundings: Surroundings) -> Iterator[tuple[str, str]]:
    proxies = proxies_of(database, surroundings)
    for proxy in proxies:
        if (proxy.borrow_seconds or 0) > DEFAULT_BORROW_SECONDS:
            yield (
                (
                    f"proxy {printable(proxy.name)} lets clients of a full database wait for "
                    f"{proxy.borrow_seconds} s (ConnectionBorrowTimeout) before they see an error"
                ),
                (
                    "aws rds modify-db-proxy-target-group --target-group-name default "
                    f"--db-proxy-name {_shell(proxy.name)} "
                    "--connection-pool-config ConnectionBorrowTimeout=30"
                ),
            )
    for proxy in proxies[:1]:
        if not proxy.is_iam_end_to_end:
            yield from _secrets(proxy)


def _secrets(proxy: FoundProxy) -> Iterator[tuple[str, str]]:
    role, is_named = guard_login(proxy)
    if not is_named:
        known = ", ".join(printable(each.user or each.secret) for each in proxy.logins)
        yield (
            (
                f"proxy {printable(proxy.name)} logs in with secrets, none of which is known to be "
                f"the guard's ({known or 'it has none'})"
            ),
            (
                f"create a second role, such as {PROXY_ROLE}, and add its secret to the proxy "
                "(docs/deploying.md, RDS Proxy)"
            ),
        )
        return
    logins = [each for each in proxy.logins if role in (each.user or " ".join(each.texts))]
    if not any(each.takes_tokens for each in logins):
        yield (
            f"proxy {printable(proxy.name)} does not take IAM tokens for {role}",
            (
                f"require IAM authentication for the secret of {role} "
                "(aws rds modify-db-proxy --auth ...,IAMAuth=REQUIRED)"
            ),
        )


def _modify(database: FoundDatabase, change: str, *, of_writer: bool = False) -> str:
    if database.kind == "instance" or of_writer:
        return (
            f"aws rds modify-db-instance --db-instance-identifier {_shell(database.writer)} "
            f"{change}"
        )
    return (
        f"aws rds modify-db-cluster --db-cluster-identifier {_shell(database.identifier)} {change}"
    )


def _start(database: FoundDatabase) -> str:
    kind, name = database.kind, _shell(database.identifier)
    return f"aws rds start-db-{kind} --db-{kind}-identifier {name}"


def _shell(name: str) -> str:
    return shlex.quote(printable(name))
