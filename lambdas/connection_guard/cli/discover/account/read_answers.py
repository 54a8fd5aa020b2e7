"""Read what AWS answers about databases and proxies into plain values."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from connection_guard.cli.discover.account.discovered import (
    FoundDatabase,
    FoundProxy,
    FoundSubnet,
    LeftOut,
    Parameter,
    ParameterGroup,
    ProxyLogin,
)
from connection_guard.core.words import quoted

_ENGINES = {"instance": "postgres", "cluster": "aurora-postgresql"}
_WAITS = "pending-reboot"

Answer = Mapping[str, Any]


def read_databases(
    instances: Sequence[Answer], clusters: Sequence[Answer]
) -> tuple[list[FoundDatabase], list[LeftOut]]:
    """Return the databases that can be guarded, and those that cannot, each sorted by name."""
    by_name = {each["DBInstanceIdentifier"]: each for each in instances}
    found: list[FoundDatabase] = []
    left_out: list[LeftOut] = []
    for cluster in clusters:
        name, writer = cluster["DBClusterIdentifier"], by_name.get(_writer_of(cluster) or "")
        if writer is None or (why := _why_no_cluster(cluster)):
            why = _why_no_cluster(cluster) or "it has no writer here"
            left_out.append(LeftOut("cluster", name, why))
        else:
            found.append(_cluster(cluster, writer))
    for instance in instances:
        if why := _why_no_instance(instance):
            name, is_member = instance["DBInstanceIdentifier"], "DBClusterIdentifier" in instance
            left_out.append(LeftOut("instance", name, why, is_member))
        else:
            found.append(_instance(instance))
    return (
        sorted(found, key=lambda each: (each.identifier, each.kind)),
        sorted(left_out, key=lambda each: (each.identifier, each.kind)),
    )


def read_parameter(answer: Answer) -> Parameter | None:
    """Return a parameter of a group, None where it has no value."""
    if "ParameterValue" not in answer:
        return None
    return Parameter(
        str(answer["ParameterName"]),
        str(answer["ParameterValue"]),
        answer.get("ApplyMethod") == _WAITS or answer.get("ApplyType") == "static",
    )


def read_proxy_of_aws(
    answer: Answer,
    targets: Iterable[Answer],
    groups: Sequence[Answer] | None,
    secrets: Mapping[str, Answer],
) -> FoundProxy:
    """Return a proxy with its targets, its target groups and what describes its secrets."""
    borrow = [
        group["ConnectionPoolConfig"]["ConnectionBorrowTimeout"]
        for group in groups or ()
        if "ConnectionBorrowTimeout" in group.get("ConnectionPoolConfig", {})
    ]
    return FoundProxy(
        name=str(answer["DBProxyName"]),
        host=str(answer.get("Endpoint", "")),
        resource_id=str(answer["DBProxyArn"]).rpartition(":")[2],
        security_groups=tuple(answer.get("VpcSecurityGroupIds", [])),
        is_iam_end_to_end=answer.get("DefaultAuthScheme") == "IAM_AUTH",
        logins=tuple(
            _login(each, secrets.get(str(each.get("SecretArn")), {}))
            for each in answer.get("Auth", [])
        ),
        targets=frozenset(target for each in targets if (target := _target(each))),
        borrow_seconds=max(borrow, default=None),
    )


def _login(auth: Answer, secret: Answer) -> ProxyLogin:
    written = (auth.get("Description"), secret.get("Name"), secret.get("Description"))
    arn = str(auth.get("SecretArn", ""))
    name = str(secret.get("Name") or re.sub("-[A-Za-z0-9]{6}$", "", arn.rpartition(":secret:")[2]))
    return ProxyLogin(
        secret=name,
        user=auth.get("UserName"),
        texts=tuple(str(text) for text in (*written, name) if text),
        takes_tokens=auth.get("IAMAuth") in ("REQUIRED", "ENABLED"),
    )


def _target(answer: Answer) -> tuple[str, str] | None:
    """Return the database of a target; that of a cluster's member is its cluster."""
    if cluster := answer.get("TrackedClusterId"):
        return "cluster", str(cluster)
    match answer.get("Type"):
        case "TRACKED_CLUSTER":
            return "cluster", str(answer.get("RdsResourceId"))
        case "RDS_INSTANCE":
            return "instance", str(answer.get("RdsResourceId"))
    return None


def _writer_of(cluster: Answer) -> str | None:
    for member in cluster.get("DBClusterMembers", []):
        if member.get("IsClusterWriter"):
            return str(member["DBInstanceIdentifier"])
    return None


def _why_no_engine(engine: str) -> str | None:
    if engine.startswith("custom-"):
        return f"engine {engine} is of RDS Custom, not PostgreSQL on RDS or Aurora"
    return None if engine in _ENGINES.values() else f"engine {engine}, not PostgreSQL"


def _why_no_cluster(cluster: Answer) -> str | None:
    if why := _why_no_engine(str(cluster.get("Engine"))):
        return why
    if source := cluster.get("ReplicationSourceIdentifier"):
        return f"replica of {quoted(str(source).rpartition(':')[2])}"
    if cluster.get("EngineMode") == "serverless":
        return "Serverless v1, which has no IAM authentication"
    if cluster.get("ClusterScalabilityType") == "limitless":
        return "Aurora Limitless Database, which the guard does not know"
    if not cluster.get("Endpoint"):
        return f"{cluster.get('Status')}: it has no endpoint yet"
    return None


def _why_no_instance(instance: Answer) -> str | None:
    engine = str(instance.get("Engine"))
    if cluster := instance.get("DBClusterIdentifier"):
        return f"instance of cluster {quoted(str(cluster))}, which the guard enters by its writer"
    if why := _why_no_engine(engine):
        return why
    if source := (
        instance.get("ReadReplicaSourceDBInstanceIdentifier")
        or instance.get("ReadReplicaSourceDBClusterIdentifier")
    ):
        return f"read replica of {quoted(str(source).rpartition(':')[2])}"
    if not instance.get("Endpoint", {}).get("Address"):
        return f"{instance.get('DBInstanceStatus')}: it has no endpoint yet"
    if not instance.get("DBSubnetGroup", {}).get("VpcId"):
        return "it is in no VPC"
    return None


def _instance(instance: Answer) -> FoundDatabase:
    groups = _groups_of_instance(instance)
    return FoundDatabase(
        kind="instance",
        identifier=instance["DBInstanceIdentifier"],
        arn=instance["DBInstanceArn"],
        resource_id=instance["DbiResourceId"],
        status=str(instance.get("DBInstanceStatus")),
        host=instance["Endpoint"]["Address"],
        port=int(instance["Endpoint"].get("Port", 5432)),
        instance_class=instance["DBInstanceClass"],
        minimum_acu=None,
        maximum_acu=None,
        security_groups=_security_groups(instance),
        groups=tuple(groups),
        rebooting=frozenset(group for group, waits in groups.items() if waits),
        **_common(instance, instance),
    )


def _cluster(cluster: Answer, writer: Answer) -> FoundDatabase:
    # An instance's own setting counts before that of its cluster (Amazon Aurora User Guide,
    # "Aurora PostgreSQL parameters").
    groups = _groups_of_instance(writer)
    if name := cluster.get("DBClusterParameterGroup"):
        groups[ParameterGroup(name, is_of_cluster=True)] = any(
            member.get("DBClusterParameterGroupStatus") == _WAITS
            for member in cluster["DBClusterMembers"]
            if member.get("IsClusterWriter")
        )
    is_serverless = writer["DBInstanceClass"] == "db.serverless"
    scaling = cluster.get("ServerlessV2ScalingConfiguration", {}) if is_serverless else {}
    return FoundDatabase(
        kind="cluster",
        identifier=cluster["DBClusterIdentifier"],
        arn=cluster["DBClusterArn"],
        resource_id=cluster["DbClusterResourceId"],
        status=str(cluster.get("Status")),
        host=cluster["Endpoint"],
        port=int(cluster.get("Port", 5432)),
        instance_class=writer["DBInstanceClass"],
        minimum_acu=scaling.get("MinCapacity"),
        maximum_acu=scaling.get("MaxCapacity"),
        security_groups=_security_groups(cluster),
        groups=tuple(groups),
        rebooting=frozenset(group for group, waits in groups.items() if waits),
        **_common(cluster, writer),
    )


def _common(described: Answer, writer: Answer) -> dict[str, Any]:
    """Return what an instance and a cluster have under the same names, the latter in its writer."""
    pending = described.get("PendingModifiedValues", {})
    group = writer.get("DBSubnetGroup", {})
    return {
        "engine": described["Engine"],
        "version": str(described.get("EngineVersion", "")),
        "has_iam": bool(described.get("IAMDatabaseAuthenticationEnabled")),
        "iam_is_pending": bool(pending.get("IAMDatabaseAuthenticationEnabled")),
        "is_public": bool(writer.get("PubliclyAccessible")),
        "writer": writer["DBInstanceIdentifier"],
        "vpc": str(group.get("VpcId", "")),
        "subnets": tuple(
            FoundSubnet(
                each["SubnetIdentifier"], str(each.get("SubnetAvailabilityZone", {}).get("Name"))
            )
            for each in group.get("Subnets", [])
        ),
        "tags": {each["Key"]: each.get("Value", "") for each in described.get("TagList", [])},
    }


def _groups_of_instance(instance: Answer) -> dict[ParameterGroup, bool]:
    """Return the parameter groups, and whether each waits for a reboot."""
    return {
        ParameterGroup(each["DBParameterGroupName"], is_of_cluster=False): each.get(
            "ParameterApplyStatus"
        )
        == _WAITS
        for each in instance.get("DBParameterGroups", [])
    }


def _security_groups(described: Answer) -> tuple[str, ...]:
    return tuple(
        each["VpcSecurityGroupId"]
        for each in described.get("VpcSecurityGroups", [])
        if each.get("Status") != "removing"
    )
