"""One guarded database: its alarms, its responder, its heartbeat, and the alarms on them."""

from aws_cdk import Acknowledgment, Validations
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from constructs import Construct, IDependable

from connection_guard.configuration.guard.guard_configuration import Database, NewProxy, Target
from connection_guard.core.deployment.reporter_settings import WatchedDatabase
from connection_guard_cdk.database.proxy import Proxy
from connection_guard_cdk.database.responder_function import ResponderFunction
from connection_guard_cdk.database.self_watch import SelfWatch
from connection_guard_cdk.database.usage_alarms import UtilisationAlarms
from connection_guard_cdk.shared.every_minute import EveryMinute
from connection_guard_cdk.shared.messaging import Messaging


class GuardedDatabase(Construct):
    """Everything that belongs to one database.

    `key` is the customer's, None where AWS's own keys are used. `warning` and `critical` are the
    alarms on its DatabaseConnections, `watched` is what the reporter knows about it.
    """

    def __init__(
        self,
        scope: Construct,
        database: Database,
        target: Target,
        key: kms.IKey | None,
        messaging: Messaging,
    ) -> None:
        super().__init__(scope, database.identifier)
        self.database = database
        vpc = ec2.Vpc.from_vpc_attributes(
            self,
            "Vpc",
            vpc_id=database.network.vpc,
            availability_zones=list(database.network.availability_zones),
            private_subnet_ids=list(database.network.subnets),
        )
        Validations.of(vpc).acknowledge(
            Acknowledgment(
                id="Construct-Annotations::@aws-cdk/aws-ec2:noSubnetRouteTableId",
                reason="Nothing here adds routes.",
            )
        )
        way_in: list[IDependable] = []
        proxy = database.proxy
        if isinstance(proxy, NewProxy):
            new_proxy = Proxy(self, "Proxy", database, proxy, vpc)
            way_in.append(new_proxy)
            proxy = new_proxy.created
        responder = ResponderFunction(
            self, "Responder", database, proxy, target, vpc, key, messaging
        )
        way_in.append(responder.security_group)
        self.responder = responder.function
        self.watched = WatchedDatabase(
            database.identifier,
            database.is_cluster,
            responder.name,
            owner=database.owner,
            runbook=database.runbook,
            environment=database.environment,
            slack_channel=database.slack_channel,
        )
        alarms = UtilisationAlarms(self, "Alarms", database, self.responder, messaging)
        self.warning, self.critical = alarms.warning, alarms.critical
        # The first heartbeat comes after the way in is open, the last one before it is closed.
        # CloudFormation keeps the rule where its id stays what it was in the first version.
        EveryMinute(
            self, "Pulse", self.responder, "measures, and continues while the shortage lasts"
        ).node.add_dependency(*way_in)
        SelfWatch(self, "SelfWatch", database, self.responder, messaging)
