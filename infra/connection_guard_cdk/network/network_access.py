"""The guard's network access: one security group per VPC and port, which databases share."""

from aws_cdk import Acknowledgment, Token, Validations
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from connection_guard.configuration.guard.guard_configuration import Database, Network
from connection_guard_cdk.described.cloudformation_properties import referred
from connection_guard_cdk.network.closed_security_group import ClosedSecurityGroup


class NetworkAccess(Construct):
    """The security groups of the responders and of the proxies that are created for the guard.

    Lambda makes one network interface per subnet and security group, whichever functions use it:
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
    """

    def __init__(self, scope: Construct, identifier: str) -> None:
        super().__init__(scope, identifier)
        self._groups: dict[tuple[str, str, int], ClosedSecurityGroup] = {}

    def of_responder(self, database: Database) -> ClosedSecurityGroup:
        """Return the security group of the responders of the database's VPC and port."""
        return self._group("Responders", database.network, database.port)

    def of_proxy(self, database: Database, port: int) -> ClosedSecurityGroup:
        """Return the security group of the created proxies, which listen on the port, of the
        database's VPC.
        """
        return self._group("Proxies", database.network, port)

    def _group(self, members: str, network: Network, port: int) -> ClosedSecurityGroup:
        """Return the group, a new one where it is the first time that it is asked for: a VPC and a
        port may be tokens.
        """
        # Not by what they resolve to: in two stacks that may be the same reference.
        place = (members, network.vpc, port)
        if place not in self._groups:
            vpc = referred(network.vpc)
            shown_port = "port" if Token.is_unresolved(port) else port
            name = f"{members}:{vpc.node.path if vpc else network.vpc}:{shown_port}"
            same = sum(each.node.id.startswith(name) for each in self._groups.values())
            name = f"{name}-{same + 1}" if same else name
            self._groups[place] = ClosedSecurityGroup(
                self,
                name,
                vpc=vpc_of(self, f"{name}:Vpc", network),
                description=f"Connection Guard, {members.lower()}",
            )
        return self._groups[place]


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
