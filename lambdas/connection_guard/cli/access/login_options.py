"""The options that say how to log in to a database."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import click

from connection_guard.cli.access.aws_session import aws_options


class Login(NamedTuple):
    """How a person wants to log in; what is empty is as guard.toml has it."""

    host: str | None = None
    user: str | None = None
    iam: bool = False
    dbname: str = ""
    profile: str | None = None
    region: str | None = None


def login_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Add what says how to log in; the verb gets one argument, `login`."""

    @click.option(
        "--host",
        help="Connect to this address in place of the endpoint: a bastion's, or a tunnel's end; "
        "where there is no guard.toml, that of any server. HOST or HOST:PORT.",
    )
    @click.option(
        "--user",
        help="Log in as this role, with PGPASSWORD or ~/.pgpass, and not as the guard's role with "
        "an IAM token.",
    )
    @click.option("--iam", is_flag=True, help="Log in as --user with an IAM token.")
    @click.option("--dbname", default="", help="The PostgreSQL database to log in to.")
    @aws_options
    @functools.wraps(verb)
    def with_login(
        *,
        host: str | None,
        user: str | None,
        iam: bool,
        dbname: str,
        profile: str | None,
        region: str | None,
        **others: Any,
    ) -> None:
        verb(login=Login(host, user, iam, dbname, profile, region), **others)

    return with_login
