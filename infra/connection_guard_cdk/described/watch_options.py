"""What can be said of a database that a guard is to watch."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_rds as rds

from connection_guard.configuration.guard.guard_configuration import ExistingProxy


class GuardKeys(TypedDict, total=False):
    """The keys of guard.toml, with its meanings and defaults. `policy` is a path from the working
    directory; without it the shipped policy applies.
    """

    policy: str | Path
    warning: float
    critical: float
    watch_from: float
    role: str
    database_name: str
    owner: str
    runbook: str
    environment: str
    slack_channel: str
    instance_class: str
    memory_gib: float
    minimum_acu: float
    maximum_acu: float
    max_connections: str | int


class WatchOptions(GuardKeys, total=False):
    """`proxy` is the RDS Proxy in front of the database, and `proxy_role` the guard's role there,
    where the proxy logs in with passwords. The others are for a database that exists already, of
    which the CDK does not know them.
    """

    proxy: rds.IDatabaseProxy | ExistingProxy
    proxy_role: str
    vpc: ec2.IVpc
    vpc_subnets: ec2.SubnetSelection
    security_groups: Sequence[ec2.ISecurityGroup]
    resource_id: str
