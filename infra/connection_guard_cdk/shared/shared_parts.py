"""What the parts of all databases share."""

from collections.abc import Callable
from dataclasses import dataclass

from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs

from connection_guard.configuration.guard.guard_configuration import Architecture
from connection_guard_cdk.network.network_access import NetworkAccess
from connection_guard_cdk.shared.messaging import Messaging


@dataclass(frozen=True, slots=True)
class SharedParts:
    """`log` is that of all responders. Below `databases_path` is a parameter for each database.
    `alarm_prefix` begins the name of every alarm. `responder_package` returns the folder of the
    package with a policy, which most databases share. `key` is the customer's, None where AWS's own
    keys are used.
    """

    messaging: Messaging
    network: NetworkAccess
    log: logs.ILogGroup
    databases_path: str
    architecture: Architecture
    alarm_prefix: str
    responder_package: Callable[[bytes], str]
    key: kms.IKey | None
