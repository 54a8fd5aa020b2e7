"""What RDS has of the database and its proxy, as the doctor judges it."""

from typing import Any

import pytest

from connection_guard.cli.doctor.deployed.rds_checks import check_proxy, check_rds
from connection_guard.cli.doctor.facts.aws_facts import ServerInRds
from connection_guard.cli.doctor.facts.check import Check, Unknown
from tests.support.builders import a_capacity
from tests.support.cli.doctor_facts import (
    a_proxy_in_rds,
    is_finding,
    is_ok,
    is_unchecked,
    some_aws_facts,
)
from tests.support.configurations import a_cluster, a_database, a_new_proxy, an_existing_proxy

MODIFY = "aws rds modify-db-instance --db-instance-identifier orders"
DATABASE = a_database(proxy=an_existing_proxy())


def proxy_check(proxy: Any, database: Any = DATABASE) -> Check:
    return check_proxy(some_aws_facts(proxy=proxy), database, a_capacity(100, reserved=7))


@pytest.mark.parametrize(
    ("server", "remedy"),
    [
        (
            None,
            "aws rds describe-db-instances --db-instance-identifier orders",
        ),
        (
            ServerInRds("db-ORDERS", "available", False, ()),
            f"{MODIFY} --enable-iam-database-authentication --apply-immediately",
        ),
        (
            ServerInRds("db-OTHER", "available", True, ()),
            'resource_id = "db-OTHER"  # in guard.toml',
        ),
        (
            ServerInRds("db-ORDERS", "available", True, ("custom-16",)),
            "aws rds reboot-db-instance --db-instance-identifier orders",
        ),
    ],
)
def test_what_rds_shows_is_mended_by_one_command(server: ServerInRds | None, remedy: str) -> None:
    check = check_rds(server, a_database())

    assert is_finding(check)
    assert check.remedy == (remedy,)


def test_a_cluster_is_modified_as_a_cluster() -> None:
    server = ServerInRds("cluster-ORDERS", "available", False, ())
    [remedy] = check_rds(server, a_cluster()).remedy
    assert remedy.startswith("aws rds modify-db-cluster --db-cluster-identifier orders ")


def test_an_instance_of_aurora_is_known_to_iam_by_its_cluster() -> None:
    server = ServerInRds("db-ORDERS", "available", True, ())
    assert is_ok(check_rds(server, a_database(resource_id="cluster-ORDERS")))


def test_what_may_not_be_asked_is_unchecked() -> None:
    assert is_unchecked(check_rds(Unknown("denied"), a_database()))
    assert is_unchecked(proxy_check(Unknown("denied")))


def test_a_proxy_with_room_and_time_is_well() -> None:
    check = proxy_check(a_proxy_in_rds())
    assert is_ok(check)
    assert "clients wait 5 s" in check.detail


@pytest.mark.parametrize(
    ("changes", "settings"),
    [
        ({"borrow_timeout": 1}, "ConnectionBorrowTimeout=5"),
        ({"max_connections_percent": 100}, "MaxConnectionsPercent=80"),
        ({"max_connections_percent": 90}, "MaxConnectionsPercent=80"),
        (
            {"borrow_timeout": 0, "max_connections_percent": 100},
            "ConnectionBorrowTimeout=5,MaxConnectionsPercent=80",
        ),
    ],
)
def test_a_proxy_without_is_given_it(changes: dict[str, Any], settings: str) -> None:
    check = proxy_check(a_proxy_in_rds(**changes))

    assert is_finding(check)
    [remedy] = check.remedy
    assert remedy.startswith(
        "aws rds modify-db-proxy-target-group --db-proxy-name orders-proxy --target-group-name "
    )
    assert remedy.endswith(f" default --connection-pool-config {settings}")


@pytest.mark.parametrize("percent", [50, 89])
def test_a_proxy_that_leaves_connections_is_well(percent: int) -> None:
    assert is_ok(proxy_check(a_proxy_in_rds(max_connections_percent=percent)))


def test_a_proxy_that_is_not_available_is_a_finding() -> None:
    assert is_finding(proxy_check(a_proxy_in_rds(status="insufficient-resource-limits")))


def test_a_proxy_that_is_missing_is_a_finding_unless_the_stack_is_to_make_it() -> None:
    assert is_finding(proxy_check(None))
    assert is_unchecked(proxy_check(None, a_database(proxy=a_new_proxy())))
