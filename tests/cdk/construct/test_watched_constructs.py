"""What a guard in somebody's app reaches and measures: the databases of the app, by references."""

from pathlib import Path
from typing import Any

import pytest
from aws_cdk import CfnParameter, Stack, Stage
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_rds as rds

from connection_guard.core.database.door import Door, DoorName
from connection_guard_cdk import ConnectionGuard, ExistingProxy, ProxyAuthentication
from tests.cdk.construct.apps import (
    AURORA,
    PORT,
    a_cluster,
    a_guard,
    an_app,
    an_imported_instance,
    an_instance,
    responders,
    settings_of,
    template_of,
)
from tests.cdk.template import Template


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """Return a stack of no particular account or region with an instance, a cluster behind a proxy
    and an imported instance.
    """
    stack = Stack(an_app(tmp_path_factory.mktemp("shop")), "Shop")
    guard = a_guard(stack)
    port = CfnParameter(stack, "Port", type="Number", default=PORT).value_as_number
    orders, payments = an_instance(stack, port=port), a_cluster(stack)
    guard.watch(orders)
    secret = payments.secret
    assert secret is not None
    proxy = payments.add_proxy("Proxy", secrets=[secret], vpc=payments.vpc, iam_auth=True)
    guard.watch(payments, proxy=proxy, proxy_role="guard_of_proxy", warning=80, role="guard")
    guard.watch(
        an_imported_instance(stack),
        vpc=orders.vpc,
        instance_class="db.t4g.micro",
        resource_id="db-LEDGER",
    )
    return template_of(stack)


def of(database: str, template: Template) -> tuple[str, Any]:
    """Return the logical id and the properties of the responder of the construct."""
    [found] = [
        (name, each) for name, each in responders(template).items() if f"Shop{database}" in name
    ]
    return found


def logical_id(template: Template, resource_type: str, name: str) -> str:
    [found] = [each for each in template.of(resource_type) if each.startswith(name)]
    return found


def test_the_responder_reaches_the_instance_at_what_cloudformation_will_know(
    shop: Template,
) -> None:
    settings = settings_of(of("Orders", shop)[1])
    instance = logical_id(shop, "AWS::RDS::DBInstance", "Orders")

    assert settings.database == f"${{{instance}}}"
    assert settings.direct == Door(
        DoorName.DIRECT, f"${{{instance}.Endpoint.Address}}", PORT, "connection_guard"
    )
    assert settings.proxy is None
    assert settings.region == "${AWS::Region}"


def test_the_responder_of_a_cluster_goes_through_its_proxy_first(shop: Template) -> None:
    settings = settings_of(of("Payments", shop)[1])
    cluster = logical_id(shop, "AWS::RDS::DBCluster", "Payments")
    proxy = logical_id(shop, "AWS::RDS::DBProxy", "Payments")

    assert settings.doors == (
        Door(DoorName.PROXY, f"${{{proxy}.Endpoint}}", 5432, "guard_of_proxy"),
        Door(DoorName.DIRECT, f"${{{cluster}.Endpoint.Address}}", 5432, "guard"),
    )
    assert (settings.warning_percent, settings.critical_percent) == (80, 90)


def test_an_imported_database_is_known_by_what_was_passed(shop: Template) -> None:
    settings = settings_of(of("Ledger", shop)[1])

    assert settings.database == "ledger"
    assert (settings.direct.host, settings.direct.port) == (
        "ledger.c0ffee.eu-central-1.rds.amazonaws.com",
        5432,
    )


@pytest.mark.parametrize(
    ("database", "resource", "users"),
    [
        ("Orders", "AWS::RDS::DBInstance", ["{}.DbiResourceId}}/connection_guard"]),
        ("Payments", "AWS::RDS::DBCluster", ["{}.DBClusterResourceId}}/guard"]),
    ],
)
def test_the_responder_may_log_in_to_the_database_by_its_resource_id(
    shop: Template, database: str, resource: str, users: list[str]
) -> None:
    role = shop.role_of(of(database, shop)[0])
    server = "${" + logical_id(shop, resource, database)
    allowed = {
        each.rpartition(":")[2]
        for statement in shop.statements()
        if statement.holder == role and statement.names("rds-db:connect")
        for each in statement.resources
    }

    assert {user.replace("{}", server).replace("}}", "}") for user in users} <= allowed


def test_the_responder_may_log_in_to_the_proxy_by_the_last_part_of_its_arn(shop: Template) -> None:
    role = shop.role_of(of("Payments", shop)[0])
    proxy = logical_id(shop, "AWS::RDS::DBProxy", "Payments")

    [statement] = [
        each for each in shop.statements() if each.holder == role and each.names("rds-db:connect")
    ]
    assert any(
        user.endswith(f":${{{proxy}.DBProxyArn}}[6]/guard_of_proxy") for user in statement.resources
    )


def test_the_security_group_of_the_database_lets_the_responder_in_on_its_port(
    shop: Template,
) -> None:
    instance = logical_id(shop, "AWS::RDS::DBInstance", "Orders")
    [group] = of("Orders", shop)[1]["VpcConfig"]["SecurityGroupIds"]
    [of_instance] = shop.of("AWS::RDS::DBInstance")[instance]["VPCSecurityGroups"]
    port = f"${{{instance}.Endpoint.Port}}"

    assert {
        (each["GroupId"], each["FromPort"], each["ToPort"])
        for each in shop.of("AWS::EC2::SecurityGroupIngress").values()
        if each["SourceSecurityGroupId"] == group
    } >= {(of_instance, port, port)}


def test_the_responder_runs_in_the_vpc_of_the_database(shop: Template) -> None:
    subnets = of("Orders", shop)[1]["VpcConfig"]["SubnetIds"]

    assert len(subnets) == 2
    assert all("OrdersVpcIsolatedSubnet" in each for each in subnets)


def test_the_alarms_measure_the_database_by_a_reference(shop: Template) -> None:
    instance = logical_id(shop, "AWS::RDS::DBInstance", "Orders")
    cluster = logical_id(shop, "AWS::RDS::DBCluster", "Payments")
    dimensions = [
        {each["Name"]: each["Value"] for each in metric["MetricStat"]["Metric"]["Dimensions"]}
        for alarm in shop.of("AWS::CloudWatch::Alarm").values()
        for metric in alarm.get("Metrics", [])
        if metric.get("MetricStat", {}).get("Metric", {}).get("Namespace") == "AWS/RDS"
    ]

    assert {"DBInstanceIdentifier": f"${{{instance}}}"} in dimensions
    assert {"DBClusterIdentifier": f"${{{cluster}}}", "Role": "WRITER"} in dimensions
    assert {"DBInstanceIdentifier": "ledger"} in dimensions


def test_an_identifier_that_the_app_chooses_is_written_out(tmp_path: Path) -> None:
    stack = Stack(an_app(tmp_path), "Shop")
    watched = a_guard(stack).watch(an_instance(stack, instance_identifier="Orders-Prod"))

    assert watched.database.identifier == "orders-prod"


def a_stack(folder: Path) -> tuple[Stack, ConnectionGuard]:
    stack = Stack(an_app(folder), "Shop")
    return stack, a_guard(stack)


def test_max_connections_is_estimated_from_the_class(tmp_path: Path) -> None:
    stack, guard = a_stack(tmp_path)
    instance, cluster = an_instance(stack), a_cluster(stack)

    estimates = [guard.watch(each).database.max_connections for each in (instance, cluster)]

    assert "db.m7g.large has 8 GiB" in estimates[0].explanation
    assert "db.r6g.large has 16 GiB" in estimates[1].explanation  # the writer, not the reader


def test_a_parameter_group_of_the_app_says_what_max_connections_is(tmp_path: Path) -> None:
    stack, guard = a_stack(tmp_path)
    elsewhere = Stack(Stage.of(stack), "Elsewhere")
    group = rds.ParameterGroup(
        elsewhere, "Group", engine=AURORA, parameters={"max_connections": "300"}
    )
    databases: list[rds.IDatabaseInstance | rds.IDatabaseCluster] = [
        an_instance(stack, parameters={"max_connections": "200"}),
        a_cluster(stack, "OfCluster", parameter_group=group),
        a_cluster(
            stack,
            "OfWriter",
            parameter_group=group,
            writer=rds.ClusterInstance.provisioned(
                "writer",
                instance_type=ec2.InstanceType("r6g.large"),
                parameters={"max_connections": "250"},
            ),
        ),
    ]

    estimates = [guard.watch(each).database.max_connections for each in databases]

    assert [each.max_connections for each in estimates] == [200, 300, 250]


def test_serverless_counts_by_its_capacity(tmp_path: Path) -> None:
    stack, guard = a_stack(tmp_path)
    cluster = a_cluster(
        stack,
        writer=rds.ClusterInstance.serverless_v2("writer"),
        readers=[],
        serverless_v2_min_capacity=2,
        serverless_v2_max_capacity=8,
    )

    estimate = guard.watch(cluster).database.max_connections

    assert "Serverless v2 at 8 ACUs has 16 GiB" in estimate.explanation


def test_what_is_passed_counts_more_than_what_the_construct_says(tmp_path: Path) -> None:
    stack, guard = a_stack(tmp_path)
    group = rds.ParameterGroup.from_parameter_group_name(stack, "Group", "orders")

    watched = guard.watch(an_instance(stack, parameter_group=group), max_connections=123)

    assert watched.database.max_connections.max_connections == 123


def test_a_proxy_with_end_to_end_iam_needs_no_second_role(tmp_path: Path) -> None:
    stack, guard = a_stack(tmp_path)
    orders = an_instance(stack)
    proxy = rds.DatabaseProxy(
        stack,
        "Proxy",
        proxy_target=rds.ProxyTarget.from_instance(orders),
        vpc=orders.vpc,
        default_auth_scheme=rds.DefaultAuthScheme.IAM_AUTH,
    )

    watched = guard.watch(orders, proxy=proxy, role="guard").database.proxy

    assert isinstance(watched, ExistingProxy)
    assert (watched.authentication, watched.role) == (ProxyAuthentication.IAM, "guard")
