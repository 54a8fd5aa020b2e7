"""What cannot be guarded, or is not known, is said in one line each, with the database's path."""

import re
from pathlib import Path

import pytest
from aws_cdk import CfnParameter, Environment, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_rds as rds

from connection_guard.errors import ConfigurationError
from connection_guard_cdk import ConnectionGuard
from tests.cdk.construct.apps import (
    AURORA,
    a_cluster,
    a_guard,
    an_app,
    an_imported_instance,
    an_instance,
)


def mysql(guard: ConnectionGuard, stack: Stack) -> None:
    engine = rds.DatabaseInstanceEngine.mysql(version=rds.MysqlEngineVersion.VER_8_0)
    guard.watch(an_instance(stack, engine=engine))


def replica(guard: ConnectionGuard, stack: Stack) -> None:
    orders = an_instance(stack)
    copy = rds.DatabaseInstanceReadReplica(
        stack,
        "Copy",
        source_database_instance=orders,
        vpc=orders.vpc,
        vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
        instance_type=ec2.InstanceType("m7g.large"),
        iam_authentication=True,
    )
    guard.watch(copy)


def without_iam(guard: ConnectionGuard, stack: Stack) -> None:
    guard.watch(an_instance(stack, iam_authentication=False))


def cluster_without_iam(guard: ConnectionGuard, stack: Stack) -> None:
    guard.watch(a_cluster(stack, iam_authentication=None))


def imported(guard: ConnectionGuard, stack: Stack) -> None:
    guard.watch(an_imported_instance(stack, security_groups=[]))


def imported_cluster(guard: ConnectionGuard, stack: Stack) -> None:
    cluster = rds.DatabaseCluster.from_database_cluster_attributes(
        stack, "Ledger", cluster_identifier="ledger"
    )
    guard.watch(cluster, instance_class="db.r6g.large", resource_id="cluster-LEDGER")


def class_by_parameter(guard: ConnectionGuard, stack: Stack) -> None:
    size = CfnParameter(stack, "Size", default="m7g.large")
    guard.watch(an_instance(stack, instance_type=ec2.InstanceType(size.value_as_string)))


def percentage_by_parameter(guard: ConnectionGuard, stack: Stack) -> None:
    percent = CfnParameter(stack, "Percent", type="Number", default=75)
    guard.watch(an_instance(stack), warning=percent.value_as_number)


def limit_by_parameter(guard: ConnectionGuard, stack: Stack) -> None:
    limit = CfnParameter(stack, "Limit", default="200")
    guard.watch(an_instance(stack, parameters={"max_connections": limit.value_as_string}))


def group_elsewhere(guard: ConnectionGuard, stack: Stack) -> None:
    group = rds.ParameterGroup.from_parameter_group_name(stack, "Group", "of-orders")
    guard.watch(an_instance(stack, parameter_group=group))


def proxy_without_tokens(guard: ConnectionGuard, stack: Stack) -> None:
    orders = an_instance(stack)
    assert orders.secret is not None
    proxy = orders.add_proxy("Proxy", secrets=[orders.secret], vpc=orders.vpc)
    guard.watch(orders, proxy=proxy)


def proxy_without_role(guard: ConnectionGuard, stack: Stack) -> None:
    orders = an_instance(stack)
    assert orders.secret is not None
    proxy = orders.add_proxy("Proxy", secrets=[orders.secret], vpc=orders.vpc, iam_auth=True)
    guard.watch(orders, proxy=proxy)


def imported_proxy(guard: ConnectionGuard, stack: Stack) -> None:
    proxy = rds.DatabaseProxy.from_database_proxy_attributes(
        stack,
        "Proxy",
        db_proxy_arn="arn:aws:rds:eu-central-1:123456789012:db-proxy:prx-0123456789abcdef0",
        db_proxy_name="orders",
        endpoint="orders.proxy-c0ffee.eu-central-1.rds.amazonaws.com",
        security_groups=[],
    )
    guard.watch(an_instance(stack), proxy=proxy)


def twice(guard: ConnectionGuard, stack: Stack) -> None:
    orders = an_instance(stack)
    guard.watch(orders)
    guard.watch(orders)


def another_region(guard: ConnectionGuard, stack: Stack) -> None:
    there = Stack(stack.node.scope, "There", env=Environment(region="us-east-1"))  # type: ignore[arg-type]
    guard.watch(an_instance(there))


def unknown_option(guard: ConnectionGuard, stack: Stack) -> None:
    guard.watch(an_instance(stack), waring=70)  # type: ignore[call-arg]


def no_database(guard: ConnectionGuard, stack: Stack) -> None:  # noqa: ARG001
    guard.watch("orders")  # type: ignore[arg-type]


def serverless_of_version_1(guard: ConnectionGuard, stack: Stack) -> None:
    old = rds.ServerlessCluster(stack, "Old", engine=AURORA, vpc=ec2.Vpc(stack, "Vpc"))
    guard.watch(old)  # type: ignore[arg-type]


def same_identifier(guard: ConnectionGuard, stack: Stack) -> None:
    orders = an_instance(stack, instance_identifier="ledger")
    guard.watch(orders)
    guard.watch(
        an_imported_instance(stack),
        vpc=orders.vpc,
        vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
        resource_id="db-LEDGER",
        instance_class="db.m7g.large",
    )


def another_account(guard: ConnectionGuard, stack: Stack) -> None:
    env = Environment(account="210987654321", region="eu-central-1")
    there = Stack(stack.node.scope, "There", env=env)  # type: ignore[arg-type]
    guard.watch(an_instance(there))


def subnets_that_are_not_there(guard: ConnectionGuard, stack: Stack) -> None:
    isolated = ec2.SubnetConfiguration(name="i", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
    orders = an_instance(
        stack,
        vpc=ec2.Vpc(stack, "Vpc", nat_gateways=0, subnet_configuration=[isolated]),
        vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
    )
    guard.watch(orders, vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC))


def widgets_of_another(guard: ConnectionGuard, stack: Stack) -> None:
    guard.dashboard_widgets(an_instance(stack))


def two_mistakes(guard: ConnectionGuard, stack: Stack) -> None:
    guard.watch(an_instance(stack), warning=95, owner="")


def expected() -> dict[str, list[str]]:
    """Return the lines for each of the functions above: a line that is indented continues one."""
    text = Path(__file__).with_name("refused_databases.txt").read_text().replace("\n  ", " ")
    sections = re.findall(r"^\[(\w+)\]\n(.*?)\n(?=\n|\Z)", text, re.MULTILINE | re.DOTALL)
    return {name: lines.splitlines() for name, lines in sections}


@pytest.mark.parametrize("case", expected())
def test_it_is_said_in_one_line_each(case: str, tmp_path: Path) -> None:
    stack = Stack(an_app(tmp_path), "Shop", env=Environment(region="eu-central-1"))
    guard = a_guard(stack)

    with pytest.raises(ConfigurationError) as refused:
        globals()[case](guard, stack)

    assert str(refused.value).splitlines() == expected()[case]
