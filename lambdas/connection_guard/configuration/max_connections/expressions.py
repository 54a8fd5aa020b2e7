"""The language in which a parameter group writes a value, such as
"LEAST({DBInstanceClassMemory/9531392},5000)".

    sum      = value { "+" value }
    value    = [ "-" ] integer | function | formula
    function = ( "LEAST" | "GREATEST" | "SUM" ) "(" sum { "," sum } ")"
    formula  = [ "$" ] "{" product { "+" product } "}"
    product  = factor { "*" factor | "/" integer }
    factor   = integer | variable | "log" "(" product ")"

Quotients are truncated. Nothing in the language makes a value fall as memory grows, so a memory
that is too low never gives a value that is too high. Source: Amazon RDS User Guide, "Specifying DB
parameters".
"""

import re
from collections import deque
from collections.abc import Callable, Mapping

from connection_guard.configuration.toml.readers import MistakeError, given

_LONGEST_EXPRESSION = 500  # this bounds the depth of its nesting, too
_TOKEN = re.compile(r"[0-9]+|[A-Za-z_]+|\S")
_END = "the end"
_FUNCTIONS: Mapping[str, Callable[[list[int]], int]] = {"LEAST": min, "GREATEST": max, "SUM": sum}
_VARIABLES = frozenset(
    {
        "AllocatedStorage",
        "DBInstanceClassHugePagesDefault",
        "DBInstanceClassMemory",
        "DBInstanceVCPU",
        "EndPointPort",
        "TrueIfReplica",
    }
)
_START_OF_VALUE = "an integer, a formula in braces or a function"


def has_formula(expression: str | int) -> bool:
    """Return whether the value depends on the hardware."""
    return isinstance(expression, str) and "{" in expression


def evaluate(expression: str, variables: Mapping[str, int]) -> int:
    """Return what the expression evaluates to; raise MistakeError where it is wrong."""
    if len(expression) > _LONGEST_EXPRESSION:
        raise MistakeError(
            f"{given(expression)} is longer than {_LONGEST_EXPRESSION} characters; write "
            "max_connections as a number"
        )
    tokens = deque([*_TOKEN.findall(expression), _END])
    try:
        value = _sum(tokens, variables)
        _take(tokens, _END)
    except MistakeError as mistake:
        raise MistakeError(f"{given(expression)}: {mistake}") from mistake
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
            f"{token} is outside braces; write a formula in braces, such as "
            '"{DBInstanceVCPU*100}"'
        )
    raise _unexpected(token, _START_OF_VALUE)


def _function(tokens: deque[str], variables: Mapping[str, int]) -> int:
    function = _FUNCTIONS[tokens.popleft().upper()]
    _take(tokens, "(")
    arguments = [_sum(tokens, variables)]
    while _took(tokens, ","):
        arguments.append(_sum(tokens, variables))
    _take(tokens, ")")
    return function(arguments)


def _formula(tokens: deque[str], variables: Mapping[str, int]) -> int:
    _took(tokens, "$")  # with which default parameter groups write some: ${DBInstanceVCPU*2}
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
            raise MistakeError("it divides by 0; write another divisor")
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
            f"{name} is known only to the database itself; write max_connections as a number"
        )
    raise _unexpected(name, f"one of integer, log, {', '.join(variables)}")


def _logarithm(tokens: deque[str], variables: Mapping[str, int]) -> int:
    """Return the logarithm to base 2, truncated like a quotient."""
    _take(tokens, "(")
    argument = _product(tokens, variables)
    _take(tokens, ")")
    if argument < 1:
        raise MistakeError("it takes the logarithm of 0; write a smaller divisor")
    return argument.bit_length() - 1


def _integer(tokens: deque[str]) -> int:
    token = tokens.popleft()
    if not _is_integer(token):
        raise _unexpected(token, "an integer")
    return int(token)


def _is_integer(token: str) -> bool:
    return token.isascii() and token.isdigit()


def _took(tokens: deque[str], wanted: str) -> bool:
    """Take the next token if it is the wanted one; return whether it was."""
    if tokens[0] != wanted:
        return False
    tokens.popleft()
    return True


def _take(tokens: deque[str], wanted: str) -> None:
    if not _took(tokens, wanted):
        raise _unexpected(tokens[0], _named(wanted))


def _unexpected(token: str, expected: str) -> MistakeError:
    return MistakeError(f"expected {expected}, not {_named(token)}")


def _named(token: str) -> str:
    return token if token == _END else given(token)
