"""Configurations of many databases."""

from typing import Any

from connection_guard.configuration.guard.guard_configuration import Configuration, Database
from tests.support.configurations import a_configuration, a_database


def numbered(number: int, **changes: Any) -> Database:
    """Return a database that shares nothing but its VPC and its port with others."""
    facts: dict[str, Any] = {
        "identifier": f"orders{number}",
        "host": f"orders{number}.c0ffee.eu-central-1.rds.amazonaws.com",
        "resource_id": f"db-ORDERS{number}",
        "security_groups": (f"sg-{number:017x}",),
    }
    return a_database(**(facts | changes))


def a_fleet(size: int, **changes: Any) -> Configuration:
    """Return a configuration of so many such databases."""
    return a_configuration(*(numbered(number, **changes) for number in range(size)))
