"""`connection-guard discover` against an AWS account that moto plays."""

import os
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from moto.core.exceptions import ServiceException
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses import EC2Response
from moto.rds.responses import RDSResponse
from moto.secretsmanager.responses import SecretsManagerResponse

from connection_guard.configuration.guard.guard_file import read_configuration
from tests.support.cli.aws_account import AwsAccount, aws_account
from tests.support.cli.running import Ran, at_a_terminal, in_a_pipe
from tests.support.configurations import ACCOUNT, REGION

CHANNEL = '[notifications]\nemails = ["platform@example.com"]\n'
MOST = timedelta(minutes=1)


@pytest.fixture
def account() -> Iterator[AwsAccount]:
    with aws_account() as account:
        yield account


def discover(account: AwsAccount, folder: Path, *arguments: str, **environment: str) -> Ran:
    return in_a_pipe(
        "discover", *arguments, environment={**account.environment, **environment}, folder=folder
    )


def names_in(file: Path) -> list[str]:
    tables = tomllib.loads(file.read_text())["databases"]
    return [table.get("instance") or table["cluster"] for table in tables]


def refuse(
    monkeypatch: pytest.MonkeyPatch, responses: type, *operations: str, code: str = "AccessDenied"
) -> None:
    """Let AWS refuse these operations."""

    def refused(*_: object) -> None:
        message = f"User: arn:aws:iam::{ACCOUNT}:user/me is not authorized"
        if responses is EC2Response:
            raise EC2ClientError(code, message)
        raise ServiceException(code, message)

    for operation in operations:
        monkeypatch.setattr(responses, operation, refused)


def test_forty_databases_are_described_in_a_minute_so_that_they_can_be_deployed(
    account: AwsAccount, tmp_path: Path
) -> None:
    """The list of RDS has more than a page: 40 of 115 instances are chosen."""
    for number in range(40):
        account.instance(f"shop-{number:02}", tags={"team": "shop"})
    for number in range(75):
        account.instance(f"other-{number:02}", Engine="mysql", EngineVersion="8.0.35")
    file = tmp_path / "guard.toml"
    file.write_text(CHANNEL)

    started = monotonic()
    ran = discover(account, tmp_path, "--all")
    took = monotonic() - started

    assert took < MOST.total_seconds()
    assert names_in(file) == [f"shop-{number:02}" for number in range(40)]
    configuration = read_configuration(file)
    assert (configuration.target.account, configuration.target.region) == (ACCOUNT, REGION)
    assert set(configuration.databases[0].network.subnets) == set(account.private)
    assert len(ran.document["left_out"]) == 75
    assert ran.document["written"]
    assert ran.document["mistakes"] == []
    [finding] = ran.document["findings"]
    assert "40 databases are more than one stack holds" in finding["problem"]
    assert ran.status == 1

    text = file.read_text()
    again = discover(account, tmp_path, "--tag", "team=shop")
    assert again.document["changes"] == []
    assert not again.document["written"]
    assert file.read_text() == text


def test_a_cluster_a_proxy_and_a_parameter_group_are_described(
    account: AwsAccount, tmp_path: Path
) -> None:
    a_cluster(account)
    account.rds.create_db_parameter_group(
        DBParameterGroupName="mine", DBParameterGroupFamily="postgres16", Description="mine"
    )
    account.rds.modify_db_parameter_group(
        DBParameterGroupName="mine",
        Parameters=[
            {
                "ParameterName": "max_connections",
                "ParameterValue": "500",
                "ApplyMethod": "pending-reboot",
            }
        ],
    )
    orders = account.instance("orders", DBParameterGroupName="mine")
    (tmp_path / "guard.toml").write_text(CHANNEL)
    a_proxy(account, "orders-proxy", "orders")

    ran = discover(account, tmp_path, "orders", "payments")

    assert ran.document["findings"] == []
    assert (ran.status, ran.errors) == (0, "")
    orders, payments = read_configuration(tmp_path / "guard.toml").databases
    assert (orders.max_connections.max_connections, orders.proxy.role) == (500, "connection_guard")
    assert (payments.is_cluster, payments.max_connections.max_connections) == (True, 2000)
    table = tomllib.loads((tmp_path / "guard.toml").read_text())["databases"][1]
    assert (table["minimum_acu"], table["maximum_acu"]) == (0.5, 16)


def a_cluster(account: AwsAccount) -> None:
    account.rds.create_db_cluster(
        DBClusterIdentifier="payments",
        Engine="aurora-postgresql",
        EngineVersion="16.4",
        MasterUsername="master",
        MasterUserPassword="a long password",
        DBSubnetGroupName="databases",
        VpcSecurityGroupIds=[account.security_group],
        EnableIAMDatabaseAuthentication=True,
        ServerlessV2ScalingConfiguration={"MinCapacity": 0.5, "MaxCapacity": 16},
    )
    for number in (1, 2):
        account.instance(
            f"payments-{number}",
            DBClusterIdentifier="payments",
            Engine="aurora-postgresql",
            DBInstanceClass="db.serverless",
        )


def a_proxy(account: AwsAccount, name: str, instance: str, **changes: Any) -> Any:
    """Create a proxy of an instance, with end-to-end IAM authentication."""
    account.rds.create_db_proxy(
        DBProxyName=name,
        EngineFamily="POSTGRESQL",
        Auth=changes.pop("Auth", []),
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/proxy",
        VpcSubnetIds=account.private,
        VpcSecurityGroupIds=[account.security_group],
    )
    account.rds.register_db_proxy_targets(
        DBProxyName=name, TargetGroupName="default", DBInstanceIdentifiers=[instance]
    )
    held = account.state.db_proxies[name]
    held.endpoint = f"{name}.proxy-c0ffee.{REGION}.rds.amazonaws.com"
    held.vpc_id = account.vpc
    for key, value in changes.items():
        setattr(held, key, value)
    return held
