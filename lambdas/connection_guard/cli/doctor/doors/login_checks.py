"""What a login shows, and what the guard's roles may do, as checks."""

from collections.abc import Mapping
from dataclasses import replace

from connection_guard.adapters.postgresql.examination.examine import GuardRole
from connection_guard.adapters.postgresql.examination.login_refusals import LoginRefusal
from connection_guard.adapters.postgresql.grants import missing_grants, shortcomings
from connection_guard.adapters.postgresql.names import identifier
from connection_guard.cli.access.database_access import DatabaseAccess
from connection_guard.cli.doctor.doors.network_checks import endpoint_command
from connection_guard.cli.doctor.facts.check import Check, Unknown, finding, ok, unchecked
from connection_guard.cli.doctor.facts.door_facts import DoorFacts, LoginFacts
from connection_guard.configuration.bootstrap_command import bootstrap_command
from connection_guard.configuration.guard.guard_configuration import Database, ProxyAuthentication
from connection_guard.core.database.snapshot import Measurement, Privileges
from connection_guard.core.words import counted, quoted, shown

FEWEST_SESSIONS = 4
"""Two execution environments, each with its seat and the direct door."""


def check_login(login: LoginFacts, access: DatabaseAccess) -> Check:
    """Check that the door lets in whom it is tried as."""
    check = f"login ({login.door.name})"
    if login.obstacle is not None:
        return unchecked(check, shown(login.obstacle))
    if login.error is not None:
        means = f"{login.refusal}: " if login.refusal else ""
        remedy = _remedy_of_refusal(login, access)
        return finding(check, means + shown(login.error, 300), *([remedy] if remedy else []))
    assert login.measurement is not None
    how = "with an IAM token" if access.login.iam else "without an IAM token"
    return ok(
        check,
        f"as {quoted(login.measurement.role)} to {quoted(login.measurement.server.database)}, "
        f"{how}",
    )


def check_writer(login: LoginFacts, configured: Database | None) -> Check:
    """Check that the server behind the door, which let somebody in, takes writes: the sessions of
    a standby are others.
    """
    check = f"writer ({login.door.name})"
    assert login.measurement is not None
    server = login.measurement.server
    if server.is_in_recovery:
        return finding(
            check,
            f"{shown(login.door.host)} is a standby or reader; write the writer's endpoint into "
            "guard.toml",
            *([endpoint_command(configured, login.door.name)] if configured else []),
        )
    return ok(check, f"PostgreSQL {server.version}, not in recovery")


def check_same_server(first: LoginFacts, second: LoginFacts) -> Check:
    """Check that both doors lead to one server."""
    if first.measurement is None or second.measurement is None:
        return unchecked("same server", "not every door opened")
    one, other = first.measurement.server, second.measurement.server
    if (one.started_at, one.database) != (other.started_at, other.database):
        return finding(
            "same server",
            f"the {first.door.name} door leads to another server or database than the "
            f"{second.door.name} door",
            "aws rds describe-db-proxy-targets --db-proxy-name PROXY",
        )
    return ok("same server", "both doors lead to the same server")


def check_guard(login: LoginFacts, access: DatabaseAccess) -> list[Check]:
    """Return the checks of what the guard may do, and see."""
    if login.measurement is None:
        return [unchecked("role, privileges, visibility", "nobody got in")]
    return [
        check_identity(login, access),
        *check_roles(login, access),
        check_visibility(login, access),
    ]


def check_identity(login: LoginFacts, access: DatabaseAccess) -> Check:
    """Check that who logged in is the guard itself."""
    assert login.measurement is not None
    role = login.measurement.role
    if role in access.guard_roles:
        whose = "that of guard.toml" if access.configured else "the guard's default"
        return ok("role", f"{quoted(role)} is {whose}")
    guards = " and ".join(map(quoted, access.guard_roles))
    why = f"logged in as {quoted(role)}; the privileges below are those of {guards}"
    return unchecked("role", why)


def check_roles(login: LoginFacts, access: DatabaseAccess) -> list[Check]:
    """Return the checks of each of the guard's roles, also where another role asked."""
    assert login.measurement is not None
    if isinstance(login.examination, Unknown):
        return [unchecked("privileges", shown(login.examination.why))]
    checks = []
    for role in login.examination.roles:
        checks.append(check_existence(role, access))
        if role.is_there:
            seen_as = _as_role(login.measurement, role)
            checks += [check_rds_iam(role, access), check_grants(seen_as), check_reserve(seen_as)]
    return checks


def check_existence(role: GuardRole, access: DatabaseAccess) -> Check:
    """Check that the role can be logged in as, often enough."""
    check, name = f"existence ({shown(role.name)})", identifier(role.name)
    if not role.is_there:
        return finding(check, "the role does not exist", _bootstrap(access))
    if not role.can_log_in:
        return finding(check, "the role may not log in", f"ALTER ROLE {name} LOGIN;")
    if 0 <= role.connection_limit < FEWEST_SESSIONS:
        limit = counted(role.connection_limit, "connection")
        return finding(
            check,
            f"the role is limited to {limit}; the guard may need {FEWEST_SESSIONS} at once",
            f"ALTER ROLE {name} CONNECTION LIMIT -1;",
        )
    return ok(check, "the role exists and may log in")


def check_rds_iam(role: GuardRole, access: DatabaseAccess) -> Check:
    """Check that the role is a member of rds_iam where, and only where, a token logs it in."""
    check, name = f"rds_iam ({shown(role.name)})", identifier(role.name)
    if role.has_rds_iam is None:
        return unchecked(check, "the server has no role rds_iam: it is not Amazon RDS")
    if _has_password(role, access):
        if role.has_rds_iam:
            return finding(
                check,
                "RDS Proxy logs in as this role with a password, which rds_iam rules out",
                f"REVOKE rds_iam FROM {name};",
            )
        return ok(check, "the role logs in with the password of the proxy's secret")
    if not role.has_rds_iam:
        detail = "the role is not granted: no IAM token logs in"
        return finding(check, detail, f"GRANT rds_iam TO {name};")
    return ok(check, "granted: the role logs in with IAM tokens")


def check_grants(seen_as: Measurement) -> Check:
    """Check that the role may see all sessions, and terminate them."""
    check = f"grants ({shown(seen_as.role)})"
    if missing := missing_grants(seen_as):
        return finding(check, "the guard would see or terminate nothing", *missing)
    return ok(check, "pg_read_all_stats and pg_signal_backend")


def check_reserve(seen_as: Measurement) -> Check:
    """Check that the role still gets in when the server is full."""
    check = f"reserve ({shown(seen_as.role)})"
    if seen_as.privileges.uses_reserved_connections is None:
        return ok(
            check,
            f"PostgreSQL {seen_as.server.version} has no reserved_connections (16 has): when the "
            "server is full, the guard depends on its seat",
        )
    if remedies := shortcomings(seen_as):
        return finding(check, "the guard may not get in when the server is full", *remedies)
    return ok(check, "pg_use_reserved_connections, and connections are reserved")


def check_visibility(login: LoginFacts, access: DatabaseAccess) -> Check:
    """Check that the sessions of others can be seen."""
    measurement = login.measurement
    assert measurement is not None
    if measurement.role not in access.guard_roles:
        return unchecked("visibility", "only the guard's own login shows what it sees")
    hidden = measurement.sessions_by_state.get("hidden", 0)
    if hidden:
        return finding(
            "visibility",
            f"the state of {counted(hidden, 'session')} is hidden from the guard",
            f"GRANT pg_read_all_stats TO {identifier(measurement.role)};",
        )
    others = max(measurement.used - 1, 0)
    seen = f"the state of {counted(others, 'other session')} is visible"
    return ok("visibility", seen if others else "there is no other session to see")


def _as_role(measurement: Measurement, role: GuardRole) -> Measurement:
    """Return what the role itself would measure of its privileges."""
    privileges = Privileges(
        role.reads_all_stats, role.signals_sessions, role.uses_reserved_connections
    )
    return replace(measurement, role=role.name, privileges=privileges)


def _has_password(role: GuardRole, access: DatabaseAccess) -> bool:
    proxy = access.configured.proxy if access.configured else None
    return (
        proxy is not None
        and proxy.authentication is ProxyAuthentication.SECRETS
        and proxy.role == role.name
    )


def _bootstrap(access: DatabaseAccess) -> str:
    if access.configured is not None:
        return bootstrap_command(access.configured)
    server = f"host={access.door.host} port={access.door.port} dbname={access.login.dbname}"
    return f'psql "{server} user=<master>" -f bootstrap/bootstrap.sql'


_REMEDIES: Mapping[LoginRefusal, str] = {
    LoginRefusal.ROLE_LIMIT: "ALTER ROLE {role} CONNECTION LIMIT -1;",
    LoginRefusal.DATABASE_LIMIT: "ALTER DATABASE {database} CONNECTION LIMIT -1;",
    LoginRefusal.PASSWORD: "read -rs PGPASSWORD; export PGPASSWORD",
    LoginRefusal.NO_PASSWORD: "read -rs PGPASSWORD; export PGPASSWORD",
    LoginRefusal.NOT_ADMITTED: "SELECT * FROM pg_hba_file_rules WHERE error IS NULL;",
    LoginRefusal.NO_LOGIN: "ALTER ROLE {role} LOGIN;",
    LoginRefusal.NO_DATABASE: "SELECT datname FROM pg_database WHERE datallowconn;",
    LoginRefusal.NO_CONNECT: "GRANT CONNECT ON DATABASE {database} TO {role};",
    LoginRefusal.CANCELLED: "ALTER ROLE {role} SET statement_timeout = '5s';",
    LoginRefusal.NO_SECRET: "aws rds describe-db-proxies --query 'DBProxies[].[DBProxyName,Auth]'",
    LoginRefusal.PROXY_WAITS: "aws rds describe-db-proxy-targets --db-proxy-name PROXY",
}
# What a token lacks where it is refused as a password: without rds_iam it is one.
_NOT_TAKEN_AS_TOKEN = (LoginRefusal.PASSWORD, LoginRefusal.NOT_ADMITTED)


def _remedy_of_refusal(login: LoginFacts, access: DatabaseAccess) -> str | None:
    role = identifier(login.door.role)
    if login.refusal is None:
        return None
    if login.refusal is LoginRefusal.NO_ROLE:
        return _bootstrap(access)
    if login.refusal is LoginRefusal.FULL:
        return access.command("plan", user="MASTER")
    if login.refusal is LoginRefusal.TOKEN:
        return _permission_to_log_in(login, access)
    if access.login.iam and login.refusal in _NOT_TAKEN_AS_TOKEN:
        return f"GRANT rds_iam TO {role};"
    remedy = _REMEDIES.get(login.refusal)
    if remedy is None:
        return None
    return remedy.format(role=role, database=identifier(access.login.dbname))


def _permission_to_log_in(login: LoginFacts, access: DatabaseAccess) -> str:
    """Return what a person's own credentials need for a token of the role."""
    who = "aws sts get-caller-identity"
    if access.configuration is None or access.configured is None:
        return who
    target = access.configuration.target
    user = f"dbuser:{access.configured.resource_id}/{login.door.role}"
    arn = f"arn:aws:rds-db:{target.region}:{target.account}:{user}"
    return f"{who}  # it needs rds-db:connect on {arn}"


def login_to_look_from(doors: list[DoorFacts]) -> LoginFacts:
    """Return the login that saw most of the server: the direct door's where it opened."""
    logins = [each.login for each in reversed(doors)]
    return next((each for each in logins if each.measurement is not None), logins[0])
