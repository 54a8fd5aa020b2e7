"""The estimate of max_connections: below every known truth and not far from it, on any class."""

import tomllib
from collections.abc import Callable
from math import ceil, floor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connection_guard.configuration.max_connections.classes import hardware_of
from connection_guard.configuration.max_connections.estimate import (
    DEFAULT_EXPRESSION,
    GIB,
    Estimate,
    estimate,
    estimate_serverless,
)
from connection_guard.errors import ConfigurationError
from tests.unit.configuration.cases import the_cases

PLACE = 'guard.toml: databases[0] "shop"'
MYSQL = "{DBInstanceClassMemory/12582880}"  # MySQL's default, over the same variable


def refusal(of: Callable[[], object]) -> str:
    """Return the line that reports the only mistake, without its place."""
    with pytest.raises(ConfigurationError) as refused:
        of()
    place, _, message = str(refused.value).partition('"shop": ')
    assert place
    assert "\n" not in message
    return message


def is_cautious(estimated: int, truth: int) -> bool:
    """Return whether the estimate is never above the truth, and within a quarter of it."""
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
def test_the_maximum_of_serverless_counts(maximum_acu: float, truth: int) -> None:
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


def test_the_cap_of_serverless_also_holds_for_a_number_and_is_explained() -> None:
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
def test_with_any_divisor_the_estimate_is_below_what_the_whole_memory_would_give(
    name: str, divisor: int
) -> None:
    whole = floor(hardware_of(name).memory_gib * GIB) // divisor
    try:
        estimated = estimate(
            name, f"{{DBInstanceClassMemory/{divisor}}}", place=PLACE
        ).max_connections
    except ConfigurationError as out_of_range:
        assert "outside the 6 to 262143 that RDS accepts" in str(out_of_range)  # noqa: PT017
    else:
        assert estimated < whole


# How it explains itself


def test_an_estimate_explains_that_it_is_one_and_how_it_was_reached() -> None:
    assert estimate("db.t4g.micro", place=PLACE).explanation == (
        "max_connections is estimated conservatively at 73: db.t4g.micro has 1 GiB, at least 0.65 "
        "GiB of it for PostgreSQL, for which LEAST({DBInstanceClassMemory/9531392},5000) evaluates "
        "to 73."
    )


@pytest.mark.parametrize("number", [400, "400", " 400 ", "LEAST(400,5000)"])
def test_a_number_is_taken_as_it_is_and_the_class_need_not_be_known(number: str | int) -> None:
    taken = estimate("db.next.generation", number, place=PLACE)

    assert taken.max_connections == 400
    assert taken.explanation == "max_connections is 400, as configured: no estimate."


def test_an_expression_of_only_vcpus_is_exact() -> None:
    taken = estimate("db.r6g.xlarge", "GREATEST(${DBInstanceVCPU*100},8)", place=PLACE)

    assert taken.max_connections == 400
    assert (
        taken.explanation
        == "max_connections is 400: GREATEST(${DBInstanceVCPU*100},8) on db.r6g.xlarge."
    )


def test_an_unknown_class_can_be_given_by_its_memory() -> None:
    unknown = estimate("db.next.generation", place=PLACE, memory_gib=16)

    assert unknown.max_connections == estimate("db.r6g.large", place=PLACE).max_connections
    assert "db.next.generation has 16 GiB" in unknown.explanation


@pytest.mark.parametrize("expression", [DEFAULT_EXPRESSION, 100])
def test_the_memory_of_a_known_class_cannot_be_changed(
    expression: str | int,
) -> None:
    message = refusal(lambda: estimate("db.t4g.micro", expression, place=PLACE, memory_gib=64))

    assert message == 'memory_gib: "db.t4g.micro" is known to have 1 GiB; leave it out'


# What is wrong


@pytest.mark.parametrize(("text", "lines"), the_cases(Path(__file__).with_name("cases")))
def test_a_mistake_is_reported_in_one_line_with_what_to_write(text: str, lines: list[str]) -> None:
    written = tomllib.loads(text)
    expression = written.get("max_connections", DEFAULT_EXPRESSION)
    assert [refusal(lambda: of(written, expression))] == lines


def of(written: dict[str, Any], expression: str | int) -> Estimate:
    """Return the estimate for these keys of a database."""
    if "maximum_acu" in written:
        capacity = written["minimum_acu"], written["maximum_acu"]
        return estimate_serverless(*capacity, expression, place=PLACE)
    return estimate(written["instance_class"], expression, place=PLACE)


@pytest.mark.parametrize("memory_gib", [0, -1, float("nan"), float("inf")])
def test_a_memory_that_is_not_a_size_is_refused(memory_gib: float) -> None:
    message = refusal(lambda: estimate("db.q7.large", place=PLACE, memory_gib=memory_gib))

    assert message == (
        f"memory_gib: {memory_gib} is not a memory size in GiB; write that of the class, such as 16"
    )


@given(st.text() | st.text(alphabet="LEASTUMlog(){}$,+-*/ 0123DBInstanceVCPU", max_size=80))
@example("SUM(" * 125)
@example("-" * 500)
@example("{" + "log(" * 124)
@example("9" * 500)
@example("9" * 5000)
@example("LEAST(" * 5000)
def test_any_text_evaluates_to_a_number_or_is_refused_in_one_line(text: str) -> None:
    try:
        assert isinstance(estimate("db.r6g.large", text, place=PLACE).max_connections, int)
    except ConfigurationError as refused:
        assert str(refused).startswith(f"{PLACE}: max_connections: ")  # noqa: PT017
        assert "\n" not in str(refused)  # noqa: PT017
