"""What a construct of the CDK knows of its database."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from aws_cdk import CfnResource, Token
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_rds as rds
from constructs import Construct

from connection_guard.configuration.toml.readers import given
from connection_guard.errors import ConfigurationError
from connection_guard_cdk.described.cloudformation_properties import is_known, properties_of
from connection_guard_cdk.described.described_size import size_of_cluster, size_of_instance

T = TypeVar("T")

DEFAULT_PORT = 5432
SNAPSHOTS = ("dbSnapshotIdentifier", "dbClusterSnapshotIdentifier")


@dataclass(frozen=True, slots=True)
class KnownServer:
    """What is None, or missing from `size`, the construct does not know: mostly of a database that
    exists already. `problems` say why it cannot be guarded as it is.
    """

    is_cluster: bool
    identifier: str
    endpoint: rds.Endpoint | None
    port: int | None
    resource_id: str | None
    vpc: ec2.IVpc | None
    size: dict[str, object]
    problems: tuple[str, ...]
    size_problems: tuple[str, ...]


def server_of(database: rds.IDatabaseInstance | rds.IDatabaseCluster) -> KnownServer:
    """Return what the construct knows of its server. Raise ConfigurationError where it is no
    construct of an instance or a cluster.
    """
    if hasattr(type(database), "cluster_resource_identifier"):
        return _cluster(database)
    if hasattr(type(database), "instance_identifier"):
        return _instance(database)
    place = database.node.path if isinstance(database, Construct) else given(database)
    raise ConfigurationError(
        f"{place}: is not an instance or a cluster of aws_rds, such as rds.DatabaseInstance; pass "
        "that construct"
    )


def _instance(instance: Any) -> KnownServer:
    resource = instance.node.default_child
    is_owned = isinstance(resource, rds.CfnDBInstance)
    size_problems: list[str] = []
    return KnownServer(
        is_cluster=False,
        identifier=(is_owned and _literal_identifier(resource)) or instance.instance_identifier,
        endpoint=instance.instance_endpoint,
        port=_port(resource, instance.instance_endpoint),
        resource_id=instance.instance_resource_id,
        vpc=getattr(instance, "vpc", None),
        size=size_of_instance(resource, size_problems) if is_owned else {},
        problems=(
            *_wrong_engine(instance, "postgres"),
            *_wrong_replica(resource),
            *_without_iam(resource),
        ),
        size_problems=tuple(size_problems),
    )


def _cluster(cluster: Any) -> KnownServer:
    resource = cluster.node.default_child
    is_owned = isinstance(resource, rds.CfnDBCluster)
    size_problems: list[str] = []
    instances = [each for each in cluster.node.find_all() if isinstance(each, rds.CfnDBInstance)]
    # The CDK creates the writer before the readers.
    writer = instances[0] if instances else None
    endpoint = _if_known(lambda: cluster.cluster_endpoint)
    return KnownServer(
        is_cluster=True,
        identifier=(is_owned and _literal_identifier(resource)) or cluster.cluster_identifier,
        endpoint=endpoint,
        port=endpoint and _port(resource, endpoint),
        resource_id=_if_known(lambda: cluster.cluster_resource_identifier),
        vpc=getattr(cluster, "vpc", None),
        size=size_of_cluster(resource, writer, size_problems) if is_owned else {},
        problems=(
            *_wrong_engine(cluster, "aurora-postgresql"),
            *_wrong_replica(resource),
            *_without_iam(resource),
        ),
        size_problems=tuple(size_problems),
    )


def _if_known(read: Callable[[], T]) -> T | None:
    """Return None where the CDK refuses: it does so for a database that exists already."""
    try:
        return read()
    except RuntimeError as error:
        if "imported cluster" in str(error):
            return None
        raise


def _port(resource: object, endpoint: rds.Endpoint) -> int:
    """Return the port that the app chooses, or else that of the endpoint, which may be a token.

    A new instance listens on PostgreSQL's own port, one from a snapshot on that of its source.
    """
    properties = properties_of(resource) if isinstance(resource, CfnResource) else {}
    chosen = properties.get("port")
    if isinstance(resource, rds.CfnDBInstance) and not any(map(properties.get, SNAPSHOTS)):
        chosen = properties.get("port", DEFAULT_PORT)
    port: Any = endpoint.port if chosen is None or not is_known(chosen) else chosen
    return port if Token.is_unresolved(port) else int(port)


def _literal_identifier(resource: CfnResource) -> str | None:
    """Return the identifier if the app chooses it: RDS keeps it in lower case."""
    properties = properties_of(resource)
    chosen = properties.get("dbInstanceIdentifier") or properties.get("dbClusterIdentifier")
    return chosen.lower() if isinstance(chosen, str) else None


def _wrong_engine(database: Any, expected: str) -> Iterator[str]:
    engine = database.engine  # a database that exists already may not name it
    if engine is not None and engine.engine_type != expected:
        yield (
            f"engine: {given(engine.engine_type)} is not PostgreSQL, the only engine that the "
            "guard knows; remove this database"
        )


def _wrong_replica(resource: object) -> Iterator[str]:
    sources = ("sourceDbInstanceIdentifier", "replicationSourceIdentifier")
    if isinstance(resource, CfnResource) and any(map(properties_of(resource).get, sources)):
        yield (
            "is a read replica, and the guard works only on a writer; watch the database that it "
            "replicates"
        )


def _without_iam(resource: object) -> Iterator[str]:
    if isinstance(resource, CfnResource) and not properties_of(resource).get(
        "enableIamDatabaseAuthentication"
    ):
        yield (
            "iam_authentication: is off, and the guard logs in only with IAM tokens; set "
            "iam_authentication=True on the database"
        )
