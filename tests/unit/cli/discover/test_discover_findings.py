"""What would stop a deployment, or leave the guard helpless, and its remedy."""

from typing import Any

import pytest

from connection_guard.cli.discover.account.discovered import (
    FoundDatabase,
    Parameter,
    ParameterGroup,
    Surroundings,
)
from connection_guard.cli.discover.database_findings import (
    DatabaseFinding,
    findings_of_database,
)
from tests.unit.cli.discover.rds_answers import (
    SUBNETS,
    a_found_cluster,
    a_found_instance,
    a_found_proxy,
    a_proxy,
    a_secret_of,
    a_subnet_group,
    with_secrets,
)

PRIVATE = Surroundings(public_subnets=frozenset())


def only(database: FoundDatabase, surroundings: Surroundings = PRIVATE) -> DatabaseFinding:
    [finding] = findings_of_database(database, surroundings)
    assert finding.database == database.identifier
    return finding


def test_there_is_none_about_a_database_that_is_ready() -> None:
    assert not findings_of_database(a_found_instance(), PRIVATE)
    assert not findings_of_database(a_found_cluster(), PRIVATE)


def test_iam_authentication_is_turned_on_by_a_command() -> None:
    of_instance = only(a_found_instance(IAMDatabaseAuthenticationEnabled=False))
    of_cluster = only(a_found_cluster(IAMDatabaseAuthenticationEnabled=False))

    assert of_instance.problem == "IAM authentication is off, so that the guard cannot log in"
    assert of_instance.remedy == (
        "aws rds modify-db-instance --db-instance-identifier orders "
        "--enable-iam-database-authentication --apply-immediately"
    )
    assert of_cluster.remedy.startswith(
        "aws rds modify-db-cluster --db-cluster-identifier payments --enable-iam"
    )


def test_iam_authentication_that_waits_for_a_maintenance_window_is_not_on() -> None:
    database = a_found_instance(
        IAMDatabaseAuthenticationEnabled=False,
        PendingModifiedValues={"IAMDatabaseAuthenticationEnabled": True},
    )

    assert "only in the next maintenance window" in only(database).problem


@pytest.mark.parametrize(
    "status", ["available", "backing-up", "modifying", "configuring-log-exports"]
)
def test_a_database_that_serves_is_available(status: str) -> None:
    assert not findings_of_database(a_found_instance(DBInstanceStatus=status), PRIVATE)


@pytest.mark.parametrize(
    "status", ["stopped", "storage-full", "inaccessible-encryption-credentials"]
)
def test_a_database_that_does_not_serve_is_a_finding(status: str) -> None:
    finding = only(a_found_instance(DBInstanceStatus=status))

    assert finding.problem == f"it is {status}, so that the guard cannot log in"
    assert "aws rds start-db-instance --db-instance-identifier orders" in finding.remedy


@pytest.mark.parametrize("version", ["13.18", "19.1", "9.6.24", ""])
def test_an_untested_version_is_a_finding(version: str) -> None:
    assert "not tested with PostgreSQL" in only(a_found_instance(EngineVersion=version)).problem


@pytest.mark.parametrize("version", ["14.0", "18.1", "16.4-R2", "17"])
def test_a_tested_version_is_none(version: str) -> None:
    assert not findings_of_database(a_found_instance(EngineVersion=version), PRIVATE)


def test_a_multi_az_cluster_is_a_finding() -> None:
    assert "Multi-AZ DB cluster" in only(a_found_cluster(Engine="postgres")).problem


def test_subnets_that_are_all_public_are_a_finding() -> None:
    finding = only(a_found_instance(), Surroundings(public_subnets=frozenset(SUBNETS)))

    assert "no subnet of its subnet group is private" in finding.problem
    assert "vpc-00000000000000001" in finding.remedy


def test_one_private_subnet_is_enough() -> None:
    surroundings = Surroundings(public_subnets=frozenset([*SUBNETS][1:]))

    assert not findings_of_database(a_found_instance(), surroundings)


def test_a_subnet_group_without_a_place_for_lambda_is_a_finding() -> None:
    group = a_subnet_group({"subnet-0000000a": "eu-central-1-ham-1a"})

    assert (
        "no subnet in which Lambda could run" in only(a_found_instance(DBSubnetGroup=group)).problem
    )


def test_a_public_cluster_is_made_private_at_its_writer() -> None:
    finding = only(a_found_cluster({"PubliclyAccessible": True}))

    assert finding.remedy == (
        "aws rds modify-db-instance --db-instance-identifier payments-1 --no-publicly-accessible"
    )


def test_a_class_that_nobody_knows_is_a_finding() -> None:
    database = a_found_instance(DBInstanceClass="db.z9.large")

    assert "the memory of db.z9.large is known neither" in only(database).problem
    known = Surroundings(public_subnets=frozenset(), memory_gib={"db.z9.large": 8.0})
    assert not findings_of_database(database, known)


def serverless(minimum: float) -> FoundDatabase:
    return a_found_cluster(
        {"DBInstanceClass": "db.serverless"},
        ServerlessV2ScalingConfiguration={"MinCapacity": minimum, "MaxCapacity": 8.0},
    )


def test_a_cluster_that_could_pause_is_a_finding() -> None:
    assert "minimum is 0 ACUs" in only(serverless(0.0)).problem
    assert not findings_of_database(serverless(0.5), PRIVATE)


def waiting(*parameters: Parameter, status: str = "pending-reboot") -> list[DatabaseFinding]:
    group = {"DBParameterGroupName": "mine", "ParameterApplyStatus": status}
    return findings_of_database(
        a_found_instance(DBParameterGroups=[group]),
        Surroundings(
            parameters={ParameterGroup("mine", is_of_cluster=False): parameters},
            public_subnets=frozenset(),
        ),
    )


LIMIT = Parameter("max_connections", "500", takes_reboot=True)
RESERVE = Parameter("reserved_connections", "2", takes_reboot=True)
OTHER = Parameter("shared_preload_libraries", "pgaudit", takes_reboot=True)


def test_limits_that_wait_for_a_reboot_are_a_finding() -> None:
    [finding] = waiting(OTHER, LIMIT, RESERVE)

    assert finding.problem.endswith("max_connections = 500, reserved_connections = 2")
    assert finding.remedy == "aws rds reboot-db-instance --db-instance-identifier orders"


def test_other_parameters_that_wait_for_a_reboot_are_none() -> None:
    assert not waiting(OTHER)
    assert not waiting(LIMIT, status="in-sync")
    assert not waiting(Parameter("max_connections", "500", takes_reboot=False))


def with_proxy(answer: dict[str, Any], seconds: int = 120) -> list[DatabaseFinding]:
    proxies = (a_found_proxy(answer, seconds),)
    return findings_of_database(
        a_found_instance(), Surroundings(public_subnets=frozenset(), proxies=proxies)
    )


def test_a_borrow_timeout_above_the_default_is_a_finding() -> None:
    [finding] = with_proxy(a_proxy(), seconds=121)

    assert "wait for 121 s (ConnectionBorrowTimeout)" in finding.problem
    assert "--db-proxy-name orders-proxy" in finding.remedy
    assert not with_proxy(a_proxy(), seconds=120)


def test_a_proxy_without_a_secret_for_the_guard_is_a_finding() -> None:
    [finding] = with_proxy(with_secrets(a_secret_of("app"), a_secret_of(None)))

    assert finding.problem.endswith("none of which is known to be the guard's (app, app)")
    assert "create a second role, such as connection_guard_proxy" in finding.remedy


def test_a_proxy_that_takes_no_tokens_for_the_guard_is_a_finding() -> None:
    [finding] = with_proxy(with_secrets(a_secret_of("connection_guard_proxy", IAMAuth="DISABLED")))

    assert finding.problem.endswith("does not take IAM tokens for connection_guard_proxy")
    assert not with_proxy(with_secrets(a_secret_of("connection_guard_proxy")))


def test_names_from_outside_cannot_write_a_command_of_their_own() -> None:
    database = a_found_instance("orders;reboot\n", IAMDatabaseAuthenticationEnabled=False)

    assert "--db-instance-identifier 'orders;reboot' --enable" in only(database).remedy
