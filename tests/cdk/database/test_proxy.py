"""The RDS Proxy that the stack creates."""

from dataclasses import replace
from typing import Any

import pytest

from connection_guard.configuration.guard.guard_configuration import (
    Network,
    ProxyAuthentication,
)
from tests.cdk.database.stacks_of_one import (
    DATABASES,
    SECRET_KEY,
    allowed,
    group_of_proxy,
    group_of_responder,
    stack_with,
    statements_of,
    the,
    user,
    ways_in,
    ways_out,
)
from tests.cdk.template import (
    referred,
    synthesized,
)
from tests.support.configurations import (
    REGION,
    SECRET,
    a_configuration,
    a_database,
    a_new_proxy,
)


def test_a_proxy_in_other_subnets_has_another_name() -> None:
    """CloudFormation creates the new one while the old one still exists."""

    def name_in(network: Network) -> str:
        deployed = synthesized(a_configuration(a_database(network=network, proxy=a_new_proxy())))
        return str(the(deployed, "AWS::RDS::DBProxy")[1]["DBProxyName"])

    network = a_database().network
    assert name_in(network) != name_in(
        replace(network, subnets=("subnet-0000000a", "subnet-0000000b"))
    )


@pytest.mark.parametrize("of", ["without proxy", "existing proxy"])
def test_a_proxy_is_created_only_on_request(of: str) -> None:
    assert not stack_with(of).of("AWS::RDS::DBProxy")


@pytest.mark.parametrize("of", ["new proxy with iam", "new proxy with secret"])
def test_a_new_proxy_reaches_the_database_and_only_the_responder_reaches_the_proxy(
    of: str,
) -> None:
    deployed, database = stack_with(of), DATABASES[of]
    group = group_of_proxy(deployed)
    ways = {(each, database.port) for each in database.security_groups}
    assert ways_out(deployed, referred(group)) == ways
    for door, port in ways:
        assert (group, port) in ways_in(deployed, door)
    assert ways_in(deployed, group) == {(group_of_responder(deployed), 5432)}
    assert "SecurityGroupIngress" not in deployed.resources[referred(group)]["Properties"]


@pytest.mark.parametrize(
    ("of", "authentication"),
    [
        ("new proxy with iam", {"DefaultAuthScheme": "IAM_AUTH"}),
        (
            "new proxy with secret",
            {"Auth": [{"AuthScheme": "SECRETS", "SecretArn": SECRET, "IAMAuth": "REQUIRED"}]},
        ),
    ],
)
def test_its_clients_come_with_tokens_over_tls(of: str, authentication: dict[str, Any]) -> None:
    _, proxy = the(stack_with(of), "AWS::RDS::DBProxy")
    assert proxy["EngineFamily"] == "POSTGRESQL"
    assert proxy["RequireTLS"] is True
    assert {
        name: proxy[name] for name in ("Auth", "DefaultAuthScheme") if name in proxy
    } == authentication


def test_a_proxy_with_iam_may_log_in_as_the_guard_and_nothing_else() -> None:
    deployed = stack_with("new proxy with iam")
    role = referred(the(deployed, "AWS::RDS::DBProxy")[1]["RoleArn"])
    assert allowed(deployed, role) == {
        ("rds-db:connect", user("cluster-ORDERS", "connection_guard"))
    }


def test_a_proxy_with_a_secret_may_read_that_one_and_nothing_else() -> None:
    deployed = stack_with("new proxy with secret")
    role = referred(the(deployed, "AWS::RDS::DBProxy")[1]["RoleArn"])
    assert allowed(deployed, role) == {
        ("secretsmanager:GetSecretValue", SECRET),
        ("kms:Decrypt", SECRET_KEY),
    }
    [decrypt] = [each for each in statements_of(deployed, role) if each.names("kms:Decrypt")]
    assert decrypt.condition == {
        "StringEquals": {"kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com"}
    }


def test_a_secret_under_the_key_of_aws_needs_no_permission_on_a_key() -> None:
    deployed = synthesized(
        a_configuration(a_database(proxy=a_new_proxy(ProxyAuthentication.SECRETS)))
    )
    role = referred(the(deployed, "AWS::RDS::DBProxy")[1]["RoleArn"])
    assert allowed(deployed, role) == {("secretsmanager:GetSecretValue", SECRET)}


@pytest.mark.parametrize(
    ("of", "targets"),
    [
        ("new proxy with iam", {"DBClusterIdentifiers": ["orders"]}),
        ("new proxy with secret", {"DBInstanceIdentifiers": ["orders"]}),
    ],
)
def test_it_is_in_front_of_the_database_and_cannot_fill_it(
    of: str, targets: dict[str, list[str]]
) -> None:
    deployed = stack_with(of)
    proxy, _ = the(deployed, "AWS::RDS::DBProxy")
    _, group = the(deployed, "AWS::RDS::DBProxyTargetGroup")
    assert referred(group["DBProxyName"]) == proxy
    assert {name: group[name] for name in group if name.endswith("Identifiers")} == targets
    pool = group["ConnectionPoolConfigurationInfo"]
    # Its clients learn in time that there is no connection; the guard spares its sessions.
    assert pool["ConnectionBorrowTimeout"] <= 10
    assert (
        pool["MaxIdleConnectionsPercent"]
        < pool["MaxConnectionsPercent"]
        < a_database().warning_percent
    )
