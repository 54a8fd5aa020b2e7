"""The construct that guards databases in a CDK app."""

from connection_guard.configuration.guard.guard_configuration import (
    Architecture,
    ExistingProxy,
    ProxyAuthentication,
)
from connection_guard.errors import ConfigurationError
from connection_guard_cdk.connection_guard import ConnectionGuard

__all__ = [
    "Architecture",
    "ConfigurationError",
    "ConnectionGuard",
    "ExistingProxy",
    "ProxyAuthentication",
]
