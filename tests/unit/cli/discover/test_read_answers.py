"""What is read out of AWS's answers: databases to guard, and those that are left out."""

from typing import Any

import pytest

from connection_guard.cli.discover.account.discovered import FoundSubnet, Parameter, ParameterGroup
from connection_guard.cli.discover.account.read_answers import read_parameter, read_proxy_of_aws
from tests.support.configurations import ACCOUNT, REGION
from tests.unit.cli.discover.rds_answers import (
    GROUP,
    SUBNETS,
    VPC,
    a_cluster,
    a_found_cluster,
    a_found_instance,
    a_member,
    a_parameter,
    a_proxy,
    a_secret_of,
    a_target,
    a_target_group,
    an_instance,
    found,
    left_out,
    members_of,
    with_secrets,
)


def test_an_instance_is_described_by_its_own_answer() -> None:
    database = a_found_instance(TagList=[{"Key": "team", "Value": "shop"}])

    assert (database.kind, database.identifier, database.account) == ("instance", "orders", ACCOUNT)
    assert database.host == f"orders.c0ffee.{REGION}.rds.amazonaws.com"
    assert (database.vpc, database.security_groups) == (VPC, (GROUP,))
    assert database.subnets == tuple(FoundSubnet(*each) for each in SUBNETS.items())
    assert database.tags == {"team": "shop"}
    assert database.has_iam
    assert not database.is_public


def test_a_cluster_has_the_class_and_the_subnets_of_its_writer() -> None:
    database = a_found_cluster({"DBInstanceClass": "db.r6g.large", "PubliclyAccessible": True})

    assert (database.kind, database.identifier) == ("cluster", "payments")
    assert database.resource_id == "cluster-PAYMENTS"
    assert database.host == f"payments.cluster-c0ffee.{REGION}.rds.amazonaws.com"
    assert (database.writer, database.instance_class) == ("payments-1", "db.r6g.large")
    assert (database.vpc, database.is_public) == (VPC, True)
    assert (database.minimum_acu, database.maximum_acu) == (None, None)


def test_serverless_v2_has_its_capacities() -> None:
    database = a_found_cluster(
        {"DBInstanceClass": "db.serverless"},
        ServerlessV2ScalingConfiguration={"MinCapacity": 0.5, "MaxCapacity": 16.0},
    )

    assert (database.minimum_acu, database.maximum_acu) == (0.5, 16.0)


def test_the_capacities_of_readers_do_not_count_beside_a_writer_with_a_class() -> None:
    database = a_found_cluster(
        ServerlessV2ScalingConfiguration={"MinCapacity": 0.5, "MaxCapacity": 16.0}
    )

    assert database.maximum_acu is None


def test_what_an_instance_sets_counts_before_its_cluster() -> None:
    cluster = a_cluster(DBClusterParameterGroup="of-cluster")
    cluster["DBClusterMembers"] = [
        a_member("payments-1", is_writer=True, status="pending-reboot"),
        a_member("payments-2", is_writer=False),
    ]
    group = {"DBParameterGroupName": "of-instance", "ParameterApplyStatus": "in-sync"}
    [database] = found(*members_of(cluster, DBParameterGroups=[group]), clusters=(cluster,))

    assert database.groups == (
        ParameterGroup("of-instance", is_of_cluster=False),
        ParameterGroup("of-cluster", is_of_cluster=True),
    )
    assert database.rebooting == {ParameterGroup("of-cluster", is_of_cluster=True)}


def test_the_reboot_of_a_reader_is_not_waited_for() -> None:
    cluster = a_cluster()
    cluster["DBClusterMembers"][1]["DBClusterParameterGroupStatus"] = "pending-reboot"
    [database] = found(*members_of(cluster), clusters=(cluster,))

    assert not database.rebooting


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"Engine": "mysql"}, "engine mysql, not PostgreSQL"),
        ({"Engine": "custom-sqlserver-ee"}, "engine custom-sqlserver-ee is of RDS Custom"),
        ({"ReadReplicaSourceDBInstanceIdentifier": "books"}, 'read replica of "books"'),
        (
            {"ReadReplicaSourceDBInstanceIdentifier": f"arn:aws:rds:us-east-1:{ACCOUNT}:db:books"},
            'read replica of "books"',
        ),
        ({"ReadReplicaSourceDBClusterIdentifier": "books"}, 'read replica of "books"'),
        ({"Endpoint": {}, "DBInstanceStatus": "creating"}, "creating: it has no endpoint yet"),
        ({"DBSubnetGroup": {}}, "it is in no VPC"),
    ],
)
def test_an_instance_is_left_out_with_a_word(changes: dict[str, Any], why: str) -> None:
    instance = an_instance(**changes)
    [other] = left_out(instance)

    assert not found(instance)
    assert other.identifier == "orders"
    assert other.why.startswith(why)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"Engine": "aurora-mysql"}, "engine aurora-mysql, not PostgreSQL"),
        ({"Engine": "docdb"}, "engine docdb, not PostgreSQL"),
        (
            {"ReplicationSourceIdentifier": f"arn:aws:rds:us-east-1:{ACCOUNT}:cluster:books"},
            'replica of "books"',
        ),
        ({"EngineMode": "serverless"}, "Serverless v1"),
        ({"ClusterScalabilityType": "limitless"}, "Aurora Limitless Database"),
        ({"DBClusterMembers": []}, "it has no writer here"),
        (
            {"DBClusterMembers": [a_member("payments-2", is_writer=False)]},
            "it has no writer here",
        ),
    ],
)
def test_a_cluster_is_left_out_with_a_word(changes: dict[str, Any], why: str) -> None:
    cluster = a_cluster(**changes)
    others = left_out(*members_of(cluster), clusters=(cluster,))

    assert not found(*members_of(cluster), clusters=(cluster,))
    assert others[0].kind == "cluster"
    assert others[0].why.startswith(why)


def test_the_instances_of_a_cluster_are_no_databases_of_their_own() -> None:
    cluster = a_cluster()
    others = left_out(*members_of(cluster), clusters=(cluster,))

    assert [each.identifier for each in others] == ["payments-1", "payments-2"]
    assert all('instance of cluster "payments"' in each.why for each in others)
    assert all(each.is_of_cluster for each in others)


def test_a_multi_az_cluster_is_not_taken_for_aurora() -> None:
    assert a_found_cluster(Engine="postgres").is_multi_az_cluster
    assert not a_found_cluster().is_multi_az_cluster
    assert not a_found_instance().is_multi_az_cluster


def test_a_security_group_that_is_being_removed_does_not_count() -> None:
    groups = [
        {"VpcSecurityGroupId": GROUP, "Status": "active"},
        {"VpcSecurityGroupId": "sg-0000000f", "Status": "removing"},
    ]

    assert a_found_instance(VpcSecurityGroups=groups).security_groups == (GROUP,)


def test_a_parameter_says_whether_it_takes_a_reboot() -> None:
    of_reboot = a_parameter("max_connections", "500")
    at_once = a_parameter("work_mem", "64", ApplyType="dynamic", ApplyMethod="immediate")

    assert read_parameter(of_reboot) == Parameter("max_connections", "500", takes_reboot=True)
    assert read_parameter(at_once) == Parameter("work_mem", "64", takes_reboot=False)
    assert read_parameter({"ParameterName": "work_mem"}) is None


def test_a_proxy_with_end_to_end_iam_has_its_id_from_its_arn() -> None:
    proxy = read_proxy_of_aws(a_proxy("p"), [a_target()], [a_target_group(30)], {})

    assert (proxy.resource_id, proxy.borrow_seconds) == ("prx-70", 30)
    assert proxy.is_iam_end_to_end
    assert proxy.targets == {("instance", "orders")}


def test_a_proxy_of_a_cluster_tracks_it() -> None:
    targets = [
        a_target("payments", Type="TRACKED_CLUSTER"),
        a_target("payments-1", TrackedClusterId="payments"),
    ]

    assert read_proxy_of_aws(a_proxy(), targets, None, {}).targets == {("cluster", "payments")}


def test_a_secret_is_known_by_what_describes_it_where_rds_does_not_name_its_user() -> None:
    login = a_secret_of(None)
    secrets = {login["SecretArn"]: {"Name": "app", "Description": "of connection_guard_proxy"}}
    [read] = read_proxy_of_aws(with_secrets(login), [], None, secrets).logins

    assert (read.secret, read.user) == ("app", None)
    assert "of connection_guard_proxy" in read.texts


def test_a_secret_that_cannot_be_described_has_the_name_of_its_arn() -> None:
    [read] = read_proxy_of_aws(with_secrets(a_secret_of(None)), [], None, {}).logins

    assert (read.secret, read.takes_tokens) == ("app", True)
