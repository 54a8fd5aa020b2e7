"""Check what somebody passes to the construct, as guard.toml's are checked."""

from dataclasses import replace

from aws_cdk import Stack, Token
from constructs import Construct

from connection_guard.configuration.guard import aws_identifiers
from connection_guard.configuration.guard.guard_configuration import Architecture, Notifications
from connection_guard.configuration.guard.recipients import notification_keys, without_secrets
from connection_guard.configuration.toml.readers import MistakeError, Reader, matching, one_of
from connection_guard.configuration.toml.tables import Key, read_fields
from connection_guard.errors import ConfigurationError
from connection_guard_cdk.described.cloudformation_properties import is_known

# Of what is named after it, a dashboard allows the fewest characters.
_PREFIX = matching(
    "[A-Za-z0-9_-]{1,128}", "a prefix of names", 'at most 128 letters, digits, "-" and "_"'
)


def checked_architecture(guard: Construct, architecture: object, prefix: str) -> Architecture:
    """Return the architecture. Raise ConfigurationError where it is none, where the guard cannot
    work in the region of its stack, or where it cannot have the prefix.
    """
    keys = {
        "architecture": Key("architecture", one_of(Architecture)),
        "region": Key("region", _or_token(aws_identifiers.region)),
        "alarm_prefix": Key("alarm_prefix", _or_token(_PREFIX)),
    }
    written = {
        "architecture": architecture,
        "region": Stack.of(guard).region,
        "alarm_prefix": prefix,
    }
    mistakes: list[str] = []
    fields = read_fields(written, keys, guard.node.path, mistakes)
    if mistakes:
        raise ConfigurationError(*mistakes)
    return Architecture(fields["architecture"])


def checked_notifications(place: str, **written: object) -> Notifications:
    """Return them, checked as guard.toml's are where they are known before deployment: a secret
    itself is not the name of one.
    """
    mistakes: list[str] = []
    table = {name: value for name, value in written.items() if value is not None}
    keys = {
        name: replace(key, read=_or_token(key.read))
        for name, key in notification_keys(None).items()
    }
    fields = read_fields(table, keys, place, mistakes)
    if mistakes:
        raise ConfigurationError(*map(without_secrets, mistakes))
    return Notifications(**fields)


def _or_token(read: Reader[object]) -> Reader[object]:
    def read_unless_token(value: object) -> object:
        items = value if isinstance(value, list) else [value]
        if isinstance(value, list) and Token.is_unresolved(value):
            raise MistakeError(
                "is a list that is known only at deployment (a token); pass a list of single "
                "values, which may be tokens"
            )
        if any(not is_known(each) for each in items):
            return value
        return read(value)

    return read_unless_token
