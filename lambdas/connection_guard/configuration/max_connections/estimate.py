"""What max_connections comes to on a class of instance: reckoned without asking AWS, and never more
than it really is.

RDS computes the parameter from an expression over DBInstanceClassMemory: the memory of the class
less what RDS and the operating system keep for themselves, a figure that AWS does not publish.
"""

import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import floor

from connection_guard.configuration.policy.policy_file import MOST_CONNECTIONS
from connection_guard.configuration.policy.values import MistakeError, shown
from connection_guard.errors import ConfigurationError

DEFAULT_EXPRESSION = "LEAST({DBInstanceClassMemory/9531392},5000)"
FEWEST_CONNECTIONS = (
    6  # what RDS takes (Amazon RDS User Guide, "Quotas and constraints", maximum connections)
)

# What clients cannot get: superuser_reserved_connections 3, rds.rds_superuser_reserved_connections
# 2, rds.rds_reserved_connections 2 and the 2 reserved_connections that README.md asks for. A
# db.t4g.micro, whose max_connections is 79, refuses them at about 70.
MOST_RESERVED = 9

GIB = 1024**3
GIB_PER_ACU = 2  # Amazon Aurora User Guide, "Aurora Serverless v2 capacity"
MOST_ACUS = 256
MOST_CONNECTIONS_BELOW_ONE_ACU = 2_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure for max_connections, and a sentence that says whether it is an estimate and how it
    was reached.
    """

    max_connections: int
    explanation: str

    @property
    def usable(self) -> int:
        """The connections that applications can get at the least."""
        return max(self.max_connections - MOST_RESERVED, 1)


@dataclass(frozen=True, slots=True)
class Hardware:
    """What AWS publishes of a class: memory in GiB and virtual CPUs."""

    memory_gib: float
    vcpus: int


def estimate(
    instance_class: str,
    expression: str | int = DEFAULT_EXPRESSION,
    *,
    place: str,
    memory_gib: float | None = None,
) -> Estimate:
    """What max_connections comes to on a class such as "db.r6g.large".

    `memory_gib` is the class's published memory, for a class that is not known here. `place` names
    the database in messages. Raises ConfigurationError with one line that names the key:
    instance_class, max_connections or memory_gib.
    """
    if memory_gib is not None and (known := KNOWN_CLASSES.get(instance_class)):
        raise ConfigurationError(
            f"{place}: memory_gib: {shown(instance_class)} is known to have {known.memory_gib:g} "
            "GiB; leave it out"
        )
    if not _has_formula(expression):
        value = _evaluate(expression, {}, place)
        return Estimate(value, _explanation_of_constant(value))
    if memory_gib is None:
        try:
            hardware = hardware_of(instance_class)
        except MistakeError as mistake:
            raise ConfigurationError(f"{place}: instance_class: {mistake}") from None
        memory_gib = hardware.memory_gib
        variables = {
            "DBInstanceClassMemory": database_memory(memory_gib),
            "DBInstanceVCPU": hardware.vcpus,
        }
    elif 0 < memory_gib < float("inf"):
        variables = {"DBInstanceClassMemory": database_memory(memory_gib)}
    else:
        raise ConfigurationError(
            f"{place}: memory_gib: {shown(memory_gib)} is not a size in GiB; write, say, 16"
        )
    value = _evaluate(expression, variables, place)
    return Estimate(value, _explanation(value, expression, instance_class, memory_gib))


def estimate_serverless(
    minimum_acu: float,
    maximum_acu: float,
    expression: str | int = DEFAULT_EXPRESSION,
    *,
    place: str,
) -> Estimate:
    """What max_connections comes to on Aurora Serverless v2, which goes by the maximum of its
    capacity range.

    Where the minimum is 0 or 0.5 ACUs it is at most 2,000 (Amazon Aurora User Guide, "Maximum
    connections for Aurora Serverless v2"). Raises ConfigurationError with one line that names the
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
                f"{place}: {key}: {shown(capacity)} is not a capacity here; {what_to_do}"
            )
    memory_gib = maximum_acu * GIB_PER_ACU
    value = _evaluate(expression, {"DBInstanceClassMemory": database_memory(memory_gib)}, place)
    if _has_formula(expression):
        explanation = _explanation(
            value, expression, f"Serverless v2 at {maximum_acu:g} ACUs", memory_gib
        )
    else:
        explanation = _explanation_of_constant(value)
    if minimum_acu < 1 and value > MOST_CONNECTIONS_BELOW_ONE_ACU:
        value = MOST_CONNECTIONS_BELOW_ONE_ACU
        explanation += f" A minimum of {minimum_acu:g} ACUs caps it at {value:,}."
    return Estimate(value, explanation)


def database_memory(memory_gib: float) -> int:
    """The bytes that DBInstanceClassMemory is at the least, on a class of this much published
    memory.

    What RDS really keeps is between 0.2 GiB and 0.3 GiB of 1 GiB, and a twentieth of large classes;
    where AWS itself reckons with GB instead of GiB (db.r5.large, db.r4.large) it is a ninth. A
    tenth and a quarter of a GiB is more than any known figure, and leaves every one of them within
    a fifth of the truth.
    """
    return max(floor((0.9 * memory_gib - 0.25) * GIB), 0)


# The classes on which RDS runs PostgreSQL (Amazon RDS User Guide, "Hardware specifications for DB
# instance classes").

_TO_16 = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge")
_TO_24 = (*_TO_16, "24xlarge")
_TO_32 = (*_TO_24, "32xlarge")
_TO_48 = (*_TO_24, "48xlarge")

# GiB of memory for each virtual CPU, and sizes.
_FAMILIES: Mapping[str, tuple[float, tuple[str, ...]]] = {
    "c6gd": (2, ("medium", *_TO_16)),
    "m3": (3.75, ("medium", "large", "xlarge", "2xlarge")),
    "m4": (4, ("large", "xlarge", "2xlarge", "4xlarge", "10xlarge", "16xlarge")),
    **dict.fromkeys(("m5", "m5d"), (4, _TO_24)),
    **dict.fromkeys(("m6g", "m6gd", "m7g"), (4, _TO_16)),
    **dict.fromkeys(("m6i", "m6id", "m6idn", "m6in"), (4, _TO_32)),
    **dict.fromkeys(("m7i", "m8a", "m8g", "m8gd", "m9g"), (4, _TO_48)),
    "r3": (7.625, ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge")),
    "r4": (7.625, ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "16xlarge")),
    **dict.fromkeys(("r5", "r5b", "r5d"), (8, _TO_24)),
    **dict.fromkeys(("r6g", "r6gd", "r7g"), (8, _TO_16)),
    **dict.fromkeys(("r6i", "r6id", "r6idn", "r6in"), (8, _TO_32)),
    **dict.fromkeys(("r7i", "r8a", "r8g", "r8gd"), (8, _TO_48)),
    "x2g": (16, _TO_16),
    "x2idn": (16, ("16xlarge", "24xlarge", "32xlarge")),
    "x2iedn": (32, ("xlarge", "2xlarge", "4xlarge", "8xlarge", "16xlarge", "24xlarge", "32xlarge")),
}


def _vcpus(size: str) -> int:
    match size:
        case "medium":
            return 1
        case "large":
            return 2
        case _:
            return 4 * int(size.removesuffix("xlarge") or 1)


_BURSTABLE = {
    "micro": Hardware(1, 2),
    "small": Hardware(2, 2),
    "medium": Hardware(4, 2),
    "large": Hardware(8, 2),
    "xlarge": Hardware(16, 4),
    "2xlarge": Hardware(32, 8),
}

KNOWN_CLASSES = {
    **{
        f"db.{family}.{size}": Hardware(gib_per_vcpu * _vcpus(size), _vcpus(size))
        for family, (gib_per_vcpu, sizes) in _FAMILIES.items()
        for size in sizes
    },
    **{
        f"db.{family}.{size}": hardware
        for family in ("t2", "t3", "t4g")
        for size, hardware in _BURSTABLE.items()
    },
    "db.t2.micro": Hardware(1, 1),
    "db.t2.small": Hardware(2, 1),
    # 0.613 GiB were published, but a max_connections of {DBInstanceClassMemory/31457280} was 26
    # there: 0.76 GiB.
    "db.t1.micro": Hardware(1, 1),
    "db.m1.small": Hardware(1.7, 1),
    "db.m1.medium": Hardware(3.75, 1),
    "db.m1.large": Hardware(7.5, 2),
    "db.m1.xlarge": Hardware(15, 4),
    "db.m2.xlarge": Hardware(17.1, 2),
    "db.m2.2xlarge": Hardware(34.2, 4),
    "db.m2.4xlarge": Hardware(68.4, 8),
}


def hardware_of(instance_class: str) -> Hardware:
    """Return what AWS publishes of the class; raises MistakeError where it is not known here."""
    try:
        return KNOWN_CLASSES[instance_class]
    except KeyError:
        raise MistakeError(_unknown_class(instance_class)) from None


def _unknown_class(instance_class: str) -> str:
    if instance_class == "db.serverless":
        return f"{shown(instance_class)} has no memory of its own; give minimum_acu and maximum_acu"
    if not instance_class.startswith("db."):
        return (
            f'{shown(instance_class)} is not a DB instance class; write one such as "db.r6g.large"'
        )
    unknown = f"{shown(instance_class)} is not known here as a class on which RDS runs PostgreSQL"
    family = ".".join(instance_class.split(".")[:2])
    if sizes := [
        name.removeprefix(f"{family}.") for name in KNOWN_CLASSES if name.startswith(f"{family}.")
    ]:
        unknown += f", and {family} comes as {', '.join(sizes)}"
    return (
        f"{unknown}; correct it, or write max_connections as a number, or the class's memory as "
        "memory_gib"
    )


# The language of parameter values (Amazon RDS User Guide, "Specifying DB parameters"). Quotients
# are truncated. Nothing in it makes a value fall as memory grows, so a memory that is too low never
# gives a value that is too high.  sum      = value { "+" value } value    = [ "-" ] integer |
# function | formula function = ( "LEAST" | "GREATEST" | "SUM" ) "(" sum { "," sum } ")" formula  =
# [ "$" ] "{" product { "+" product } "}" product  = factor { "*" factor | "/" integer } factor   =
# integer | variable | "log" "(" product ")"

_LONGEST_EXPRESSION = 500  # this bounds the depth of its nesting, too
_TOKEN = re.compile(r"[0-9]+|[A-Za-z_]+|\S")
_END = "the end"
_FUNCTIONS: Mapping[str, Callable[[list[int]], int]] = {"LEAST": min, "GREATEST": max, "SUM": sum}
_VARIABLES = (
    *("DBInstanceClassMemory", "DBInstanceVCPU", "AllocatedStorage", "EndPointPort"),
    *("DBInstanceClassHugePagesDefault", "TrueIfReplica"),
)


def evaluate(expression: str, variables: Mapping[str, int]) -> int:
    """What a parameter's expression comes to; raises MistakeError that says what is wrong with
    it.
    """
    if len(expression) > _LONGEST_EXPRESSION:
        raise MistakeError(f"{shown(expression)} is longer than {_LONGEST_EXPRESSION} characters")
    tokens = deque([*_TOKEN.findall(expression), _END])
    try:
        value = _sum(tokens, variables)
        _take(tokens, _END)
    except MistakeError as mistake:
        raise MistakeError(f"{shown(expression)}: {mistake}") from None
    return value


def _sum(tokens: deque[str], variables: Mapping[str, int]) -> int:
    total = _value(tokens, variables)
    while _took(tokens, "+"):
        total += _value(tokens, variables)
    return total


def _value(tokens: deque[str], variables: Mapping[str, int]) -> int:
    token = tokens[0]
    if _took(tokens, "-"):
        return -_integer(tokens)
    if _is_integer(token):
        return _integer(tokens)
    if token in ("$", "{"):
        return _formula(tokens, variables)
    if token.upper() in _FUNCTIONS:
        return _function(tokens, variables)
    if token in _VARIABLES or token.lower() == "log":
        raise MistakeError(
            f'a formula stands in braces, such as "{{DBInstanceVCPU*100}}": {token} stands outside'
        )
    raise MistakeError(
        f"{_named(token)} stands where an integer, a formula in braces or a function must"
    )


def _function(tokens: deque[str], variables: Mapping[str, int]) -> int:
    function = _FUNCTIONS[tokens.popleft().upper()]
    _take(tokens, "(")
    arguments = [_sum(tokens, variables)]
    while _took(tokens, ","):
        arguments.append(_sum(tokens, variables))
    _take(tokens, ")")
    return function(arguments)


def _formula(tokens: deque[str], variables: Mapping[str, int]) -> int:
    _took(
        tokens, "$"
    )  # the default parameter groups write some formulas with it: ${DBInstanceVCPU*2}
    _take(tokens, "{")
    total = _product(tokens, variables)
    while _took(tokens, "+"):
        total += _product(tokens, variables)
    _take(tokens, "}")
    return total


def _product(tokens: deque[str], variables: Mapping[str, int]) -> int:
    product = _factor(tokens, variables)
    while tokens[0] in ("*", "/"):
        if _took(tokens, "*"):
            product *= _factor(tokens, variables)
            continue
        _take(tokens, "/")
        divisor = _integer(tokens)
        if divisor == 0:
            raise MistakeError("it divides by 0")
        product //= divisor
    return product


def _factor(tokens: deque[str], variables: Mapping[str, int]) -> int:
    if _is_integer(tokens[0]):
        return _integer(tokens)
    name = tokens.popleft()
    if name.lower() == "log":
        return _logarithm(tokens, variables)
    if name in variables:
        return variables[name]
    if name in _VARIABLES:
        raise MistakeError(
            f"{name} is not known before a database is asked; write max_connections as a number"
        )
    known = ", ".join(("integer", "log", *variables))
    raise MistakeError(f"{_named(name)} stands where one of these must: {known}")


def _logarithm(tokens: deque[str], variables: Mapping[str, int]) -> int:
    """To base 2, and truncated like a quotient."""
    _take(tokens, "(")
    argument = _product(tokens, variables)
    _take(tokens, ")")
    if argument < 1:
        raise MistakeError("it takes the logarithm of 0")
    return argument.bit_length() - 1


def _integer(tokens: deque[str]) -> int:
    token = tokens.popleft()
    if not _is_integer(token):
        raise MistakeError(f"{_named(token)} stands where an integer must")
    return int(token)


def _is_integer(token: str) -> bool:
    return token.isascii() and token.isdigit()


def _took(tokens: deque[str], wanted: str) -> bool:
    """Takes the next token if it is this one; whether it was."""
    if tokens[0] != wanted:
        return False
    tokens.popleft()
    return True


def _take(tokens: deque[str], wanted: str) -> None:
    if not _took(tokens, wanted):
        raise MistakeError(f"{_named(tokens[0])} stands where {_named(wanted)} must")


def _named(token: str) -> str:
    return token if token == _END else shown(token)


def _has_formula(expression: str | int) -> bool:
    return isinstance(expression, str) and "{" in expression


def _evaluate(expression: str | int, variables: Mapping[str, int], place: str) -> int:
    try:
        value = evaluate(expression, variables) if isinstance(expression, str) else expression
    except MistakeError as mistake:
        raise ConfigurationError(f"{place}: max_connections: {mistake}") from None
    if not FEWEST_CONNECTIONS <= value <= MOST_CONNECTIONS:
        allowed = (
            f"RDS takes {FEWEST_CONNECTIONS} to {MOST_CONNECTIONS}; write what the database "
            "answers to SHOW"
        )
        comes_to = (
            f"{shown(expression)} comes to {shown(value)}"
            if _has_formula(expression)
            else shown(expression)
        )
        raise ConfigurationError(
            f"{place}: max_connections: {comes_to}, but {allowed} max_connections"
        )
    return value


def _explanation(value: int, expression: str | int, of: str, memory_gib: float) -> str:
    if isinstance(expression, str) and "DBInstanceClassMemory" not in expression:
        return f"max_connections is {value}: {expression} on {of}."
    left = database_memory(memory_gib) / GIB
    return (
        f"max_connections is estimated, rather low than high, at {value}: of the {memory_gib:g} "
        f"GiB of {of} at least {left:.2f} GiB are left to the database, with which {expression} "
        "comes to that."
    )


def _explanation_of_constant(value: int) -> str:
    return f"max_connections is {value}, as configured: no estimate."
