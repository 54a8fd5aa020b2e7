"""Who may connect to whom inside the VPC."""

from collections.abc import Iterable

from aws_cdk import Token
from aws_cdk import aws_ec2 as ec2
from constructs import Construct


class ClosedSecurityGroup(ec2.SecurityGroup):
    """A security group that lets its members connect to nobody, and nobody to them, but for what is let.

    Names resolve all the same: security groups do not filter traffic to the DNS server that Amazon provides
    (https://docs.aws.amazon.com/vpc/latest/userguide/vpc-security-groups.html).
    """

    def __init__(self, scope: Construct, identifier: str, *, vpc: ec2.IVpc, description: str) -> None:
        super().__init__(scope, identifier, vpc=vpc, description=description, allow_all_outbound=False)

    def let_reach(self, groups: Iterable[str], port: int) -> None:
        """Lets its members connect to those of the security groups, by a rule on either side.

        Rules to go out stand in the group itself, where they are sure to replace EC2's default: everywhere. A proxy and
        its database may share a group, and EC2 refuses the same rule twice.
        """
        for group in groups:
            description = f"Connection Guard, {self.node.path}"
            # A group of this stack has no ID before it is deployed.
            name = f"{'created' if Token.is_unresolved(group) else group}:{port}"
            if self.node.try_find_child(name) is None:
                self.add_egress_rule(ec2.Peer.security_group_id(group), ec2.Port.tcp(port), description)
                ec2.CfnSecurityGroupIngress(
                    self,
                    name,
                    group_id=group,
                    source_security_group_id=self.security_group_id,
                    ip_protocol="tcp",
                    from_port=port,
                    to_port=port,
                    description=description,
                )
