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
from typing import Any

import psycopg2
from psycopg2.extensions import connection

from connection_guard.adapters.postgresql.examination.login_refusals import (
    LoginRefusal,
    login_refusal,
)
from connection_guard.adapters.postgresql.guard_session import Connect, GuardSession, open_session
from connection_guard.adapters.postgresql.login import (
    root_certificates,
    sign_token,
    start_login,
)
from connection_guard.adapters.postgresql.observe import measure
from connection_guard.cli.access.address import host_and_port, is_local, tunnel_to
from connection_guard.cli.access.aws_session import MISSING, aws_session
from connection_guard.cli.access.guard_file_option import (
    DEFAULT_FILE,
    chosen_database,
    database_argument,
    guard_file_option,
    is_described,
)
from connection_guard.cli.access.login_options import Login, login_options
from connection_guard.cli.terminal.mistakes import NAME, UserMistakeError
from connection_guard.configuration.guard.guard_configuration import Configuration, Database
from connection_guard.configuration.guard.guard_file import read_configuration
from connection_guard.configuration.policy.policy_file import SHIPPED_POLICY, parse_policy
from connection_guard.core.database.door import Door, DoorName
from connection_guard.core.database.snapshot import Measurement
from connection_guard.core.policy import Policy
from connection_guard.core.words import printable, quoted
from connection_guard.errors import DatabaseError, DoorShutError, Refusal

DEFAULT_ROLE = "connection_guard"
LOGIN_SECONDS = 8.0
SECONDS_BETWEEN_TRIES = 0.1


@dataclass(frozen=True, slots=True)
class DatabaseAccess:
    """One database, and how to log in to it.

    `login` is how that is done, with nothing left empty that guard.toml has. `guard_roles` are
    those of the guard itself, of which `door.role` need not be one. `configured` is its table of
    guard.toml, and `configuration` the whole file, None where only an address was given. `tunnel`
    is the address and the port in place of the door's own. `roots` are the authorities by which the
    server has to prove who it is, None where it has not to.
    """

    name: str
    door: Door
    connect: Connect
    login: Login
    guard_roles: tuple[str, ...]
    warning_percent: float
    critical_percent: float
    policy: Policy
    configured: Database | None = None
    configuration: Configuration | None = None
    tunnel: tuple[str, int] | None = None
    roots: Path | None = None

    def command(self, verb: str, user: str | None = None) -> str:
        """Return the command line of a verb that logs in to the same database likewise, or as
        another user.
        """
        login = self.login
        given = {"host": login.host, "user": user or login.user, "profile": login.profile}
        options = [part for name, text in given.items() if text for part in (f"--{name}", text)]
        with_token = ["--iam"] if login.user and login.iam and user is None else []
        return shlex.join([NAME, verb, self.name, *options, *with_token])


def database_access_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Add what names a database and says how to log in; the verb gets one argument, `access`."""

    @database_argument
    @guard_file_option
    @login_options
    @functools.wraps(verb)
    def with_access(*, database: str | None, guard_file: Path, login: Login, **others: Any) -> None:
        verb(access=database_access(database, guard_file, login), **others)

    return with_access


def database_access(database: str | None, guard_file: Path, login: Login) -> DatabaseAccess:
    """Return the access to a database of guard.toml or, without that file, to any server at
    `login.host`.

    Raise UserMistakeError or ConfigurationError where the arguments name no database.
    """
    if login.host is not None and not is_described(guard_file):
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
    refused: DoorShutError | None = None
    while True:
        try:
            session = open_session(access.connect, access.door, deadline)
            break
        except DoorShutError as error:
            is_late = time.monotonic() + SECONDS_BETWEEN_TRIES >= deadline
            if error.refusal is Refusal.FULL:
                refused = error
            if error.refusal is not Refusal.FULL or is_late:
                # The last try may have been cut off before the server's answer.
                raise _explained(refused if is_late and refused else error, access) from error
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
    return session, replace(measurement, refused_a_login=refused is not None)


def _access_by_guard_file(name: str | None, file: Path, login: Login) -> DatabaseAccess:
    configuration = read_configuration(file)
    database = chosen_database(configuration, name, file)
    door = Door(DoorName.DIRECT, database.host, database.port, login.user or database.role)
    tunnel = tunnel_to(login.host, door.port) if login.host else None
    region = login.region or configuration.target.region
    login = login._replace(
        iam=login.iam or (login.user is None and "PGPASSWORD" not in os.environ),
        dbname=login.dbname or database.database_name,
        region=region,
    )

    def connect(door: Door) -> connection:
        password = None
        if login.iam:
            password = sign_token(door, region, _credentials(login.profile, region))
        return start_login(door, login.dbname, root_certificates(door), password, tunnel)

    roles = [database.role, *([database.proxy.role] if database.proxy else [])]
    return DatabaseAccess(
        database.identifier,
        door,
        connect,
        login,
        tuple(dict.fromkeys(roles)),
        database.warning_percent,
        database.critical_percent,
        database.policy,
        database,
        configuration,
        tunnel,
        root_certificates(door),
    )


def _access_by_address(name: str | None, host: str, login: Login) -> DatabaseAccess:
    """Return the access to a server that is in no guard.toml, as psql would reach it.

    TLS is what PGSSLMODE says, else everything is verified, but on this machine, where a tunnel or
    a developer's server ends.
    """
    if login.iam:
        raise UserMistakeError(
            f"--iam signs a token for the endpoint of a database, and there is no {DEFAULT_FILE} "
            "that has one: call it in the folder of that file, or add --guard"
        )
    address, port = host_and_port(host, os.environ.get("PGPORT", "5432"))
    role = login.user or os.environ.get("PGUSER", DEFAULT_ROLE)
    door = Door(DoorName.DIRECT, address, port, role)
    sslmode = os.environ.get("PGSSLMODE") or ("prefer" if is_local(address) else "verify-full")
    verified = sslmode.startswith("verify")
    roots = Path(os.environ.get("PGSSLROOTCERT") or root_certificates(door)) if verified else None
    login = login._replace(dbname=login.dbname or os.environ.get("PGDATABASE", "postgres"))

    def connect(door: Door) -> connection:
        return psycopg2.connect(
            host=door.host,
            port=door.port,
            user=door.role,
            dbname=login.dbname,
            sslmode=sslmode,
            sslrootcert=None if roots is None else str(roots),
            async_=True,
        )

    return DatabaseAccess(
        name or address,
        door,
        connect,
        login,
        (DEFAULT_ROLE,),
        75.0,
        90.0,
        parse_policy(SHIPPED_POLICY.read_text()),
        roots=roots,
    )


def _explained(error: DoorShutError, access: DatabaseAccess) -> DoorShutError:
    """Return the error with where it happened, and what to do about it."""
    door = access.door
    said = str(error).partition(" Is the server running")[0]  # libpq's own advice
    host, port = access.tunnel or (door.host, door.port)
    place = f"{host}:{port}" if access.tunnel is None else f"{host}:{port} (--host)"
    advice = f"`{access.command('doctor')}` checks each step"
    if login_refusal(error) in (LoginRefusal.UNREACHABLE, LoginRefusal.LATE):
        way = (
            "does the server, or a tunnel to it, listen there?"
            if access.login.host
            else "from outside its VPC, use --host with a tunnel;"
        )
        advice = f"{way} {advice}"
    return DoorShutError(
        printable(
            # The server's reason comes first: `top` shows as much as fits in a line.
            f"{said.rstrip('.')}: no login as {quoted(door.role)} to {access.name} by the "
            f"{door.name} door at {place}; {advice}"
        ),
        error.refusal,
        door=door.name,
        sqlstate=error.sqlstate,
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
