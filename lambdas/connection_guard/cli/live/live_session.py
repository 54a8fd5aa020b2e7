"""A verb's session on the live database, and what it sees there."""

from pathlib import Path

from connection_guard.adapters.postgresql.grants import lacking, missing_grants
from connection_guard.adapters.postgresql.guard_session import GuardSession
from connection_guard.adapters.postgresql.observe import addresses_of, take_snapshot
from connection_guard.cli.access.database_access import DatabaseAccess
from connection_guard.cli.access.policy_option import read_policy_file
from connection_guard.cli.live.live_look import Judgement, as_responder_sees
from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.configuration.guard.guard_configuration import ExistingProxy
from connection_guard.core.database.door import Door, DoorName
from connection_guard.core.database.snapshot import Measurement, Snapshot
from connection_guard.core.policy import Tier
from connection_guard.core.report.wording import worded


def judgement_of(access: DatabaseAccess, policy_file: Path | None, tier: Tier) -> Judgement:
    """Return by what the database is judged. Raise as `read_policy_file` does."""
    policy = access.policy
    if policy_file is not None:
        policy = read_policy_file(policy_file, access.warning_percent)
    return Judgement(
        policy, tier, access.warning_percent, access.critical_percent, access.guard_roles
    )


def look_around(
    access: DatabaseAccess,
    session: GuardSession,
    measurement: Measurement,
    *,
    is_to_act: bool = False,
) -> Snapshot:
    """Return the sessions as the responder would see them.

    Raise UserMistakeError where the role lacks a privilege to see them or, where it `is_to_act`, to
    end them; the guard's own role needs both. Raise DatabaseError as `execute` does.
    """
    is_responders = is_to_act or measurement.role in access.guard_roles
    grants = missing_grants(measurement)
    if grants and (is_responders or not measurement.privileges.reads_all_stats):
        raise UserMistakeError(f"{access.name}: {worded(lacking(grants))}")
    snapshot = take_snapshot(session, measurement, _proxy_addresses(access))
    return as_responder_sees(snapshot, session.connection.info.backend_pid, access.guard_roles)


def _proxy_addresses(access: DatabaseAccess) -> frozenset[str]:
    """Return the addresses of the proxy's endpoint, none where the stack creates the proxy: its
    endpoint is in no guard.toml.
    """
    proxy = access.configured and access.configured.proxy
    if not isinstance(proxy, ExistingProxy):
        return frozenset()
    return addresses_of(Door(DoorName.PROXY, proxy.host, proxy.port, proxy.role))
