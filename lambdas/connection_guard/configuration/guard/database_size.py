"""Read the keys of a database that say how many connections it takes: its class, or the capacity of
Serverless v2, and max_connections where its parameter group sets it.
"""

from collections.abc import Mapping
from typing import Any

from connection_guard.configuration.max_connections.estimate import (
    DEFAULT_EXPRESSION,
    Estimate,
    estimate,
    estimate_serverless,
)
from connection_guard.configuration.toml.readers import MistakeError, given, matching, misplaced
from connection_guard.configuration.toml.tables import Key
from connection_guard.errors import ConfigurationError

_SERVERLESS = "db.serverless"


def size_keys(table: Mapping[str, object]) -> dict[str, Key]:
    """Return the keys: which of them a database may have depends on the class that it names."""
    return {
        "instance_class": Key("instance_class", _instance_class, '"db.r6g.large"'),
        "max_connections": Key("max_connections", _expression, default=DEFAULT_EXPRESSION),
        **(_SERVERLESS_KEYS if table.get("instance_class") == _SERVERLESS else _PROVISIONED_KEYS),
    }


def estimate_max_connections(
    fields: Mapping[str, Any], place: str, mistakes: list[str]
) -> Estimate | None:
    """Return the estimate for the fields of a database, or None where they have mistakes, which are
    added to `mistakes`.
    """
    if not size_keys({}).keys() <= fields.keys():
        return None
    instance_class, expression = fields["instance_class"], fields["max_connections"]
    try:
        if instance_class == _SERVERLESS:
            return estimate_serverless(
                fields["minimum_acu"], fields["maximum_acu"], expression, place=place
            )
        return estimate(instance_class, expression, place=place, memory_gib=fields["memory_gib"])
    except ConfigurationError as error:
        mistakes.append(str(error))
        return None


_instance_class = matching(
    r"db(\.[a-z0-9-]+)+", "a DB instance class", 'one such as "db.r6g.large"'
)


def _expression(value: object) -> str | int:
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise MistakeError(
            f"{given(value)} is neither a whole number nor text; write what the parameter group "
            'has, such as 200 or "LEAST({DBInstanceClassMemory/9531392},5000)"'
        )
    return value


def _memory(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0.5 <= value <= 65_536:
        raise MistakeError(
            f"{given(value)} is not a memory size in GiB; write that of the class, such as 16"
        )
    return float(value)


def _capacity(value: object) -> float:
    """Read any number: estimate_serverless knows which ones Aurora takes."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise MistakeError(
            f"{given(value)} is not a number; write Aurora capacity units without quotes, such as 8"
        )
    return value


_SERVERLESS_ONLY = misplaced(f'applies only to instance_class = "{_SERVERLESS}"')
_PROVISIONED_KEYS = {
    "memory_gib": Key("memory_gib", _memory),
    "minimum_acu": Key("minimum_acu", _SERVERLESS_ONLY),
    "maximum_acu": Key("maximum_acu", _SERVERLESS_ONLY),
}
_SERVERLESS_KEYS = {
    "memory_gib": Key(
        "memory_gib", misplaced(f'follows from maximum_acu where the class is "{_SERVERLESS}"')
    ),
    "minimum_acu": Key("minimum_acu", _capacity, "0.5"),
    "maximum_acu": Key("maximum_acu", _capacity, "16"),
}
