"""What the parts of all databases share."""

from dataclasses import dataclass

from aws_cdk import aws_kms as kms

from connection_guard.configuration.guard.guard_configuration import Architecture
from connection_guard_cdk.network.network_access import NetworkAccess
from connection_guard_cdk.shared.messaging import Messaging


@dataclass(frozen=True, slots=True)
class SharedParts:
    """`alarm_prefix` begins the name of every alarm. `key` is the customer's, None where AWS's own
    keys are used.
    """

    messaging: Messaging
    network: NetworkAccess
    architecture: Architecture
    alarm_prefix: str
    key: kms.IKey | None
