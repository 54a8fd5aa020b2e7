"""One guarded database: its alarms, its responder, its heartbeat, and the alarms on them."""

from aws_cdk import Stack
from aws_cdk import aws_ssm as ssm
from constructs import Construct, IDependable

from connection_guard.configuration.guard.guard_configuration import Database, NewProxy
from connection_guard.core.deployment.reporter_settings import (
    WatchedDatabase,
    write_watched_database,
)
from connection_guard_cdk.database.proxy import Proxy
from connection_guard_cdk.database.responder_function import ResponderFunction
from connection_guard_cdk.database.self_watch import SelfWatch
from connection_guard_cdk.database.usage_alarms import UtilisationAlarms
from connection_guard_cdk.shared.every_minute import EveryMinute
from connection_guard_cdk.shared.shared_parts import SharedParts


class GuardedDatabase(Construct):
    """Everything that belongs to one database.

    `alarms` are all of its alarms, `watched` is what the reporter knows about it.
    """

    def __init__(
        self, scope: Construct, identifier: str, database: Database, shared: SharedParts
    ) -> None:
        super().__init__(scope, identifier)
        self.database = database
        way_in: list[IDependable] = []
        proxy = database.proxy
        if isinstance(proxy, NewProxy):
            new_proxy = Proxy(self, "Proxy", database, proxy, shared.network)
            way_in += [new_proxy, new_proxy.security_group]
            proxy = new_proxy.created
        responder = ResponderFunction(self, "Responder", database, proxy, shared)
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
        # The reporter is not to change with a database, and an identifier may be a token, which
        # only CloudFormation can write.
        parameter = ssm.StringParameter(
            self,
            "WatchedDatabase",
            parameter_name=f"{shared.databases_path}/{identifier}",
            simple_name=False,
            description="Connection Guard: what the reporter knows of a database",
            string_value=Stack.of(self).to_json_string(write_watched_database(self.watched)),
        )
        way_in.append(parameter)
        usage = UtilisationAlarms(self, "Alarms", database, self.responder, shared)
        # The first heartbeat comes after the way in is open, the last one before it is closed.
        heartbeat = EveryMinute(
            self, "Heartbeat", self.responder, "measures, and continues while the shortage lasts"
        )
        heartbeat.node.add_dependency(*way_in)
        # Its alarm is on until the first heartbeats have come, which nobody is notified of unless
        # it lasts.
        watch = SelfWatch(self, "SelfWatch", database, self.responder, shared)
        watch.node.add_dependency(heartbeat)
        self.alarms = (*usage.alarms, *watch.alarms)
