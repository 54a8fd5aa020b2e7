"""A security group that allows only the connections that are added to it."""

from collections.abc import Iterable

from aws_cdk import IResolvable
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from connection_guard_cdk.described.cloudformation_properties import free_name

# In each direction: https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
RULES_OF_GROUP = 60


class ClosedSecurityGroup(ec2.SecurityGroup):
    """A security group that allows no traffic except what `let_reach` adds.

    Names resolve nevertheless: security groups do not filter traffic to the DNS server that Amazon
    provides (https://docs.aws.amazon.com/vpc/latest/userguide/vpc-security-groups.html).
    """

    def __init__(
        self, scope: Construct, identifier: str, *, vpc: ec2.IVpc, description: str
    ) -> None:
        super().__init__(
            scope, identifier, vpc=vpc, description=description, allow_all_outbound=False
        )
        self._reached: set[tuple[str, int]] = set()
        self._ways_out: list[IResolvable | ec2.CfnSecurityGroup.EgressProperty] = []

    def has_room_for(self, ways: Iterable[tuple[str, int]]) -> bool:
        """Return whether its members may reach these security groups and ports, too."""
        return len(self._reached | set(ways)) <= RULES_OF_GROUP

    def let_reach(self, groups: Iterable[str], port: int) -> None:
        """Allow its members to connect to the members of the security groups, by a rule on each
        side.

        The groups and the port may be tokens: of a group in this stack, or of a database that
        another construct creates. A proxy and its database may share a group, and EC2 rejects a
        rule that exists already.
        """
        for group in groups:
            if (group, port) not in self._reached:
                self._reached.add((group, port))
                self._let_reach(group, port)

    def _let_reach(self, group: str, port: int) -> None:
        description = f"Connection Guard, {self.node.path}"
        self._ways_out.append(
            ec2.CfnSecurityGroup.EgressProperty(
                ip_protocol="tcp",
                from_port=port,
                to_port=port,
                destination_security_group_id=group,
                description=description,
            )
        )
        # Rules in the group itself replace EC2's default rule in every case. The CDK would put a
        # rule whose port is a token beside the group, and leave the default rule in it.
        resource = self.node.default_child
        assert isinstance(resource, ec2.CfnSecurityGroup)
        resource.security_group_egress = self._ways_out
        ec2.CfnSecurityGroupIngress(
            self,
            free_name(self, "From", group, port),
            group_id=group,
            source_security_group_id=self.security_group_id,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            description=description,
        )
