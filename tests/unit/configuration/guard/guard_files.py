"""Texts of guard.toml for tests, built from the bases of the case files."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from connection_guard.configuration.guard.guard_configuration import Database
from connection_guard.configuration.guard.guard_file import read_configuration
from connection_guard.configuration.policy.policy_file import SHIPPED_POLICY
from connection_guard.errors import ConfigurationError
from tests.unit.configuration.cases import as_toml, the_base

CASES = Path(__file__).with_name("cases")
POLICY = SHIPPED_POLICY.read_text(encoding="utf-8")


def _database(name: str) -> dict[str, object]:
    (database,) = the_base(CASES / f"{name}.txt")["databases"]
    return dict(database)


def _proxy(name: str) -> dict[str, object]:
    proxy = _database(name)["proxy"]
    assert isinstance(proxy, dict)
    return proxy


DEPLOY: dict[str, object] = the_base(CASES / "instance.txt")["deploy"]
NOTIFICATIONS = the_base(CASES / "instance.txt")["notifications"]
ORDERS = _database("instance")
PAYMENTS = _database("cluster")
SERVERLESS = _database("serverless")
EXISTING_PROXY = _proxy("existing_proxy")
NEW_PROXY = _proxy("new_proxy")
WITH_SECRET = _proxy("proxy_with_secret")
SECRET, SECRET_KEY = str(WITH_SECRET["secret"]), str(WITH_SECRET["secret_key"])
AT_RDS = str(ORDERS["endpoint"]).partition(".")[2]


def guard(
    *databases: Mapping[str, object],
    deploy: object = DEPLOY,
    notifications: object = NOTIFICATIONS,
    **tables: object,
) -> str:
    """Return a guard.toml without mistakes but for what a test changes in it."""
    return as_toml(
        {
            "deploy": deploy,
            "notifications": notifications,
            "databases": list(databases or (ORDERS,)),
            **tables,
        }
    )


def orders(**changes: object) -> dict[str, object]:
    """Return the table of an instance on RDS."""
    return ORDERS | changes


def payments(**changes: object) -> dict[str, object]:
    """Return the table of a cluster on Aurora."""
    return PAYMENTS | changes


def the_database(path: Path) -> Database:
    """Return the only database of the file."""
    (database,) = read_configuration(path).databases
    return database


def refusal(path: Path) -> list[str]:
    """Return the lines that report the mistakes of the file."""
    with pytest.raises(ConfigurationError) as refused:
        read_configuration(path)
    return str(refused.value).split("\n")
