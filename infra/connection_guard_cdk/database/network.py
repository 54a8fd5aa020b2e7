"""Who may connect to whom inside the VPC."""

from collections.abc import Iterable

from aws_cdk import IResolvable, Stack, Token
from aws_cdk import aws_ec2 as ec2
from constructs import Construct


class ClosedSecurityGroup(ec2.SecurityGroup):
    """A security group that lets its members connect to nobody, and nobody to them, but for what is
    let.

    Names resolve all the same: security groups do not filter traffic to the DNS server that Amazon
    provides (https://docs.aws.amazon.com/vpc/latest/userguide/vpc-security-groups.html).
    """

    def __init__(
        self, scope: Construct, identifier: str, *, vpc: ec2.IVpc, description: str
    ) -> None:
        super().__init__(
            scope, identifier, vpc=vpc, description=description, allow_all_outbound=False
        )
        self._reached: list[object] = []
        self._ways_out: list[IResolvable | ec2.CfnSecurityGroup.EgressProperty] = []

    def let_reach(self, groups: Iterable[str], port: int) -> None:
        """Let its members connect to those of the security groups, by a rule on either side.

        Groups and port may be tokens: of a group of this stack, of a database that another
        construct creates. A proxy and its database may share a group, and EC2 refuses the same rule
        twice.
        """
        for group in groups:
            reached = Stack.of(self).resolve([group, port])
            if reached not in self._reached:
                self._reached.append(reached)
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
        # In the group itself they are sure to replace EC2's default, everywhere. The CDK would put
        # a rule with a port that is a token beside the group, and leave the default in it.
        resource = self.node.default_child
        assert isinstance(resource, ec2.CfnSecurityGroup)
        resource.security_group_egress = self._ways_out
        ec2.CfnSecurityGroupIngress(
            self,
            self._name_of_rule(group, port),
            group_id=group,
            source_security_group_id=self.security_group_id,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            description=description,
        )

    def _name_of_rule(self, group: str, port: int) -> str:
        """A token has no name before it is deployed: such rules are counted."""
        shown_group = "created" if Token.is_unresolved(group) else group
        name = f"{shown_group}:{'port' if Token.is_unresolved(port) else port}"
        same = sum(
            child.node.id == name or child.node.id.startswith(f"{name}-")
            for child in self.node.children
        )
        return f"{name}-{same + 1}" if same else name
