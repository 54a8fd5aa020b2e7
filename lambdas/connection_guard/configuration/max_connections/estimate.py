"""Estimate max_connections without asking AWS, and never above what it really is.

RDS computes the parameter from an expression over DBInstanceClassMemory: the memory of the class
less what RDS and the operating system keep for themselves, a figure that AWS does not publish.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor

from connection_guard.configuration.max_connections.bounds import (
    FEWEST_CONNECTIONS,
    MOST_CONNECTIONS,
)
from connection_guard.configuration.max_connections.classes import KNOWN_CLASSES, hardware_of
from connection_guard.configuration.max_connections.expressions import evaluate, has_formula
from connection_guard.configuration.toml.readers import MistakeError, given
from connection_guard.errors import ConfigurationError

DEFAULT_EXPRESSION = "LEAST({DBInstanceClassMemory/9531392},5000)"

# What clients cannot get: superuser_reserved_connections 3, rds.rds_superuser_reserved_connections
# 2, rds.rds_reserved_connections 2 and the 2 reserved_connections that docs/deploying.md asks for.
# A db.t4g.micro, whose max_connections is 79, refuses them at about 70.
MOST_RESERVED = 9

GIB = 1024**3
GIB_PER_ACU = 2  # Amazon Aurora User Guide, "Aurora Serverless v2 capacity"
MOST_ACUS = 256
MOST_CONNECTIONS_BELOW_ONE_ACU = 2_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure for max_connections, a sentence that says whether it is an estimate and how it was
    reached, and the connections that applications can get, at least.
    """

    max_connections: int
    explanation: str
    usable: int


def estimate(
    instance_class: str,
    expression: str | int = DEFAULT_EXPRESSION,
    *,
    place: str,
    memory_gib: float | None = None,
) -> Estimate:
    """Estimate max_connections on a class such as "db.r6g.large".

    `memory_gib` is the class's published memory, for a class that is not known here. `place` names
    the database in messages. Raise ConfigurationError with one line that names the key:
    instance_class, max_connections or memory_gib.
    """
    if memory_gib is not None and (known := KNOWN_CLASSES.get(instance_class)):
        raise ConfigurationError(
            f"{place}: memory_gib: {given(instance_class)} is known to have {known.memory_gib:g} "
            "GiB; leave it out"
        )
    if not has_formula(expression):
        value = _evaluate(expression, {}, place)
        return _estimate(value, _explanation_of_constant(value))
    if memory_gib is None:
        try:
            hardware = hardware_of(instance_class)
        except MistakeError as mistake:
            raise ConfigurationError(f"{place}: instance_class: {mistake}") from mistake
        memory_gib = hardware.memory_gib
        variables = {
            "DBInstanceClassMemory": database_memory(memory_gib),
            "DBInstanceVCPU": hardware.vcpus,
        }
    elif 0 < memory_gib < float("inf"):
        variables = {"DBInstanceClassMemory": database_memory(memory_gib)}
    else:
        raise ConfigurationError(
            f"{place}: memory_gib: {given(memory_gib)} is not a memory size in GiB; write that of "
            "the class, such as 16"
        )
    value = _evaluate(expression, variables, place)
    return _estimate(value, _explanation(value, expression, instance_class, memory_gib))


def estimate_serverless(
    minimum_acu: float,
    maximum_acu: float,
    expression: str | int = DEFAULT_EXPRESSION,
    *,
    place: str,
) -> Estimate:
    """Estimate max_connections on Aurora Serverless v2, where the maximum of the capacity range
    counts.

    Where the minimum is 0 or 0.5 ACUs it is at most 2,000 (Amazon Aurora User Guide, "Maximum
    connections for Aurora Serverless v2"). Raise ConfigurationError with one line that names the
    key: minimum_acu, maximum_acu or max_connections.
    """
    least = max(minimum_acu, 1)
    for key, capacity, lowest in (
        ("minimum_acu", minimum_acu, 0),
        ("maximum_acu", maximum_acu, least),
    ):
        if not (lowest <= capacity <= MOST_ACUS and 2 * capacity % 1 == 0):
            what_to_do = f"write {lowest:g} to {MOST_ACUS}, in steps of 0.5"
            raise ConfigurationError(
                f"{place}: {key}: {given(capacity)} is not a valid capacity; {what_to_do}"
            )
    memory_gib = maximum_acu * GIB_PER_ACU
    value = _evaluate(expression, {"DBInstanceClassMemory": database_memory(memory_gib)}, place)
    if has_formula(expression):
        explanation = _explanation(
            value, expression, f"Serverless v2 at {maximum_acu:g} ACUs", memory_gib
        )
    else:
        explanation = _explanation_of_constant(value)
    if minimum_acu < 1 and value > MOST_CONNECTIONS_BELOW_ONE_ACU:
        value = MOST_CONNECTIONS_BELOW_ONE_ACU
        explanation += f" A minimum of {minimum_acu:g} ACUs caps it at {value:,}."
    return _estimate(value, explanation)


def database_memory(memory_gib: float) -> int:
    """Return the bytes that DBInstanceClassMemory has at least, on a class with this much published
    memory.

    What RDS really keeps is between 0.2 GiB and 0.3 GiB of 1 GiB, and a twentieth of large classes;
    where AWS itself computes with GB instead of GiB (db.r5.large, db.r4.large) it is a ninth. A
    tenth plus a quarter of a GiB is more than any known figure, and keeps every estimate within a
    fifth of the truth.
    """
    return max(floor((0.9 * memory_gib - 0.25) * GIB), 0)


def _estimate(max_connections: int, explanation: str) -> Estimate:
    return Estimate(max_connections, explanation, max(max_connections - MOST_RESERVED, 1))


def _evaluate(expression: str | int, variables: Mapping[str, int], place: str) -> int:
    try:
        value = evaluate(expression, variables) if isinstance(expression, str) else expression
    except MistakeError as mistake:
        raise ConfigurationError(f"{place}: max_connections: {mistake}") from mistake
    if not FEWEST_CONNECTIONS <= value <= MOST_CONNECTIONS:
        evaluated = f" evaluates to {given(value)}, which" if has_formula(expression) else ""
        raise ConfigurationError(
            f"{place}: max_connections: {given(expression)}{evaluated} is outside the "
            f"{FEWEST_CONNECTIONS} to {MOST_CONNECTIONS} that RDS accepts; write what SHOW "
            "max_connections returns on the database"
        )
    return value


def _explanation(value: int, expression: str | int, of: str, memory_gib: float) -> str:
    if isinstance(expression, str) and "DBInstanceClassMemory" not in expression:
        return f"max_connections is {value}: {expression} on {of}."
    left = database_memory(memory_gib) / GIB
    return (
        f"max_connections is estimated conservatively at {value}: {of} has {memory_gib:g} GiB, at "
        f"least {left:.2f} GiB of it for PostgreSQL, for which {expression} evaluates to {value}."
    )


def _explanation_of_constant(value: int) -> str:
    return f"max_connections is {value}, as configured: no estimate."
