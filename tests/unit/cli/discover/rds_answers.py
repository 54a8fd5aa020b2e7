"""Answers of AWS about databases, of the shapes that botocore's service models describe."""

from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from connection_guard.cli.discover.account.discovered import FoundDatabase, FoundProxy, LeftOut
from connection_guard.cli.discover.account.read_answers import read_databases, read_proxy_of_aws
from tests.support.configurations import ACCOUNT, REGION

Answer = dict[str, Any]

VPC = "vpc-00000000000000001"
SUBNETS = {
    "subnet-0000000000000000a": f"{REGION}a",
    "subnet-0000000000000000b": f"{REGION}b",
    "subnet-0000000000000000c": f"{REGION}c",
}
GROUP = "sg-00000000000000001"
NAME = "orders"


def an_instance(name: str = NAME, **changes: Any) -> Answer:
    """Return a DB instance as RDS describes it."""
    return valid(
        "DescribeDBInstances",
        "DBInstances",
        {
            "DBInstanceIdentifier": name,
            "DBInstanceArn": f"arn:aws:rds:{REGION}:{ACCOUNT}:db:{name}",
            "DbiResourceId": f"db-{name.replace('-', '').upper()}",
            "DBInstanceClass": "db.m7g.large",
            "DBInstanceStatus": "available",
            "Engine": "postgres",
            "EngineVersion": "16.4",
            "Endpoint": {"Address": f"{name}.c0ffee.{REGION}.rds.amazonaws.com", "Port": 5432},
            "VpcSecurityGroups": [{"VpcSecurityGroupId": GROUP, "Status": "active"}],
            "DBParameterGroups": [
                {"DBParameterGroupName": "default.postgres16", "ParameterApplyStatus": "in-sync"}
            ],
            "DBSubnetGroup": a_subnet_group(),
            "IAMDatabaseAuthenticationEnabled": True,
            "PubliclyAccessible": False,
            "PendingModifiedValues": {},
            **changes,
        },
    )


def a_cluster(name: str = "payments", **changes: Any) -> Answer:
    """Return an Aurora cluster, whose writer is "payments-1", as RDS describes it."""
    return valid(
        "DescribeDBClusters",
        "DBClusters",
        {
            "DBClusterIdentifier": name,
            "DBClusterArn": f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster:{name}",
            "DbClusterResourceId": f"cluster-{name.replace('-', '').upper()}",
            "Engine": "aurora-postgresql",
            "EngineVersion": "16.4",
            "EngineMode": "provisioned",
            "Status": "available",
            "Endpoint": f"{name}.cluster-c0ffee.{REGION}.rds.amazonaws.com",
            "Port": 5432,
            "VpcSecurityGroups": [{"VpcSecurityGroupId": GROUP, "Status": "active"}],
            "DBClusterParameterGroup": "default.aurora-postgresql16",
            "DBClusterMembers": [
                a_member(f"{name}-1", is_writer=True),
                a_member(f"{name}-2", is_writer=False),
            ],
            "IAMDatabaseAuthenticationEnabled": True,
            **changes,
        },
    )


def a_member(name: str, *, is_writer: bool, status: str = "in-sync") -> Answer:
    """Return an entry of a cluster's members."""
    return {
        "DBInstanceIdentifier": name,
        "IsClusterWriter": is_writer,
        "DBClusterParameterGroupStatus": status,
    }


def members_of(cluster: Answer, **changes: Any) -> list[Answer]:
    """Return the instances of a cluster."""
    return [
        an_instance(
            each["DBInstanceIdentifier"],
            **{
                "DBClusterIdentifier": cluster["DBClusterIdentifier"],
                "Engine": cluster["Engine"],
                "DBParameterGroups": [
                    {
                        "DBParameterGroupName": "default.aurora-postgresql16",
                        "ParameterApplyStatus": "in-sync",
                    }
                ],
                **changes,
            },
        )
        for each in cluster["DBClusterMembers"]
    ]


def a_subnet_group(subnets: dict[str, str] = SUBNETS) -> Answer:
    """Return a DB subnet group with these subnets and their zones."""
    return {
        "DBSubnetGroupName": "databases",
        "VpcId": VPC,
        "Subnets": [
            {"SubnetIdentifier": subnet, "SubnetAvailabilityZone": {"Name": zone}}
            for subnet, zone in subnets.items()
        ],
    }


def a_proxy(name: str = "orders-proxy", **changes: Any) -> Answer:
    """Return an RDS Proxy with end-to-end IAM authentication."""
    return valid(
        "DescribeDBProxies",
        "DBProxies",
        {
            "DBProxyName": name,
            "DBProxyArn": f"arn:aws:rds:{REGION}:{ACCOUNT}:db-proxy:prx-{name.encode().hex()}",
            "Status": "available",
            "EngineFamily": "POSTGRESQL",
            "VpcId": VPC,
            "VpcSecurityGroupIds": ["sg-00000000000000002"],
            "DefaultAuthScheme": "IAM_AUTH",
            "Auth": [],
            "Endpoint": f"{name}.proxy-c0ffee.{REGION}.rds.amazonaws.com",
            **changes,
        },
    )


def a_secret_of(user: str | None, **changes: Any) -> Answer:
    """Return how a proxy logs in with the secret of a user."""
    return {
        "AuthScheme": "SECRETS",
        "SecretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:app-AbCdEf",
        "IAMAuth": "REQUIRED",
        **({"UserName": user} if user else {}),
        **changes,
    }


def with_secrets(*auth: Answer, name: str = "orders-proxy") -> Answer:
    """Return an RDS Proxy that logs in with these."""
    return a_proxy(name, DefaultAuthScheme="NONE", Auth=list(auth))


def a_target(name: str = NAME, **changes: Any) -> Answer:
    """Return the target of a proxy that is an instance."""
    return valid(
        "DescribeDBProxyTargets",
        "Targets",
        {"Type": "RDS_INSTANCE", "RdsResourceId": name, "Port": 5432, **changes},
    )


def a_target_group(seconds: int) -> Answer:
    """Return the target group of a proxy with that borrow timeout."""
    return valid(
        "DescribeDBProxyTargetGroups",
        "TargetGroups",
        {
            "TargetGroupName": "default",
            "ConnectionPoolConfig": {"ConnectionBorrowTimeout": seconds},
        },
    )


def a_parameter(name: str, value: str, **changes: Any) -> Answer:
    """Return a parameter that its group sets."""
    return valid(
        "DescribeDBParameters",
        "Parameters",
        {
            "ParameterName": name,
            "ParameterValue": value,
            "Source": "user",
            "ApplyType": "static",
            "ApplyMethod": "pending-reboot",
            **changes,
        },
    )


def found(*instances: Answer, clusters: tuple[Answer, ...] = ()) -> list[FoundDatabase]:
    """Return the databases that can be guarded."""
    return read_databases(instances, clusters)[0]


def left_out(*instances: Answer, clusters: tuple[Answer, ...] = ()) -> list[LeftOut]:
    """Return the databases that cannot."""
    return read_databases(instances, clusters)[1]


def a_found_instance(name: str = NAME, **changes: Any) -> FoundDatabase:
    """Return a DB instance that can be guarded."""
    [database] = found(an_instance(name, **changes))
    return database


def a_found_cluster(writer: dict[str, Any] | None = None, **changes: Any) -> FoundDatabase:
    """Return an Aurora cluster that can be guarded; `writer` changes its instances."""
    cluster = a_cluster(**changes)
    [database] = found(*members_of(cluster, **(writer or {})), clusters=(cluster,))
    return database


def a_found_proxy(answer: Answer, seconds: int = 120, target: str = NAME) -> FoundProxy:
    """Return a proxy of one instance."""
    return read_proxy_of_aws(answer, [a_target(target)], [a_target_group(seconds)], {})


def valid(operation: str, key: str, answer: Answer) -> Answer:
    """Return the answer, which has to be one that RDS can give."""
    shape: Any = _rds().operation_model(operation).output_shape
    report = ParamValidator().validate({key: [answer]}, shape)
    assert not report.has_errors(), report.generate_report()
    unknown = answer.keys() - shape.members[key].member.members.keys()
    assert not unknown, f"{operation} does not answer {unknown}"
    return answer


@cache
def _rds() -> ServiceModel:
    return ServiceModel(Loader().load_service_model("rds", "service-2"))
