"""The language of parameter values: an expression evaluates to what RDS makes of it."""

from collections.abc import Callable
from fractions import Fraction
from math import floor, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connection_guard.configuration.max_connections.estimate import GIB
from connection_guard.configuration.max_connections.expressions import evaluate

# The language of parameter values:
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ParamValuesRef.html

VARIABLES = {"DBInstanceClassMemory": 8 * GIB, "DBInstanceVCPU": 2}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("{DBInstanceClassMemory}", 8589934592),
        ("{DBInstanceVCPU*300}", 600),
        ("{DBInstanceClassMemory/12582880}", 682),
        ("{DBInstanceClassMemory*3/4}", 6442450944),
        ("{DBInstanceClassMemory/3*3}", 8589934590),  # truncated step by step
        ("{DBInstanceVCPU/3}", 0),
        ("${DBInstanceVCPU*2}", 4),
        ("LEAST({DBInstanceClassMemory/9531392},5000)", 901),
        ("LEAST({DBInstanceClassMemory/9531392}, 500)", 500),
        ("greatest({DBInstanceClassMemory/9868951},80)", 870),
        ("GREATEST({DBInstanceClassMemory/64371566592},3)", 3),
        ("SUM({DBInstanceClassMemory/9531392},-50)", 851),
        ("{DBInstanceClassMemory/9531392}+{DBInstanceVCPU*10} + 7", 928),
        ("{DBInstanceVCPU*10+DBInstanceVCPU*5}", 30),
        ("{log(DBInstanceClassMemory/805306368)*45}", 135),
        (
            (
                "GREATEST({log(DBInstanceClassMemory/805306368)*45},"
                "{log(DBInstanceClassMemory/8187281408)*1000})"
            ),
            135,
        ),
        ("LEAST(GREATEST({DBInstanceClassMemory/9531392},100),SUM(400,600),5000)", 901),
        ("LEAST(7)", 7),
        ("-3", -3),
        (" 12 ", 12),
    ],
)
def test_an_expression_evaluates_to_what_rds_makes_of_it(expression: str, value: int) -> None:
    assert evaluate(expression, VARIABLES) == value


Meaning = Callable[[int], int]
INTEGERS = st.integers(1, 10**10)
PRODUCTS = st.recursive(
    st.just(("DBInstanceClassMemory", lambda memory: memory))
    | INTEGERS.map(lambda n: (str(n), lambda _: n)),
    lambda inner: st.one_of(
        st.tuples(inner, INTEGERS).map(
            lambda t: (f"{t[0][0]}*{t[1]}", lambda memory: t[0][1](memory) * t[1])
        ),
        st.tuples(inner, INTEGERS).map(
            lambda t: (f"{t[0][0]} / {t[1]}", lambda memory: floor(Fraction(t[0][1](memory), t[1])))
        ),
    ),
    max_leaves=3,
)


Function = tuple[str, Callable[[list[int]], int]]


def a_call(function: Function, arguments: list[tuple[str, Meaning]]) -> tuple[str, Meaning]:
    name, compute = function
    text = f"{name}({', '.join(text for text, _ in arguments)})"
    return text, lambda memory: compute([meaning(memory) for _, meaning in arguments])


CALLS: st.SearchStrategy[Function] = st.sampled_from(
    [("LEAST", min), ("Greatest", max), ("SUM", sum)]
)
EXPRESSIONS: st.SearchStrategy[tuple[str, Meaning]] = st.recursive(
    PRODUCTS.map(lambda product: (f"{{{product[0]}}}", product[1]))
    | st.integers(-(10**10), 10**10).map(lambda n: (str(n), lambda _: n)),
    lambda inner: st.tuples(CALLS, st.lists(inner, min_size=1, max_size=3)).map(
        lambda call: a_call(*call)
    ),
    max_leaves=6,
).filter(lambda expression: len(expression[0]) <= 500)


@given(EXPRESSIONS, st.integers(0, 2**43))
def test_an_expression_evaluates_to_what_it_means(
    expression: tuple[str, Meaning], memory: int
) -> None:
    text, meaning = expression

    assert evaluate(text, {"DBInstanceClassMemory": memory}) == meaning(memory)


@given(EXPRESSIONS, st.integers(0, 2**43), st.integers(0, 2**43))
def test_less_memory_never_gives_more_connections(
    expression: tuple[str, Meaning], memory: int, other: int
) -> None:
    less, more = sorted((memory, other))

    assert evaluate(expression[0], {"DBInstanceClassMemory": less}) <= evaluate(
        expression[0], {"DBInstanceClassMemory": more}
    )


@given(st.integers(1, 2**43))
def test_a_logarithm_is_to_base_2_and_truncated(argument: int) -> None:
    value = evaluate("{log(DBInstanceClassMemory)}", {"DBInstanceClassMemory": argument})

    assert 2**value <= argument < 2 ** (value + 1)
    assert value == pytest.approx(log2(argument), abs=1)
