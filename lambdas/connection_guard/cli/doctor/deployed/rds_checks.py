"""What RDS has of the database and its proxy, as checks."""

import shlex

from connection_guard.adapters.postgresql.doors import DOOR_SECONDS
from connection_guard.cli.doctor.facts.aws_facts import AwsFacts, ProxyInRds, ServerInRds
from connection_guard.cli.doctor.facts.check import Check, Unknown, finding, ok, unchecked
from connection_guard.configuration.guard.guard_configuration import Database, ExistingProxy
from connection_guard.core.database.capacity import Capacity
from connection_guard.core.database.door import DoorName
from connection_guard.core.words import shown


def check_rds(server: ServerInRds | Unknown | None, database: Database) -> Check:
    """Check that RDS has the database as guard.toml describes it."""
    kind = "cluster" if database.is_cluster else "instance"
    describe = f"aws rds describe-db-{kind}s --db-{kind}-identifier {database.identifier}"
    if isinstance(server, Unknown):
        return unchecked("RDS", server.why)
    if server is None:
        return finding("RDS", f"there is no {kind} {database.identifier}", describe)
    if not server.has_iam_authentication:
        return finding(
            "RDS",
            "IAM authentication is off: no token logs in",
            f"aws rds modify-db-{kind} --db-{kind}-identifier {database.identifier} "
            "--enable-iam-database-authentication --apply-immediately",
        )
    is_of_cluster = database.resource_id.startswith("cluster-") and not database.is_cluster
    if server.resource_id != database.resource_id and not is_of_cluster:
        return finding(
            "RDS",
            f"its resource ID is {shown(server.resource_id)}, guard.toml says "
            f"{database.resource_id}: IAM lets nobody in",
            f'resource_id = "{shown(server.resource_id)}"  # in guard.toml',
        )
    if server.pending_reboot:
        groups = ", ".join(map(shown, server.pending_reboot))
        return finding(
            "RDS",
            f"parameters of {groups} wait for a reboot",
            f"aws rds reboot-db-instance --db-instance-identifier {database.identifier}",
        )
    return ok("RDS", f"{shown(server.status)}, IAM authentication is on")


def check_proxy(facts: AwsFacts, database: Database, capacity: Capacity | None) -> Check:
    """Check that the proxy waits as long as the guard does, and cannot fill the database."""
    proxy = facts.proxy
    if isinstance(proxy, Unknown):
        return unchecked("proxy", proxy.why)
    if proxy is None:
        if isinstance(database.proxy, ExistingProxy):
            listing = "aws rds describe-db-proxies --query 'DBProxies[].[DBProxyName,Endpoint]'"
            return finding("proxy", f"no proxy has the endpoint {database.proxy.host}", listing)
        return unchecked("proxy", "the stack, which makes it, is not deployed yet")
    if proxy.status != "available":
        return finding(
            "proxy",
            f"{shown(proxy.name)} is {shown(proxy.status)}",
            f"aws rds describe-db-proxy-targets --db-proxy-name {shlex.quote(proxy.name)}",
        )
    limits = _limits_of(proxy, database, capacity)
    what = (
        f"{shown(proxy.name)}: clients wait {proxy.borrow_timeout} s for a connection, it takes at "
        f"most {proxy.max_connections_percent} % of max_connections"
    )
    if not limits:
        return ok("proxy", what)
    problems = ", and ".join(problem for problem, _setting in limits)
    settings = ",".join(setting for _problem, setting in limits)
    return finding(
        "proxy",
        f"{what}: {problems}",
        f"aws rds modify-db-proxy-target-group --db-proxy-name {shlex.quote(proxy.name)} "
        f"--target-group-name default --connection-pool-config {settings}",
    )


def _limits_of(
    proxy: ProxyInRds, database: Database, capacity: Capacity | None
) -> list[tuple[str, str]]:
    """Return what is wrong with the proxy's limits, each with the setting that is right."""
    most = capacity.max_connections if capacity else database.max_connections.max_connections
    usable = capacity.usable if capacity else database.max_connections.usable
    limits = []
    needed = DOOR_SECONDS[DoorName.PROXY]
    if proxy.borrow_timeout < needed:
        problem = f"the guard itself waits {needed:g} s"
        limits.append((problem, "ConnectionBorrowTimeout=5"))
    if most * proxy.max_connections_percent // 100 >= usable:
        below = max(int(database.critical_percent * usable / most) - 1, 1)
        problem = f"it can take all {usable} that applications can get, and the guard spares it"
        limits.append((problem, f"MaxConnectionsPercent={below}"))
    return limits
