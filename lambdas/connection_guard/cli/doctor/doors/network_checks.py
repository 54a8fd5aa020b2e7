"""What the network shows of a door, as checks."""

from datetime import timedelta

from connection_guard.cli.doctor.facts.check import Check, finding, ok, unchecked
from connection_guard.cli.doctor.facts.door_facts import DoorFacts
from connection_guard.configuration.guard.guard_configuration import Database
from connection_guard.core.database.door import DoorName
from connection_guard.core.words import counted, shown

CERTIFICATE_WARNING = timedelta(days=30)
"""How long before its end a certificate is a finding. RDS renews a proxy's by itself."""


def check_network(seen: DoorFacts, configured: Database | None) -> list[Check]:
    """Return the checks of the way to a door."""
    return [check_name(seen, configured), check_port(seen, configured), check_tls(seen, configured)]


def check_name(seen: DoorFacts, configured: Database | None) -> Check:
    """Check that the host's name has an address."""
    check = f"name ({seen.door.name})"
    addresses, host = seen.network.addresses, shown(seen.door.host)
    if not isinstance(addresses, str):
        found = ", ".join(addresses)
        return ok(check, host if found == host else f"{host} is {found}")
    if seen.network.tunnel is not None:
        why = f"{host} has no address here ({shown(addresses)}); the tunnel leads there"
        return unchecked(check, why)
    return finding(
        check,
        f"{host} has no address: {shown(addresses)}",
        endpoint_command(configured, seen.door.name) if configured else f"getent hosts {host}",
    )


def check_port(seen: DoorFacts, configured: Database | None) -> Check:
    """Check that something accepts connections there."""
    check = f"port ({seen.door.name})"
    network = seen.network
    if network.connected is not None:
        through = " (--host)" if network.tunnel else ""
        return ok(check, f"{network.connected}{through} accepts connections")
    if network.connection_problem is None:
        return unchecked(check, network.obstacle or "")
    if network.tunnel is not None:
        advice = "is the tunnel open, and is this its port?"
    elif network.is_refused:
        advice = "nothing listens on this port"
    else:
        advice = "a security group admits no connection from here, or no route leads there"
    return finding(
        check,
        f"{network.connection_problem}: {advice}",
        *(_tunnel(configured, seen) if configured else ()),
    )


def check_tls(seen: DoorFacts, configured: Database | None) -> Check:
    """Check that the server proves who it is, and can do so for a while."""
    check = f"TLS ({seen.door.name})"
    tls = seen.network.tls
    if tls is None:
        is_socket = seen.network.connected is not None
        why = "a Unix socket has none" if is_socket else (seen.network.obstacle or "")
        return unchecked(check, why)
    if tls.problem is not None:
        if tls.has_expired:
            return finding(check, shown(tls.problem), *_renewal(seen, configured))
        endpoints = [endpoint_command(configured, seen.door.name)] if configured else []
        return finding(check, shown(tls.problem), *endpoints)
    if tls.certificate is None:
        kind = f"{tls.version}, not verified" if tls.version else "none"
        why = f"{kind}: PGSSLMODE does not ask for it, or this machine is its own end"
        return unchecked(check, why, "export PGSSLMODE=verify-full")
    left = tls.certificate.expires_at - seen.seen_at
    what = (
        f"{tls.version}, {shown(tls.certificate.names[0])}, by {shown(tls.certificate.issuer)}, "
        f"{counted(left.days, 'day')} left"
    )
    if left < CERTIFICATE_WARNING:
        return finding(check, what, *_renewal(seen, configured))
    return ok(check, what)


def _renewal(seen: DoorFacts, configured: Database | None) -> list[str]:
    """Return how a new certificate is had. A cluster's instances have one each."""
    if configured is None or seen.door.name is DoorName.PROXY:
        return []
    target = "INSTANCE" if configured.is_cluster else configured.identifier
    change = f"aws rds modify-db-instance --db-instance-identifier {target}"
    return [f"{change} --ca-certificate-identifier rds-ca-rsa2048-g1 --apply-immediately"]


def endpoint_command(configured: Database, door: DoorName) -> str:
    """Return the command that shows the endpoint as RDS has it."""
    if door is DoorName.PROXY:
        return "aws rds describe-db-proxies --query 'DBProxies[].[DBProxyName,Endpoint]'"
    if configured.is_cluster:
        return (
            f"aws rds describe-db-clusters --db-cluster-identifier {configured.identifier} "
            "--query 'DBClusters[].Endpoint'"
        )
    return (
        f"aws rds describe-db-instances --db-instance-identifier {configured.identifier} "
        "--query 'DBInstances[].Endpoint'"
    )


def _tunnel(configured: Database, seen: DoorFacts) -> list[str]:
    """Return how a bastion that AWS Systems Manager manages leads there."""
    if seen.network.tunnel is not None or seen.door.name is DoorName.PROXY:
        return []
    way = f"host={seen.door.host},portNumber={seen.door.port},localPortNumber=15432"
    document = "AWS-StartPortForwardingSessionToRemoteHost"
    start = "aws ssm start-session --target BASTION-INSTANCE-ID"
    return [
        f"{start} --document-name {document} --parameters {way}",
        f"connection-guard doctor {configured.identifier} --host localhost:15432",
    ]
