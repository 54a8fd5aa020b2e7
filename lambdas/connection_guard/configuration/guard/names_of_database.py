"""Read the names that a database has: its identifier, the database to log in to, and the roles that
log in.
"""

import re

from connection_guard.adapters.postgresql.names import LONGEST_NAME
from connection_guard.adapters.postgresql.roles import TAKEN_ROLES, UNFIT_DATABASES
from connection_guard.configuration.toml import readers
from connection_guard.configuration.toml.readers import MistakeError, Reader, given, matching


def database_identifier(value: object) -> str:
    """Read the identifier of an instance or a cluster, in lower case.

    RDS stores it that way (Amazon RDS API Reference, CreateDBInstance and CreateDBCluster), and so
    does the dimension of CloudWatch's metrics.
    """
    return _identifier(value).lower()


_identifier = matching(
    r"(?!.{64})[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)*",
    "an RDS identifier",
    '1 to 63 letters, digits and single "-", beginning with a letter, such as "orders"',
)


def database_name(value: object) -> str:
    """Read the name of the database that the guard logs in to."""
    name = readers.name(value)
    if unfit := UNFIT_DATABASES.get(name):
        raise MistakeError(f'{given(name)} {unfit}; write "postgres", or one of your own databases')
    if len(name.encode()) > LONGEST_NAME:
        raise MistakeError(
            f"{given(name)} is longer than the {LONGEST_NAME} bytes that PostgreSQL stores; "
            "shorten it"
        )
    return name


# In the ARN by which IAM lets a role log in, "*" and "?" would let others in as well, and "$"
# begins a variable.
_role = matching(
    rf"[A-Za-z_][A-Za-z0-9_.-]{{0,{LONGEST_NAME - 1}}}",
    "the name of a role",
    f'at most {LONGEST_NAME} letters, digits, "_", "-" and ".", beginning with a letter or "_"',
)


def role(value: object) -> str:
    """Read the role that the guard logs in as."""
    name = _role(value)
    for names, whose in TAKEN_ROLES.items():
        if re.fullmatch(names, name):
            raise MistakeError(
                f"{given(name)} {whose}; write a role that only the guard uses, such as "
                '"connection_guard"'
            )
    return name


def same_role(database_role: str | None) -> Reader[str]:
    """Return a reader of the role of a proxy with end-to-end IAM authentication; any role passes
    where the database's is None.
    """

    def read(value: object) -> str:
        name = role(value)
        if database_role is not None and name != database_role:
            raise MistakeError(
                f"{given(name)} is not the database's role, {given(database_role)}, but with "
                "end-to-end IAM authentication both doors have the same role; leave it out, or "
                "write it above [databases.proxy]"
            )
        return name

    return read


def other_role(database_role: str | None) -> Reader[str]:
    """Return a reader of the role of a proxy that logs in with a secret."""

    def read(value: object) -> str:
        name = role(value)
        if name == database_role:
            raise MistakeError(
                f"{given(name)} is also the database's role, which logs in with tokens (rds_iam) "
                "and therefore not with the password that the proxy has; write a second role, such "
                'as "connection_guard_proxy"'
            )
        return name

    return read
