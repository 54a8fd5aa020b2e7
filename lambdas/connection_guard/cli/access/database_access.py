"""How a verb reaches one live database: by the direct door, as the guard's role or as a person's.

No session is cleared and no turn is taken, so a responder that runs meanwhile is not disturbed.
"""

import functools
import os
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import click
import psycopg2
from psycopg2.extensions import connection

from connection_guard.adapters.postgresql.guard_session import Connect, GuardSession, open_session
from connection_guard.adapters.postgresql.login import (
    root_certificates,
    sign_token,
    start_login,
)
from connection_guard.adapters.postgresql.observe import measure
from connection_guard.cli.access.aws_session import MISSING, aws_options, aws_session
from connection_guard.cli.access.guard_file_option import (
    DEFAULT_FILE,
    chosen_database,
    database_argument,
    guard_file_option,
)
from connection_guard.cli.access.server_address import (
    default_port,
    host_and_port,
    is_local,
    tunnel_end,
    written_address,
)
from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.configuration.guard.guard_configuration import Configuration, Database
from connection_guard.configuration.guard.guard_file import read_configuration
from connection_guard.configuration.policy.policy_file import SHIPPED_POLICY, parse_policy
from connection_guard.core.database.door import Door, DoorName
from connection_guard.core.database.snapshot import Measurement
from connection_guard.core.policy import Policy
from connection_guard.core.words import quoted, shown
from connection_guard.errors import DatabaseError, DoorShutError, Refusal

DEFAULT_ROLE = "connection_guard"
LOGIN_SECONDS = 8.0
SECONDS_BETWEEN_TRIES = 0.1


@dataclass(frozen=True, slots=True)
class DatabaseAccess:
    """One database, and how to log in to it.

    `configured` is its table of guard.toml, and `configuration` the whole file, None where only an
    address was given. `guard_roles` are those of the guard itself, of which `door.role` need not be
    one. `tunnel` is the address and the port in place of the door's own. `roots` are the
    authorities by which the server has to prove who it is, None where it has not to.
    """

    name: str
    door: Door
    connect: Connect
    guard_roles: tuple[str, ...]
    warning_percent: float
    critical_percent: float
    policy: Policy
    configured: Database | None
    database_name: str = "postgres"
    roots: Path | None = None
    configuration: Configuration | None = None
    tunnel: tuple[str, int] | None = None
    with_token: bool = False
    profile: str | None = None
    region: str | None = None

    @property
    def arguments(self) -> str:
        """Return what names the database to another verb, as a shell takes it."""
        if self.configured is not None:
            return shlex.quote(self.name)
        address = written_address(self.door.host, self.door.port)
        return f"--host {shlex.quote(address)} --user {shlex.quote(self.door.role)}"


class Login(NamedTuple):
    """How a person wants to log in; what is None is as guard.toml has it."""

    host: str | None = None
    user: str | None = None
    iam: bool = False
    dbname: str | None = None
    profile: str | None = None
    region: str | None = None


def database_access_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Add what names a database and says how to log in; the verb gets one argument, `access`."""

    @database_argument
    @guard_file_option
    @login_options
    @functools.wraps(verb)
    def with_access(*, database: str | None, guard_file: Path, login: Login, **others: Any) -> None:
        verb(access=database_access(database, guard_file, login), **others)

    return with_access


def login_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Add what says how to log in; the verb gets one argument, `login`."""

    @click.option(
        "--host",
        help="Connect to this address in place of the endpoint: a bastion's, a tunnel's end, or "
        "that of a server that is in no guard.toml. HOST or HOST:PORT.",
    )
    @click.option(
        "--user",
        help="Log in as this role, with PGPASSWORD or ~/.pgpass, and not as the guard's role with "
        "an IAM token.",
    )
    @click.option("--iam", is_flag=True, help="Log in as --user with an IAM token.")
    @click.option("--dbname", help="The PostgreSQL database to log in to.")
    @aws_options
    @functools.wraps(verb)
    def with_login(
        *,
        host: str | None,
        user: str | None,
        iam: bool,
        dbname: str | None,
        profile: str | None,
        region: str | None,
        **others: Any,
    ) -> None:
        verb(login=Login(host, user, iam, dbname, profile, region), **others)

    return with_login


def database_access(database: str | None, guard_file: Path, login: Login) -> DatabaseAccess:
    """Return the access to a database of guard.toml, or to a server at `login.host` that is in
    none.

    Raise UserMistakeError or ConfigurationError where the arguments name no database.
    """
    described = guard_file.exists() or str(guard_file) != DEFAULT_FILE
    if login.host is not None and (database is None or not described):
        return _access_by_address(database, login.host, login)
    return _access_by_guard_file(database, guard_file, login)


def enter(
    access: DatabaseAccess, seconds: float = LOGIN_SECONDS
) -> tuple[GuardSession, Measurement]:
    """Return a session on the writer and what it measures.

    On a full server a login is tried again for that many seconds, and the measurement has that it
    was refused, as the responder's has. Raise DoorShutError where none opens, and DatabaseError
    where the server cannot be measured.
    """
    deadline = time.monotonic() + seconds
    was_refused = False
    while True:
        try:
            session = open_session(access.connect, access.door, deadline)
            break
        except DoorShutError as error:
            is_late = time.monotonic() + SECONDS_BETWEEN_TRIES >= deadline
            if error.refusal is not Refusal.FULL or is_late:
                raise _not_entered(access, error) from error
            was_refused = True
            time.sleep(SECONDS_BETWEEN_TRIES)
    try:
        measurement = measure(session, access.guard_roles, deadline)
    except DatabaseError:
        session.close()
        raise
    if measurement.server.is_in_recovery:
        session.close()
        raise DoorShutError(
            f"{access.door.host} is in recovery: not the writer, but a standby or reader",
            Refusal.NOT_THE_WRITER,
            door=access.door.name,
        )
    return session, replace(measurement, refused_a_login=was_refused)


def _not_entered(access: DatabaseAccess, error: DoorShutError) -> DoorShutError:
    """Return the error with where, as whom, and what to do: libpq's text may be only its reason."""
    address = written_address(*(access.tunnel or (access.door.host, access.door.port)))
    return DoorShutError(
        f"{error} (the login to {shown(address)} as {quoted(access.door.role)} failed; "
        "`connection-guard doctor` with the same options shows what to do)",
        error.refusal,
        door=error.door,
        sqlstate=error.sqlstate,
    )


def _access_by_guard_file(name: str | None, file: Path, login: Login) -> DatabaseAccess:
    configuration = read_configuration(file)
    database = chosen_database(configuration, name, file)
    door = Door(DoorName.DIRECT, database.host, database.port, login.user or database.role)
    tunnel = tunnel_end(login.host, door.port) if login.host else None
    with_token = login.iam or (login.user is None and "PGPASSWORD" not in os.environ)
    region = login.region or configuration.target.region
    database_name = login.dbname or database.database_name

    def connect(door: Door) -> connection:
        password = None
        if with_token:
            password = sign_token(door, region, _credentials(login.profile, region))
        return start_login(door, database_name, root_certificates(door), password, tunnel)

    roles = [database.role, *([database.proxy.role] if database.proxy else [])]
    return DatabaseAccess(
        database.identifier,
        door,
        connect,
        tuple(dict.fromkeys(roles)),
        database.warning_percent,
        database.critical_percent,
        database.policy,
        database,
        database_name,
        root_certificates(door),
        configuration,
        tunnel,
        with_token,
        login.profile,
        region,
    )


def _access_by_address(name: str | None, host: str, login: Login) -> DatabaseAccess:
    """Return the access to a server that is in no guard.toml, as psql would reach it.

    TLS is what PGSSLMODE says, else everything is verified, but on this machine, where a tunnel or
    a developer's server ends.
    """
    address, port = host_and_port(host, default_port())
    door = Door(
        DoorName.DIRECT, address, port, login.user or os.environ.get("PGUSER", DEFAULT_ROLE)
    )
    sslmode = os.environ.get("PGSSLMODE") or ("prefer" if is_local(address) else "verify-full")
    verified = sslmode.startswith("verify")
    roots = Path(os.environ.get("PGSSLROOTCERT") or root_certificates(door)) if verified else None
    database_name = login.dbname or os.environ.get("PGDATABASE", "postgres")

    def connect(door: Door) -> connection:
        return psycopg2.connect(
            host=door.host,
            port=door.port,
            user=door.role,
            dbname=database_name,
            sslmode=sslmode,
            sslrootcert=None if roots is None else str(roots),
            async_=True,
        )

    policy = parse_policy(SHIPPED_POLICY.read_text())
    return DatabaseAccess(
        name or address,
        door,
        connect,
        (DEFAULT_ROLE,),
        75.0,
        90.0,
        policy,
        None,
        database_name,
        roots,
    )


def _credentials(profile: str | None, region: str) -> dict[str, str]:
    """Return the operator's credentials by the names that Lambda has for its own."""
    credentials = aws_session(profile, region).get_credentials()
    if credentials is None:
        raise UserMistakeError(MISSING)
    frozen = credentials.get_frozen_credentials()
    known = {
        "AWS_ACCESS_KEY_ID": frozen.access_key,
        "AWS_SECRET_ACCESS_KEY": frozen.secret_key,
        "AWS_SESSION_TOKEN": frozen.token,
    }
    return {name: value for name, value in known.items() if value}
