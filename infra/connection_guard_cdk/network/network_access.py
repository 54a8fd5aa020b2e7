"""The guard's network access: one security group per VPC and port, which databases share."""

from collections import defaultdict
from collections.abc import Sequence

from aws_cdk import Acknowledgment, Validations
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from connection_guard.configuration.guard.guard_configuration import (
    Database,
    ExistingProxy,
    Network,
)
from connection_guard_cdk.described.cloudformation_properties import free_name
from connection_guard_cdk.network.closed_security_group import ClosedSecurityGroup


class NetworkAccess(Construct):
    """The security groups of the responders and of the proxies that are created for the guard.

    Where one has all the rules that EC2 allows, the next database begins another.

    Lambda makes one network interface per subnet and security group, whichever functions use it:
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
    """

    def __init__(self, scope: Construct, identifier: str) -> None:
        super().__init__(scope, identifier)
        self._groups: defaultdict[tuple[str, str, int], list[ClosedSecurityGroup]] = defaultdict(
            list
        )

    def of_responder(self, database: Database, proxy: ExistingProxy | None) -> ClosedSecurityGroup:
        """Return the security group of the responders of the database's VPC and port, which reaches
        the database and its proxy.
        """
        doors = [(group, database.port) for group in database.security_groups]
        if proxy is not None:
            doors += [(group, proxy.port) for group in proxy.security_groups]
        return self._group("Responders", database.network, database.port, doors)

    def of_proxy(self, database: Database, port: int) -> ClosedSecurityGroup:
        """Return the security group of the created proxies, which listen on the port, of the
        database's VPC; it reaches the database.
        """
        doors = [(group, database.port) for group in database.security_groups]
        return self._group("Proxies", database.network, port, doors)

    def _group(
        self, members: str, network: Network, port: int, doors: Sequence[tuple[str, int]]
    ) -> ClosedSecurityGroup:
        """Return the first group of the VPC and port, which may be tokens, that has room for the
        doors.
        """
        # Not by what they resolve to: in two stacks that may be the same reference.
        groups = self._groups[members, network.vpc, port]
        group = next((each for each in groups if each.has_room_for(doors)), None)
        if group is None:
            group = self._new_group(members, network, port)
            groups.append(group)
        for reached, at_port in doors:
            group.let_reach([reached], at_port)
        return group

    def _new_group(self, members: str, network: Network, port: int) -> ClosedSecurityGroup:
        name = free_name(self, members, network.vpc, port)
        return ClosedSecurityGroup(
            self,
            name,
            vpc=vpc_of(self, f"{name}:Vpc", network),
            description=f"Connection Guard, {members.lower()}",
        )


def vpc_of(scope: Construct, identifier: str, network: Network) -> ec2.IVpc:
    """Return the VPC with only the subnets that a function is to run in."""
    vpc = ec2.Vpc.from_vpc_attributes(
        scope,
        identifier,
        vpc_id=network.vpc,
        availability_zones=list(network.availability_zones),
        private_subnet_ids=list(network.subnets),
    )
    Validations.of(vpc).acknowledge(
        Acknowledgment(
            id="Construct-Annotations::@aws-cdk/aws-ec2:noSubnetRouteTableId",
            reason="Nothing here adds routes.",
        ),
        Acknowledgment(
            id="Construct-Annotations::@aws-cdk/aws-ec2:vpcAttributeIsListTokenprivateSubnetIds",
            reason="Only functions run in the subnets, and take the list as it is.",
        ),
    )
    return vpc
