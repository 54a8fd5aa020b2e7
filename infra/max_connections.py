"""What max_connections comes to on a class of instance: reckoned without asking AWS, and never more than it really is.

RDS computes the parameter from an expression over DBInstanceClassMemory: the memory of the class less what RDS and the
operating system keep for themselves, a figure that AWS does not publish.
"""

import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import floor

from connection_guard.core.policy_file import MOST_CONNECTIONS
from connection_guard.core.policy_values import MistakeError, shown
from connection_guard.errors import ConfigurationError

DEFAULT_EXPRESSION = "LEAST({DBInstanceClassMemory/9531392},5000)"
FEWEST_CONNECTIONS = 6  # what RDS takes (Amazon RDS User Guide, "Quotas and constraints", maximum connections)

# What clients cannot get: superuser_reserved_connections 3, rds.rds_superuser_reserved_connections 2,
# rds.rds_reserved_connections 2 and the 2 reserved_connections that README.md asks for. A db.t4g.micro, whose
# max_connections is 79, refuses them at about 70.
MOST_RESERVED = 9

GIB = 1024**3
GIB_PER_ACU = 2  # Amazon Aurora User Guide, "Aurora Serverless v2 capacity"
MOST_ACUS = 256
MOST_CONNECTIONS_BELOW_ONE_ACU = 2_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure for max_connections, and a sentence that says whether it is an estimate and how it was reached."""

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
    instance_class: str, expression: str | int = DEFAULT_EXPRESSION, *, place: str, memory_gib: float | None = None
) -> Estimate:
    """What max_connections comes to on a class such as "db.r6g.large".

    `memory_gib` is the class's published memory, where its name does not tell it here. `place` names the database in
    messages. Raises ConfigurationError with one line that names the key: instance_class, max_connections or memory_gib.
    """
    if not _has_formula(expression):
        value = _evaluate(expression, {}, place)
        return Estimate(value, _explanation_of_constant(value))
    if memory_gib is None:
        try:
            hardware = hardware_of(instance_class)
        except MistakeError as mistake:
            raise ConfigurationError(f"{place}: instance_class: {mistake}") from None
        memory_gib = hardware.memory_gib
        variables = {"DBInstanceClassMemory": database_memory(memory_gib), "DBInstanceVCPU": hardware.vcpus}
    elif 0 < memory_gib < float("inf"):
        variables = {"DBInstanceClassMemory": database_memory(memory_gib)}
    else:
        raise ConfigurationError(f"{place}: memory_gib: {shown(memory_gib)} is not a size in GiB; write, say, 16")
    value = _evaluate(expression, variables, place)
    return Estimate(value, _explanation(value, expression, instance_class, memory_gib))


def estimate_serverless(
    minimum_acu: float, maximum_acu: float, expression: str | int = DEFAULT_EXPRESSION, *, place: str
) -> Estimate:
    """What max_connections comes to on Aurora Serverless v2, which goes by the maximum of its capacity range.

    Where the minimum is 0 or 0.5 ACUs it is at most 2,000 (Amazon Aurora User Guide, "Maximum connections for Aurora
    Serverless v2"). Raises ConfigurationError with one line that names the key: minimum_acu, maximum_acu or
    max_connections.
    """
    least = max(minimum_acu, 1)
    for key, capacity, lowest in (("minimum_acu", minimum_acu, 0), ("maximum_acu", maximum_acu, least)):
        if not (lowest <= capacity <= MOST_ACUS and 2 * capacity % 1 == 0):
            what_to_do = f"write {lowest:g} to {MOST_ACUS}, in steps of 0.5"
            raise ConfigurationError(f"{place}: {key}: {shown(capacity)} is not a capacity here; {what_to_do}")
    memory_gib = maximum_acu * GIB_PER_ACU
    value = _evaluate(expression, {"DBInstanceClassMemory": database_memory(memory_gib)}, place)
    if _has_formula(expression):
        explanation = _explanation(value, expression, f"Serverless v2 at {maximum_acu:g} ACUs", memory_gib)
    else:
        explanation = _explanation_of_constant(value)
    if minimum_acu < 1 and value > MOST_CONNECTIONS_BELOW_ONE_ACU:
        value = MOST_CONNECTIONS_BELOW_ONE_ACU
        explanation += f" A minimum of {minimum_acu:g} ACUs caps it at {value:,}."
    return Estimate(value, explanation)


def database_memory(memory_gib: float) -> int:
    """The bytes that DBInstanceClassMemory is at the least, on a class of this much published memory.

    What RDS really keeps is between 0.2 GiB and 0.3 GiB of 1 GiB, and a twentieth of large classes; where AWS itself
    reckons with GB instead of GiB (db.r5.large, db.r4.large) it is a ninth. A tenth and a quarter of a GiB is more than
    any known figure, and leaves every one of them within a fifth of the truth.
    """
    return max(floor((0.9 * memory_gib - 0.25) * GIB), 0)


# A class's hardware follows from its name (Amazon RDS User Guide, "Hardware specifications for DB instance classes").

_CLASS = re.compile(
    r"db\.(?P<family>[cmrxz])(?P<generation>[1-9][a-z]*)\."
    r"(?:(?P<bare_metal>metal)|metal-(?P<metal_size>\d{1,3})xl|(?P<multiple>\d{1,3})xlarge|(?P<size>medium|large|xlarge))"
    r"(?:\.tpc[12]\.mem(?P<memory_ratio>[2-8])x)?",
    re.ASCII,
)

_VCPUS = {"medium": 1, "large": 2, "xlarge": 4}
_VCPUS_OF_BARE_METAL = {
    **dict.fromkeys(("5", "5b", "5d", "5dn", "5n"), 96),
    **dict.fromkeys(("6i", "6id", "6idn", "6in", "2idn", "2iedn"), 128),
    **dict.fromkeys(("6g", "6gd", "7g", "7gd", "2g", "2gd"), 64),
    **dict.fromkeys(("1d", "2iezn"), 48),
}

_GIB_PER_VCPU = {"c": 2.0, "m": 4.0, "r": 8.0, "x": 16.0, "z": 8.0}
_GIB_PER_VCPU_OF_EXCEPTIONS = {
    "m3": 3.75,
    "r3": 7.625,
    "r4": 7.625,
    "x1": 15.25,
    "x1e": 30.5,
    "x2iedn": 32.0,
    "x2iezn": 32.0,
    "x8aedz": 32.0,
}

_BURSTABLE = {
    "micro": Hardware(1, 2),
    "small": Hardware(2, 2),
    "medium": Hardware(4, 2),
    "large": Hardware(8, 2),
    "xlarge": Hardware(16, 4),
    "2xlarge": Hardware(32, 8),
}

_WITHOUT_RULE = {
    **{f"db.{family}.{size}": hardware for family in ("t2", "t3", "t4g") for size, hardware in _BURSTABLE.items()},
    "db.t2.micro": Hardware(1, 1),
    "db.t2.small": Hardware(2, 1),
    # 0.613 GiB were published, but a max_connections of {DBInstanceClassMemory/31457280} was 26 there: 0.76 GiB.
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
    """What AWS publishes of the class; raises MistakeError where the name does not tell."""
    if hardware := _WITHOUT_RULE.get(instance_class):
        return hardware
    match = _CLASS.fullmatch(instance_class)
    if match is None:
        raise MistakeError(_unknown_class(instance_class))
    family, generation = match["family"], match["generation"]
    ratio = _GIB_PER_VCPU_OF_EXCEPTIONS.get(family + generation)
    if ratio is None and generation not in ("1", "2"):
        ratio = _GIB_PER_VCPU[family]
    vcpus = _vcpus(match)
    if not ratio or not vcpus:
        raise MistakeError(_unknown_class(instance_class))
    # An optimized class, such as db.r5.2xlarge.tpc2.mem4x, has a multiple of its size's memory.
    return Hardware(ratio * vcpus * int(match["memory_ratio"] or 1), vcpus)


def _vcpus(match: re.Match[str]) -> int | None:
    if match["bare_metal"]:
        return _VCPUS_OF_BARE_METAL.get(match["generation"])
    if match["size"]:
        return _VCPUS[match["size"]]
    return 4 * int(match["multiple"] or match["metal_size"])


def _unknown_class(instance_class: str) -> str:
    if instance_class == "db.serverless":
        return f"{shown(instance_class)} has no memory of its own; give minimum_acu and maximum_acu"
    if not instance_class.startswith("db."):
        return f'{shown(instance_class)} is not a DB instance class; write one such as "db.r6g.large"'
    what_to_do = "write max_connections as a number, or the class's memory as memory_gib"
    return f"the memory of {shown(instance_class)} is not known here; {what_to_do}"


# The language of parameter values (Amazon RDS User Guide, "Specifying DB parameters"). Quotients are truncated. Nothing
# in it makes a value fall as memory grows, so a memory that is too low never gives a value that is too high.
#
#   sum      = value { "+" value }
#   value    = [ "-" ] integer | function | formula
#   function = ( "LEAST" | "GREATEST" | "SUM" ) "(" sum { "," sum } ")"
#   formula  = [ "$" ] "{" product { "+" product } "}"
#   product  = factor { "*" factor | "/" integer }
#   factor   = integer | variable | "log" "(" product ")"

_LONGEST_EXPRESSION = 500  # this bounds the depth of its nesting, too
_TOKEN = re.compile(r"[0-9]+|[A-Za-z_]+|\S")
_END = "the end"
_FUNCTIONS: Mapping[str, Callable[[list[int]], int]] = {"LEAST": min, "GREATEST": max, "SUM": sum}
_VARIABLES = (
    *("DBInstanceClassMemory", "DBInstanceVCPU", "AllocatedStorage", "EndPointPort"),
    *("DBInstanceClassHugePagesDefault", "TrueIfReplica"),
)


def evaluate(expression: str, variables: Mapping[str, int]) -> int:
    """What a parameter's expression comes to; raises MistakeError that says what is wrong with it."""
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
        raise MistakeError(f'a formula stands in braces, such as "{{DBInstanceVCPU*100}}": {token} stands outside')
    raise MistakeError(f"{_named(token)} stands where an integer, a formula in braces or a function must")


def _function(tokens: deque[str], variables: Mapping[str, int]) -> int:
    function = _FUNCTIONS[tokens.popleft().upper()]
    _take(tokens, "(")
    arguments = [_sum(tokens, variables)]
    while _took(tokens, ","):
        arguments.append(_sum(tokens, variables))
    _take(tokens, ")")
    return function(arguments)


def _formula(tokens: deque[str], variables: Mapping[str, int]) -> int:
    _took(tokens, "$")  # the default parameter groups write some formulas with it: ${DBInstanceVCPU*2}
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
        raise MistakeError(f"{name} is not known before a database is asked; write max_connections as a number")
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
        allowed = f"RDS takes {FEWEST_CONNECTIONS} to {MOST_CONNECTIONS}; write what the database answers to SHOW"
        comes_to = f"{shown(expression)} comes to {shown(value)}" if _has_formula(expression) else shown(expression)
        raise ConfigurationError(f"{place}: max_connections: {comes_to}, but {allowed} max_connections")
    return value


def _explanation(value: int, expression: str | int, of: str, memory_gib: float) -> str:
    if isinstance(expression, str) and "DBInstanceClassMemory" not in expression:
        return f"max_connections is {value}: {expression} on {of}."
    left = database_memory(memory_gib) / GIB
    return (
        f"max_connections is estimated, rather low than high, at {value}: of the {memory_gib:g} GiB of {of} at least "
        f"{left:.2f} GiB are left to the database, with which {expression} comes to that."
    )


def _explanation_of_constant(value: int) -> str:
    return f"max_connections is {value}, as configured: no estimate."
