"""What guard.toml has to say of a database, as far as AWS knows it."""

from typing import Any

import pytest

from connection_guard.cli.discover.account.discovered import (
    FoundDatabase,
    FoundProxy,
    Parameter,
    ParameterGroup,
    Surroundings,
)
from connection_guard.cli.discover.wanted_tables import guard_login, wanted_table
from tests.support.configurations import REGION
from tests.unit.cli.discover.rds_answers import (
    GROUP,
    SUBNETS,
    VPC,
    a_found_cluster,
    a_found_instance,
    a_found_proxy,
    a_proxy,
    a_secret_of,
    a_subnet_group,
    a_target,
    with_secrets,
)

ALL_PRIVATE: frozenset[str] = frozenset()
MINE = ParameterGroup("mine", is_of_cluster=False)
DEFAULT = ParameterGroup("default.postgres16", is_of_cluster=False)


def in_group(name: str = "mine", **changes: Any) -> FoundDatabase:
    group = {"DBParameterGroupName": name, "ParameterApplyStatus": "in-sync"}
    return a_found_instance(DBParameterGroups=[group], **changes)


def facts_of(database: FoundDatabase, **around: Any) -> dict[str, Any]:
    surroundings = Surroundings(
        **{"parameters": {DEFAULT: ()}, "public_subnets": ALL_PRIVATE, **around}
    )
    return dict(wanted_table(database, surroundings).facts)


def test_an_instance_has_all_that_a_deployment_needs() -> None:
    assert facts_of(a_found_instance()) == {
        "instance": "orders",
        "endpoint": f"orders.c0ffee.{REGION}.rds.amazonaws.com",
        "resource_id": "db-ORDERS",
        "instance_class": "db.m7g.large",
        "minimum_acu": None,
        "maximum_acu": None,
        "memory_gib": None,
        "max_connections": None,
        "vpc": VPC,
        "subnets": tuple(SUBNETS),
        "availability_zones": tuple(SUBNETS.values()),
        "security_groups": (GROUP,),
    }


def test_a_port_other_than_the_default_is_written() -> None:
    host = f"orders.c0ffee.{REGION}.rds.amazonaws.com"
    endpoint = {"Address": host, "Port": 6432}

    assert facts_of(a_found_instance(Endpoint=endpoint))["endpoint"] == f"{host}:6432"


def test_serverless_has_whole_capacities_as_whole_numbers() -> None:
    facts = facts_of(
        a_found_cluster(
            {"DBInstanceClass": "db.serverless"},
            ServerlessV2ScalingConfiguration={"MinCapacity": 0.5, "MaxCapacity": 16.0},
        )
    )

    assert (facts["cluster"], facts["minimum_acu"]) == ("payments", 0.5)
    assert isinstance(facts["maximum_acu"], int)
    assert facts["memory_gib"] is None


def test_the_memory_of_a_class_that_only_ec2_knows_is_written() -> None:
    facts = facts_of(a_found_instance(DBInstanceClass="db.z9.large"), memory_gib={"db.z9.large": 8})

    assert facts["memory_gib"] == 8


def test_a_class_that_nobody_knows_leaves_it_to_a_person() -> None:
    facts = facts_of(a_found_instance(DBInstanceClass="db.z9.large"))

    assert "memory_gib" not in facts
    assert "max_connections" not in facts


@pytest.mark.parametrize(
    ("written", "fact"),
    [
        ("500", 500),
        (
            "LEAST({DBInstanceClassMemory/9531392},200)",
            "LEAST({DBInstanceClassMemory/9531392},200)",
        ),
    ],
)
def test_max_connections_is_what_the_parameter_group_sets(written: str, fact: object) -> None:
    parameters = {MINE: (Parameter("max_connections", written, takes_reboot=True),)}

    assert facts_of(in_group(), parameters=parameters)["max_connections"] == fact


def test_an_instance_group_counts_before_that_of_the_cluster() -> None:
    of_cluster = ParameterGroup("default.aurora-postgresql16", is_of_cluster=True)
    of_instance = ParameterGroup("default.aurora-postgresql16", is_of_cluster=False)
    parameters = {
        of_cluster: (Parameter("max_connections", "100", takes_reboot=True),),
        of_instance: (Parameter("max_connections", "200", takes_reboot=True),),
    }

    assert facts_of(a_found_cluster(), parameters=parameters)["max_connections"] == 200


def test_a_group_that_could_not_be_read_leaves_max_connections_alone() -> None:
    assert "max_connections" not in facts_of(in_group(), parameters={})


def test_only_private_subnets_are_written_where_there_are_any() -> None:
    first, *others = SUBNETS
    table = wanted_table(a_found_instance(), Surroundings(public_subnets=frozenset({first})))

    assert table.facts["subnets"] == tuple(others)
    assert table.facts["availability_zones"] == tuple(SUBNETS[each] for each in others)
    assert "subnets" not in table.comments


@pytest.mark.parametrize(
    ("public", "comment"),
    [(frozenset(SUBNETS), "None of these is private"), (None, "could not be read")],
)
def test_a_comment_says_that_subnets_may_not_be_private(
    public: frozenset[str] | None, comment: str
) -> None:
    table = wanted_table(a_found_instance(), Surroundings(public_subnets=public))

    assert table.facts["subnets"] == tuple(SUBNETS)
    assert comment in table.comments["subnets"]


def test_a_local_zone_is_no_place_for_lambda() -> None:
    group = a_subnet_group({"subnet-0000000a": f"{REGION}a", "subnet-0000000b": f"{REGION}-ham-1a"})

    assert facts_of(a_found_instance(DBSubnetGroup=group))["subnets"] == ("subnet-0000000a",)


def test_no_more_subnets_are_written_than_lambda_takes() -> None:
    group = a_subnet_group({f"subnet-{number:08x}": f"{REGION}a" for number in range(20)})
    facts = facts_of(a_found_instance(DBSubnetGroup=group))

    assert len(facts["subnets"]) == len(facts["availability_zones"]) == 16


def test_a_proxy_with_end_to_end_iam_needs_no_role_of_its_own() -> None:
    surroundings = Surroundings(proxies=(a_found_proxy(a_proxy()),))
    [proxy] = wanted_table(a_found_instance(), surroundings).proxies or ()

    assert proxy.facts == {
        "endpoint": f"orders-proxy.proxy-c0ffee.{REGION}.rds.amazonaws.com",
        "resource_id": f"prx-{b'orders-proxy'.hex()}",
        "security_groups": ("sg-00000000000000002",),
        "authentication": "iam",
    }
    assert proxy.role is None


def test_of_several_proxies_the_one_with_iam_is_written_and_the_others_are_named() -> None:
    proxies = (a_found_proxy(with_secrets(name="a")), a_found_proxy(a_proxy("b")))
    table = wanted_table(a_found_instance(), Surroundings(proxies=proxies))

    assert [each.name for each in table.proxies or ()] == ["b", "a"]
    assert table.comments["proxy"].endswith(": a.")


def test_a_proxy_of_another_database_is_not_written() -> None:
    other = a_found_proxy(a_proxy(), target="books")

    assert wanted_table(a_found_instance(), Surroundings(proxies=(other,))).proxies == ()


def proxy_with(*logins: dict[str, Any]) -> FoundProxy:
    return a_found_proxy(with_secrets(*logins))


@pytest.mark.parametrize(
    ("login", "role", "is_named"),
    [
        (a_secret_of("connection_guard_proxy"), "connection_guard_proxy", True),
        (a_secret_of("connection_guard_orders"), "connection_guard_orders", True),
        (a_secret_of(None, Description="for connection_guard_two"), "connection_guard_two", True),
        (a_secret_of("app"), "connection_guard_proxy", False),
        # This role logs in with tokens, and so not with the secret's password.
        (a_secret_of("connection_guard"), "connection_guard_proxy", False),
        (a_secret_of("my_connection_guard_x"), "connection_guard_proxy", False),
        (
            a_secret_of("app", Description="not for connection_guard_two"),
            "connection_guard_proxy",
            False,
        ),
    ],
)
def test_the_role_of_the_guard_is_one_that_aws_shows(
    login: dict[str, Any], role: str, is_named: bool
) -> None:
    assert guard_login(proxy_with(a_secret_of("app"), login)) == (role, is_named)


def test_a_target_is_of_the_same_kind() -> None:
    """A cluster and an instance may have the same name."""
    surroundings = Surroundings(proxies=(a_found_proxy(a_proxy(), target="payments"),))

    assert wanted_table(a_found_cluster(), surroundings).proxies == ()
    assert a_target("payments")["Type"] == "RDS_INSTANCE"
