"""Computed max_connections: below every known truth and not far, on any class; and the language it
is written in.
"""

import json
from collections.abc import Callable
from fractions import Fraction
from importlib.resources import files
from math import ceil, floor, log2

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connection_guard.configuration.max_connections.estimate import (
    DEFAULT_EXPRESSION,
    GIB,
    KNOWN_CLASSES,
    estimate,
    estimate_serverless,
    evaluate,
    hardware_of,
)
from connection_guard.configuration.policy.values import MistakeError
from connection_guard.errors import ConfigurationError

PLACE = 'guard.toml: databases[0] "shop"'
MYSQL = "{DBInstanceClassMemory/12582880}"  # MySQL's default, over the same variable


def refusal(of: Callable[[], object]) -> str:
    with pytest.raises(ConfigurationError) as refused:
        of()
    place, _, message = str(refused.value).partition('"shop": ')
    assert place
    assert "\n" not in message
    return message


def is_cautious(estimated: int, truth: int) -> bool:
    """Never above the truth, and within a quarter of it."""
    return 0.75 * truth <= estimated <= truth


# The truths that were looked at when the share of RDS was chosen

ON_RDS = {
    "db.t3.micro": 81,
    "db.t4g.micro": 79,
    "db.t3.small": 191,
    # SHOW max_connections: https://gist.github.com/guizmaii/1cacffef793c2ba9645083c3e18b3d8c
    "db.t2.small": 198,
    "db.t2.medium": 413,
    "db.t2.large": 856,
    "db.m4.large": 856,
    "db.r4.large": 1660,
}
ON_AURORA = {
    # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/AuroraPostgreSQL.Managing.html
    "db.t4g.medium": 405,
    "db.t4g.large": 844,
    "db.t3.medium": 420,
    "db.t3.large": 844,
    "db.r6g.large": 1722,
    "db.r6g.xlarge": 3479,
    "db.r6g.2xlarge": 5000,
    "db.x2g.large": 3479,
    "db.x2g.xlarge": 5000,
    # AWS reckoned these with GB instead of GiB, so they are the lowest for their memory
    "db.r5.large": 1600,
    "db.r5.xlarge": 3300,
    "db.r4.large": 1600,
    "db.r4.xlarge": 3200,
    "db.r4.2xlarge": 5000,
}
ON_OLD_CLASSES = {
    # https://dba.stackexchange.com/questions/25840
    "db.m1.small": 125,
    "db.m1.large": 623,
    "db.m1.xlarge": 1263,
    "db.m2.2xlarge": 2900,
    "db.m2.4xlarge": 5816,
}

# Truths that were found only afterwards

HELD_OUT = {
    # http://tritoneco.com/2015/11/23/max_connections-at-aws-rds-mysql-instance-sizes/
    "db.t2.micro": 66,
    "db.t2.small": 150,
    "db.t2.medium": 312,
    "db.t2.large": 648,
    "db.m3.medium": 296,
    "db.m3.large": 609,
    "db.m3.xlarge": 1237,
    "db.m3.2xlarge": 2492,
    "db.m4.large": 648,
    "db.m4.xlarge": 1320,
    "db.r3.large": 1258,
    "db.r3.xlarge": 2540,
    "db.m2.xlarge": 1412,
}


@pytest.mark.parametrize(
    ("instance_class", "expression", "truth"),
    [
        *((name, DEFAULT_EXPRESSION, truth) for name, truth in ON_RDS.items()),
        *((name, DEFAULT_EXPRESSION, truth) for name, truth in ON_AURORA.items()),
        *((name, MYSQL, truth) for name, truth in ON_OLD_CLASSES.items()),
        *((name, MYSQL, truth) for name, truth in HELD_OUT.items()),
    ],
)
def test_the_estimate_is_below_the_truth_and_within_a_quarter_of_it(
    instance_class: str, expression: str, truth: int
) -> None:
    assert is_cautious(estimate(instance_class, expression, place=PLACE).max_connections, truth)


# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.setting-capacity.html
@pytest.mark.parametrize(
    ("maximum_acu", "truth"),
    [(1, 189), (4, 823), (8, 1669), (16, 3360), (32, 5000), (64, 5000), (256, 5000)],
)
def test_serverless_goes_by_its_maximum(maximum_acu: float, truth: int) -> None:
    assert is_cautious(estimate_serverless(1, maximum_acu, place=PLACE).max_connections, truth)


# https://repost.aws/articles/ARm5e6RHE3R4mnHS2S-UZUwA/working-of-max-connections-for-amazon-aurora-postgresql-serverless
@pytest.mark.parametrize("minimum_acu", [0, 0.5])
@pytest.mark.parametrize(("maximum_acu", "truth"), [(1, 189), (8, 1669), (16, 2000), (128, 2000)])
def test_serverless_that_goes_below_one_acu_has_at_most_2000(
    minimum_acu: float, maximum_acu: float, truth: int
) -> None:
    assert is_cautious(
        estimate_serverless(minimum_acu, maximum_acu, place=PLACE).max_connections, truth
    )


def test_the_cap_of_serverless_holds_for_a_number_too_and_is_told() -> None:
    capped = estimate_serverless(0.5, 16, 4000, place=PLACE)

    assert capped.max_connections == 2000
    assert capped.explanation == (
        "max_connections is 4000, as configured: no estimate. A minimum of 0.5 ACUs caps it at "
        "2,000."
    )


def test_the_critical_alarm_of_a_micro_fires_before_its_clients_are_refused() -> None:
    exhausted = 22

    estimated = estimate("db.t1.micro", "{DBInstanceClassMemory/31457280}", place=PLACE)

    assert is_cautious(estimated.max_connections, 26)
    assert ceil(0.9 * estimated.usable) <= exhausted


def test_what_servers_reserve_is_not_usable() -> None:
    assert estimate("db.t4g.micro", 79, place=PLACE).usable == 70
    assert estimate("db.t4g.micro", 6, place=PLACE).usable == 1


@given(
    st.sampled_from(["db.t4g.micro", "db.r6g.large", "db.x2iedn.32xlarge"]),
    st.integers(10**4, 10**8),
)
def test_whatever_the_divisor_the_estimate_is_below_what_the_whole_memory_would_give(
    name: str, divisor: int
) -> None:
    whole = floor(hardware_of(name).memory_gib * GIB) // divisor
    try:
        estimated = estimate(
            name, f"{{DBInstanceClassMemory/{divisor}}}", place=PLACE
        ).max_connections
    except ConfigurationError as out_of_range:
        assert "RDS takes 6 to 262143" in str(out_of_range)  # noqa: PT017
    else:
        assert estimated < whole


# What it says of itself


def test_an_estimate_says_that_it_is_one_and_how_it_was_reached() -> None:
    assert estimate("db.t4g.micro", place=PLACE).explanation == (
        "max_connections is estimated, rather low than high, at 73: of the 1 GiB of db.t4g.micro "
        "at least 0.65 GiB are left to the database, with which "
        "LEAST({DBInstanceClassMemory/9531392},5000) comes to that."
    )


@pytest.mark.parametrize("number", [400, "400", " 400 ", "LEAST(400,5000)"])
def test_a_number_is_taken_as_it_is_and_the_class_need_not_be_known(number: str | int) -> None:
    taken = estimate("db.next.generation", number, place=PLACE)

    assert taken.max_connections == 400
    assert taken.explanation == "max_connections is 400, as configured: no estimate."


def test_what_goes_by_vcpus_alone_is_exact() -> None:
    taken = estimate("db.r6g.xlarge", "GREATEST(${DBInstanceVCPU*100},8)", place=PLACE)

    assert taken.max_connections == 400
    assert (
        taken.explanation
        == "max_connections is 400: GREATEST(${DBInstanceVCPU*100},8) on db.r6g.xlarge."
    )


def test_a_class_that_is_not_known_can_be_told_by_its_memory() -> None:
    told = estimate("db.next.generation", place=PLACE, memory_gib=16)

    assert told.max_connections == estimate("db.r6g.large", place=PLACE).max_connections
    assert "of the 16 GiB of db.next.generation" in told.explanation


@pytest.mark.parametrize("expression", [DEFAULT_EXPRESSION, 100])
def test_the_memory_of_a_class_that_is_known_cannot_be_told_otherwise(
    expression: str | int,
) -> None:
    message = refusal(lambda: estimate("db.t4g.micro", expression, place=PLACE, memory_gib=64))

    assert message == 'memory_gib: "db.t4g.micro" is known to have 1 GiB; leave it out'


# The hardware of every class:
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.DBInstanceClass.Summary.html


@pytest.mark.parametrize(
    ("name", "vcpus", "memory_gib"),
    [
        ("db.t4g.micro", 2, 1),
        ("db.t4g.2xlarge", 8, 32),
        ("db.t3.small", 2, 2),
        ("db.t2.small", 1, 2),
        ("db.m1.small", 1, 1.7),
        ("db.m1.xlarge", 4, 15),
        ("db.m2.4xlarge", 8, 68.4),
        ("db.m3.medium", 1, 3.75),
        ("db.m3.2xlarge", 8, 30),
        ("db.m4.large", 2, 8),
        ("db.m4.10xlarge", 40, 160),
        ("db.m5.24xlarge", 96, 384),
        ("db.m5d.16xlarge", 64, 256),
        ("db.m6g.large", 2, 8),
        ("db.m6gd.large", 2, 8),
        ("db.m6i.32xlarge", 128, 512),
        ("db.m7g.12xlarge", 48, 192),
        ("db.m8g.48xlarge", 192, 768),
        ("db.r3.8xlarge", 32, 244),
        ("db.r4.large", 2, 15.25),
        ("db.r4.16xlarge", 64, 488),
        ("db.r5.large", 2, 16),
        ("db.r5b.24xlarge", 96, 768),
        ("db.r6g.xlarge", 4, 32),
        ("db.r6gd.16xlarge", 64, 512),
        ("db.r6id.32xlarge", 128, 1024),
        ("db.r7g.16xlarge", 64, 512),
        ("db.r7i.48xlarge", 192, 1536),
        ("db.r8g.24xlarge", 96, 768),
        ("db.c6gd.medium", 1, 2),
        ("db.c6gd.16xlarge", 64, 128),
        ("db.x2g.large", 2, 32),
        ("db.x2g.16xlarge", 64, 1024),
        ("db.x2idn.24xlarge", 96, 1536),
        ("db.x2iedn.xlarge", 4, 128),
        ("db.x2iedn.32xlarge", 128, 4096),
    ],
)
def test_the_hardware_follows_from_the_name(name: str, vcpus: int, memory_gib: float) -> None:
    hardware = hardware_of(name)

    assert (hardware.vcpus, hardware.memory_gib) == (vcpus, memory_gib)


def the_classes_on_which_rds_runs_postgresql() -> set[str]:
    """As cfn-lint has them from AWS's price list."""
    extensions = files("cfnlint") / "data/schemas/extensions"
    classes = set()
    for name in (
        "aws_rds_dbinstance/dbinstanceclass_enum",
        "aws_rds_dbcluster/dbclusterinstanceclass_enum",
    ):
        for region in json.loads((extensions / f"{name}.json").read_text()).values():
            for rule in region["allOf"]:
                if "postgres" in json.dumps(rule["if"]):
                    (allowed,) = (
                        each
                        for key, each in rule["then"]["properties"].items()
                        if key.endswith("Class")
                    )
                    classes |= set(allowed["enum"])
    return classes


def test_the_classes_that_are_known_are_those_on_which_rds_runs_postgresql() -> None:
    assert set(KNOWN_CLASSES) == the_classes_on_which_rds_runs_postgresql() - {"db.serverless"}


UNKNOWN = "is not known here as a class on which RDS runs PostgreSQL"
WAY_OUT = "correct it, or write max_connections as a number, or the class's memory as memory_gib"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("r6g.large", '"r6g.large" is not a DB instance class; write one such as "db.r6g.large"'),
        ("", '"" is not a DB instance class; write one such as "db.r6g.large"'),
        (
            "db.serverless",
            '"db.serverless" has no memory of its own; give minimum_acu and maximum_acu',
        ),
        *(
            (name, f'"{name}" {UNKNOWN}; {WAY_OUT}')
            for name in [
                *("db.q7.large", "db.R6G.large", "db.r1.large", "db.t5g.small", "db.r9g.metal"),
                *("db.x1e.xlarge", "db.", "db..large"),
            ]
        ),
        *(
            (name, f'"{name}" {UNKNOWN}, and {family} comes as {sizes}; {WAY_OUT}')
            for family, sizes, names in [
                (
                    "db.r6g",
                    "large, xlarge, 2xlarge, 4xlarge, 8xlarge, 12xlarge, 16xlarge",
                    [
                        *(
                            "db.r6g",
                            "db.r6g.",
                            "db.r6g.larg",
                            "db.r6g.large ",
                            "db.r6g.٢xlarge",
                            "db.r6g.0xlarge",
                        ),
                        *(
                            "db.r6g.7xlarge",
                            "db.r6g.24xlarge",
                            "db.r6g.metal-0xl",
                            "db.r6g.large.tpc1.mem2x",
                        ),
                    ],
                ),
                ("db.m2", "xlarge, 2xlarge, 4xlarge", ["db.m2.large"]),
                ("db.t3", "micro, small, medium, large, xlarge, 2xlarge", ["db.t3.4xlarge"]),
            ]
            for name in names
        ),
    ],
)
def test_a_class_that_is_not_known_is_refused_with_a_way_out(name: str, message: str) -> None:
    assert refusal(lambda: estimate(name, place=PLACE)) == f"instance_class: {message}"


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
            "GREATEST({log(DBInstanceClassMemory/805306368)*45},{log(DBInstanceClassMemory/8187281408)*1000})",
            135,
        ),
        ("LEAST(GREATEST({DBInstanceClassMemory/9531392},100),SUM(400,600),5000)", 901),
        ("LEAST(7)", 7),
        ("-3", -3),
        (" 12 ", 12),
    ],
)
def test_an_expression_comes_to_what_rds_makes_of_it(expression: str, value: int) -> None:
    assert evaluate(expression, VARIABLES) == value


ONE_OF = "integer, log, DBInstanceClassMemory, DBInstanceVCPU"


@pytest.mark.parametrize(
    ("expression", "mistake"),
    [
        ("", "the end stands where an integer, a formula in braces or a function must"),
        ("LEAST({DBInstanceClassMemory/9531392},5000", 'the end stands where ")" must'),
        ("LEAST(1,,2)", '"," stands where an integer, a formula in braces or a function must'),
        ("LEAST()", '")" stands where an integer, a formula in braces or a function must'),
        ("LEAST", 'the end stands where "(" must'),
        ("LEEST(1)", '"LEEST" stands where an integer, a formula in braces or a function must'),
        (
            "IF({DBInstanceVCPU},1,2)",
            '"IF" stands where an integer, a formula in braces or a function must',
        ),
        ("{DBInstanceClassMemory/9531392", 'the end stands where "}" must'),
        ("{DBInstanceClassMemory/}", '"}" stands where an integer must'),
        ("{DBInstanceClassMemory/DBInstanceVCPU}", '"DBInstanceVCPU" stands where an integer must'),
        ("{DBInstanceClassMemory*-1}", f'"-" stands where one of these must: {ONE_OF}'),
        ("{DBInstanceClassMemory-5}", '"-" stands where "}" must'),
        ("{DBInstanceClassMemory/0}", "it divides by 0"),
        (
            "{DBInstanceMemory/9531392}",
            f'"DBInstanceMemory" stands where one of these must: {ONE_OF}',
        ),
        ("{dbinstancevcpu}", f'"dbinstancevcpu" stands where one of these must: {ONE_OF}'),
        ("{}", f'"}}" stands where one of these must: {ONE_OF}'),
        ("{", f"the end stands where one of these must: {ONE_OF}"),
        ("{log", 'the end stands where "(" must'),
        ("{log(DBInstanceVCPU/9)}", "it takes the logarithm of 0"),
        (
            "{AllocatedStorage/1000000000}",
            (
                "AllocatedStorage is not known before a database is asked; write max_connections "
                "as a number"
            ),
        ),
        (
            "LEAST(DBInstanceClassMemory/9531392,5000)",
            (
                'a formula stands in braces, such as "{DBInstanceVCPU*100}": DBInstanceClassMemory '
                "stands outside"
            ),
        ),
        (
            "log(8)",
            'a formula stands in braces, such as "{DBInstanceVCPU*100}": log stands outside',
        ),
        ("5000}", '"}" stands where the end must'),
        ("5 000", '"000" stands where the end must'),
        ("5.5", '"." stands where the end must'),
        ("²", '"²" stands where an integer, a formula in braces or a function must'),
        ("-", "the end stands where an integer must"),
    ],
)
def test_a_mistake_in_an_expression_is_named(expression: str, mistake: str) -> None:
    with pytest.raises(MistakeError) as refused:
        evaluate(expression, VARIABLES)

    assert str(refused.value).endswith(f'": {mistake}')


def test_mistakes_are_told_with_their_place() -> None:
    assert refusal(lambda: estimate("db.r6g.large", "LEAST({DBInstanceVCPU*", place=PLACE)) == (
        f'max_connections: "LEAST({{DBInstanceVCPU*": the end stands where one of these must: '
        f"{ONE_OF}"
    )


OUT_OF_RANGE = "but RDS takes 6 to 262143; write what the database answers to SHOW max_connections"


@pytest.mark.parametrize(
    ("expression", "mistake"),
    [
        (5, f"5, {OUT_OF_RANGE}"),
        (262_144, f"262144, {OUT_OF_RANGE}"),
        ("-100", f'"-100", {OUT_OF_RANGE}'),
        ("{DBInstanceVCPU}", f'"{{DBInstanceVCPU}}" comes to 2, {OUT_OF_RANGE}'),
        (
            "{DBInstanceVCPU*1000000}",
            f'"{{DBInstanceVCPU*1000000}}" comes to 2000000, {OUT_OF_RANGE}',
        ),
    ],
)
def test_what_rds_would_not_take_is_refused(expression: str | int, mistake: str) -> None:
    assert (
        refusal(lambda: estimate("db.r6g.large", expression, place=PLACE))
        == f"max_connections: {mistake}"
    )


@pytest.mark.parametrize("memory_gib", [0, -1, float("nan"), float("inf")])
def test_a_memory_that_is_no_size_is_refused(memory_gib: float) -> None:
    message = refusal(lambda: estimate("db.q7.large", place=PLACE, memory_gib=memory_gib))

    assert message == f"memory_gib: {memory_gib} is not a size in GiB; write, say, 16"


@pytest.mark.parametrize(
    ("minimum_acu", "maximum_acu", "message"),
    [
        (-0.5, 8, "minimum_acu: -0.5 is not a capacity here; write 0 to 256, in steps of 0.5"),
        (0.7, 8, "minimum_acu: 0.7 is not a capacity here; write 0 to 256, in steps of 0.5"),
        (
            float("nan"),
            8,
            "minimum_acu: nan is not a capacity here; write 0 to 256, in steps of 0.5",
        ),
        (0.5, 0.5, "maximum_acu: 0.5 is not a capacity here; write 1 to 256, in steps of 0.5"),
        (8, 4, "maximum_acu: 4 is not a capacity here; write 8 to 256, in steps of 0.5"),
        (1, 257, "maximum_acu: 257 is not a capacity here; write 1 to 256, in steps of 0.5"),
    ],
)
def test_a_capacity_range_that_aurora_would_not_take_is_refused(
    minimum_acu: float, maximum_acu: float, message: str
) -> None:
    assert refusal(lambda: estimate_serverless(minimum_acu, maximum_acu, place=PLACE)) == message


@given(st.text() | st.text(alphabet="LEASTUMlog(){}$,+-*/ 0123DBInstanceVCPU", max_size=80))
@example("SUM(" * 125)
@example("-" * 500)
@example("{" + "log(" * 124)
@example("9" * 500)
@example("9" * 5000)
@example("LEAST(" * 5000)
def test_whatever_is_written_comes_to_a_number_or_is_refused_in_one_line(text: str) -> None:
    try:
        assert isinstance(estimate("db.r6g.large", text, place=PLACE).max_connections, int)
    except ConfigurationError as refused:
        assert str(refused).startswith(f"{PLACE}: max_connections: ")  # noqa: PT017
        assert "\n" not in str(refused)  # noqa: PT017


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
def test_a_rightly_written_expression_comes_to_what_it_means(
    expression: tuple[str, Meaning], memory: int
) -> None:
    text, meaning = expression

    assert evaluate(text, {"DBInstanceClassMemory": memory}) == meaning(memory)


@given(EXPRESSIONS, st.integers(0, 2**43), st.integers(0, 2**43))
def test_less_memory_never_comes_to_more_connections(
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
