"""The construct that guards databases in a CDK app."""

from typing import TYPE_CHECKING, Any

from connection_guard.configuration.guard.guard_configuration import (
    Architecture,
    ExistingProxy,
    ProxyAuthentication,
)
from connection_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from connection_guard_cdk.connection_guard import ConnectionGuard

__all__ = [
    "Architecture",
    "ConfigurationError",
    "ConnectionGuard",
    "ExistingProxy",
    "ProxyAuthentication",
]


def __getattr__(name: str) -> Any:
    """Return the construct. It is imported only where it is asked for: the CDK takes seconds to
    start, and the packages of the functions are built without it.
    """
    if name != "ConnectionGuard":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from connection_guard_cdk.connection_guard import ConnectionGuard

    return ConnectionGuard
