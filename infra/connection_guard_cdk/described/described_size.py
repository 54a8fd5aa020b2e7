"""How many connections a database of the app takes, in the words of guard.toml."""

from aws_cdk import aws_rds as rds

from connection_guard_cdk.described.cloudformation_properties import (
    is_known,
    properties_of,
    referred,
)

SERVERLESS = "db.serverless"


def size_of_instance(instance: rds.CfnDBInstance, mistakes: list[str]) -> dict[str, object]:
    """Return the class, and max_connections where the parameter group sets it."""
    expression = _max_connections(instance.db_parameter_group_name, mistakes)
    return _without_none(
        instance_class=properties_of(instance).get("dbInstanceClass"), max_connections=expression
    )


def size_of_cluster(
    cluster: rds.CfnDBCluster, writer: rds.CfnDBInstance | None, mistakes: list[str]
) -> dict[str, object]:
    """Return the same of the writer, whose parameter group overrides the cluster's, and the
    capacity of Serverless v2.
    """
    size = {} if writer is None else size_of_instance(writer, mistakes)
    if "max_connections" not in size:
        size |= _without_none(
            max_connections=_max_connections(cluster.db_cluster_parameter_group_name, mistakes)
        )
    if size.get("instance_class") == SERVERLESS:
        capacity = properties_of(cluster).get("serverlessV2ScalingConfiguration", {})
        size |= _without_none(
            minimum_acu=capacity.get("minCapacity"), maximum_acu=capacity.get("maxCapacity")
        )
    return size


def _max_connections(group: str | None, mistakes: list[str]) -> object:
    """Return what the parameter group sets, None where it sets nothing."""
    if group is None or (is_known(group) and group.startswith("default.")):
        return None
    resource = referred(group)
    if isinstance(resource, rds.CfnDBParameterGroup | rds.CfnDBClusterParameterGroup):
        return properties_of(resource).get("parameters", {}).get("max_connections")
    shown = f'"{group}"' if is_known(group) else "of this database"
    mistakes.append(
        f"max_connections: the parameter group {shown} is not in this app, which cannot see "
        "whether it sets max_connections; pass max_connections with that value, or with "
        '"LEAST({DBInstanceClassMemory/9531392},5000)", the default of RDS'
    )
    return None


def _without_none(**size: object) -> dict[str, object]:
    return {name: value for name, value in size.items() if value is not None}
