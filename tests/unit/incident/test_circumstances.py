"""What AWS knows of a database from outside: how its connections came to be so many, and what RDS
did to it.
"""

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from connection_guard.adapters.aws.gather_circumstances import look
from connection_guard.core.deployment.reporter_settings import WatchedDatabase
from connection_guard.core.incident.circumstances import RdsEvent, sparkline, trend_of
from tests.support.emulated_account import REGION, emulated_account

NOW = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
NEWEST = NOW.replace(second=0)
MINUTE = timedelta(minutes=1)
ORDERS = WatchedDatabase("orders", False, "guard-orders")
PAYMENTS = WatchedDatabase("payments", True, "guard-payments")

Usage = list[float | None]
percents = st.floats(min_value=0, max_value=120)


def flat(percent: float, minutes: int) -> Usage:
    return [percent] * minutes


def climb(lowest: float, highest: float, minutes: int) -> Usage:
    """From the one to the other, both of them in it."""
    return [lowest + (highest - lowest) * minute / minutes for minute in range(minutes + 1)]


def noisy(usage: Usage, by: float, seed: int) -> Usage:
    chance = random.Random(seed)  # noqa: S311 - no secret
    return [None if percent is None else percent + chance.uniform(-by, by) for percent in usage]


def with_gaps(usage: Usage, share: float, seed: int) -> Usage:
    """The first and the last stay."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    return [
        usage[0],
        *(None if chance.random() < share else percent for percent in usage[1:-1]),
        usage[-1],
    ]


def trend(usage: Sequence[float | None]) -> str | None:
    """As it was by the minute until now."""
    return trend_of(
        [
            (NEWEST - (len(usage) - 1 - place) * MINUTE, percent)
            for place, percent in enumerate(usage)
        ]
    )


# The sparkline


def test_bars_always_go_from_an_empty_database_to_a_full_one() -> None:
    assert sparkline([0, 20, 40, 60, 75, 90, 99.9, 100]) == "▁▂▃▅▆▇▇█"
    assert sparkline([75, 75, 75]) == "▆▆▆"


def test_what_nobody_measured_is_a_gap_and_no_empty_database() -> None:
    assert sparkline([50, None, 0]) == "▄ ▁"
    assert sparkline([]) == ""


def test_a_peak_of_one_minute_stays_among_hours() -> None:
    assert sparkline([*flat(30, 100), 100, *flat(30, 79)]).count("█") == 1


@given(st.lists(percents | st.none(), max_size=400))
def test_a_sparkline_fits_and_shows_the_first_the_last_and_the_highest(usage: Usage) -> None:
    bars = sparkline(usage)
    assert len(bars) == min(len(usage), 60)
    assert set(bars) <= set(" ▁▂▃▄▅▆▇█")
    known = [percent for percent in usage if percent is not None]
    assert (bars.strip() == "") is not bool(known)
    if known:
        assert sparkline([max(known)]) == max(bars)


# The trend


def test_a_climb_over_hours_is_a_leak() -> None:
    assert (
        trend(climb(31, 97, 160))
        == "climbed from 31 % to 97 % over 2 h 40 min: sessions are leaking"
    )


def test_a_jump_within_two_minutes_is_a_storm() -> None:
    assert (
        trend([*flat(40, 120), 70, 97])
        == "jumped from 40 % to 97 % within 2 min: a connection storm"
    )
    assert trend([40, 97]) == "jumped from 40 % to 97 % within 1 min: a connection storm"


def test_a_jump_on_top_of_a_slow_climb_is_what_filled_the_database() -> None:
    assert (
        trend([*climb(30, 45, 150), 96, 97])
        == "jumped from 45 % to 96 % within 1 min: a connection storm"
    )


def test_usage_that_is_always_high_is_reported_without_a_cause() -> None:
    assert trend(noisy(flat(95, 180), by=3, seed=1)) == "at 90 % or more for 3 h"
    assert trend([*flat(85, 120), *flat(92, 45)]) == "at 90 % or more for 45 min"


def test_a_rise_that_is_neither_is_reported_without_a_cause() -> None:
    assert trend([*flat(40, 60), *climb(40, 97, 25)]) == "rose from 40 % to 97 % over 25 min"
    assert (
        trend([*flat(40, 60), *[None] * 30, *flat(97, 5)]) == "rose from 40 % to 97 % over 31 min"
    )
    assert trend([*flat(30, 40), *flat(60, 40), *flat(97, 40)]) == (
        "jumped from 60 % to 97 % within 1 min: a connection storm"
    )


def test_a_climb_with_most_of_it_behind_a_gap_is_not_a_leak() -> None:
    assert (
        trend([*climb(30, 42, 60), *[None] * 20, *climb(85, 97, 60)])
        == "rose from 30 % to 97 % over 2 h 21 min"
    )


def test_a_climb_with_a_quarter_that_nobody_saw_is_not_a_leak() -> None:
    usage = climb(30, 97, 160)
    assert (
        trend([*usage[:40], *[None] * 45, *usage[85:]]) == "rose from 30 % to 97 % over 2 h 40 min"
    )


def test_a_climb_with_a_fall_in_it_is_not_a_leak() -> None:
    usage = [*climb(30, 60, 40), *climb(60, 42, 40), *climb(42, 97, 60)]
    assert trend(usage) == "rose from 30 % to 97 % over 2 h 22 min"


@pytest.mark.parametrize("seed", range(10))
def test_a_quiet_hour_of_noise_before_is_not_part_of_the_climb(seed: int) -> None:
    sentence = trend(noisy([*flat(31, 60), *climb(31, 97, 100)], by=2, seed=seed))
    minutes = re.fullmatch(
        r"climbed from \d+ % to \d+ % over 1 h (\d+) min: sessions are leaking", sentence or ""
    )
    assert minutes, sentence
    assert 30 <= int(minutes[1]) <= 55


def test_a_quiet_hour_before_is_not_part_of_the_climb() -> None:
    assert (
        trend([*flat(31, 60), *climb(31, 97, 100)])
        == "climbed from 31 % to 97 % over 1 h 40 min: sessions are leaking"
    )


def test_slots_that_were_just_freed_do_not_hide_how_they_were_taken() -> None:
    assert (
        trend([*climb(31, 97, 120), *flat(40, 10)])
        == "climbed from 31 % to 97 % over 2 h: sessions are leaking"
    )


def test_an_earlier_storm_is_another_story() -> None:
    storm = [*flat(10, 10), *flat(98, 5)]
    assert (
        trend([*storm, *climb(30, 90, 120)])
        == "climbed from 30 % to 90 % over 2 h: sessions are leaking"
    )
    assert trend([*storm, *flat(40, 60)]) is None


@pytest.mark.parametrize(
    "usage",
    [
        [],
        [97],
        [None] * 180,
        noisy(flat(60, 180), by=8, seed=2),
        [*flat(10, 60), *flat(45, 5)],
        [*flat(97, 20)],
        [*flat(80, 60), *flat(95, 20)],
    ],
)
def test_what_is_not_worth_a_sentence_gets_none(usage: Usage) -> None:
    assert trend(usage) is None


@given(
    lowest=st.integers(10, 40),
    minutes=st.integers(80, 170),
    noise=st.floats(0, 3),
    share=st.floats(0, 0.5),
    seed=st.integers(0),
)
def test_a_leak_is_one_through_noise_and_gaps(
    lowest: int, minutes: int, noise: float, share: float, seed: int
) -> None:
    sentence = trend(with_gaps(noisy(climb(lowest, 97, minutes), noise, seed), share, seed))
    assert sentence is not None
    assert sentence.startswith("climbed from ")
    assert sentence.endswith(": sessions are leaking")


@given(
    before=st.integers(0, 170),
    lowest=st.integers(0, 60),
    noise=st.floats(0, 4),
    after=st.integers(1, 25),
    seed=st.integers(0),
)
def test_a_storm_is_one_through_noise(
    before: int, lowest: int, noise: float, after: int, seed: int
) -> None:
    sentence = trend(noisy([lowest, *flat(lowest, before), *flat(97, after)], noise, seed))
    assert sentence is not None
    assert sentence.startswith("jumped from ")
    assert sentence.endswith(" min: a connection storm")


@given(st.lists(percents | st.none(), max_size=120))
def test_a_sentence_contains_only_the_figures_that_were_measured(usage: Usage) -> None:
    sentence = trend(usage)
    if sentence is not None and "from" in sentence:
        words = sentence.split()
        first, last = (words[words.index(word) + 1] for word in ("from", "to"))
        assert {first, last} <= {f"{percent:.0f}" for percent in usage if percent is not None}
        assert int(last) > int(first)


# What it is read from


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """An account's clients, by service."""
    with emulated_account(monkeypatch):
        clients = {
            service: boto3.client(service, region_name=REGION) for service in ("rds", "cloudwatch")
        }
        yield clients.__getitem__


def publish(
    cloudwatch: Any,
    namespace: str,
    name: str,
    dimensions: Mapping[str, str],
    values: Mapping[int, float],
) -> None:
    """`values` by how many minutes ago they were."""
    cloudwatch.put_metric_data(
        Namespace=namespace,
        MetricData=[
            {
                "MetricName": name,
                "Dimensions": [
                    {"Name": each, "Value": value} for each, value in dimensions.items()
                ],
                "Timestamp": NEWEST - minutes * MINUTE,
                "Value": value,
            }
            for minutes, value in values.items()
        ],
    )


def publish_connections(
    cloudwatch: Any, dimensions: Mapping[str, str], values: Mapping[int, float]
) -> None:
    publish(cloudwatch, "AWS/RDS", "DatabaseConnections", dimensions, values)


def publish_usable(cloudwatch: Any, database: str, values: Mapping[int, float]) -> None:
    publish(cloudwatch, "ConnectionGuard", "Usable", {"Database": database}, values)


OF_ORDERS = {"DBInstanceIdentifier": "orders"}


def test_usage_is_by_the_minute_of_what_was_usable_when_the_guard_last_got_in(
    aws: Callable[[str], Any],
) -> None:
    publish_connections(aws("cloudwatch"), OF_ORDERS, {100: 10, 3: 35, 2: 70, 0: 190})
    publish_connections(aws("cloudwatch"), {"DBInstanceIdentifier": "ledger"}, {1: 1000})
    publish_usable(aws("cloudwatch"), "orders", {60: 70, 1: 200})
    publish_usable(aws("cloudwatch"), "ledger", {50: 1000})

    context = look(ORDERS, NOW, aws)

    assert [at for at, _ in context.usage] == [
        NEWEST - minutes * MINUTE for minutes in reversed(range(181))
    ]
    known = {at: percent for at, percent in context.usage if percent is not None}
    assert known == {NEWEST - 3 * MINUTE: 50.0, NEWEST - 2 * MINUTE: 100.0, NEWEST: 95.0}
    assert context.problems == ()


def test_a_clusters_usage_is_that_of_its_writer(aws: Callable[[str], Any]) -> None:
    cluster = {"DBClusterIdentifier": "payments"}
    publish_connections(aws("cloudwatch"), cluster, {1: 300, 0: 300})
    publish_connections(aws("cloudwatch"), {**cluster, "Role": "READER"}, {1: 200, 0: 200})
    publish_connections(aws("cloudwatch"), {**cluster, "Role": "WRITER"}, {1: 40, 0: 97})
    publish_usable(aws("cloudwatch"), "payments", {2: 100})

    context = look(PAYMENTS, NOW, aws)

    assert [percent for _, percent in context.usage[-2:]] == [40.0, 97.0]
    assert context.trend == "jumped from 40 % to 97 % within 1 min: a connection storm"


def test_a_metric_without_a_figure_is_reported(aws: Callable[[str], Any]) -> None:
    publish_connections(aws("cloudwatch"), OF_ORDERS, {1: 40})

    context = look(ORDERS, NOW, aws)

    assert {percent for _, percent in context.usage} == {None}
    assert context.problems == ("CloudWatch has no Usable for orders in the last 3 h",)


def rds_with(request: dict[str, Any], *events: dict[str, Any]) -> Any:
    """RDS that expects this request, and answers it with these events."""
    rds = boto3.client("rds", region_name=REGION)
    stub = Stubber(rds)
    stub.add_response("describe_events", {"Events": list(events)}, request)
    stub.activate()
    return rds


def an_event(minutes_ago: int, message: str) -> dict[str, Any]:
    return {
        "SourceIdentifier": "orders",
        "SourceType": "db-instance",
        "Message": message,
        "EventCategories": ["availability"],
        "Date": NOW - minutes_ago * MINUTE,
    }


def test_the_last_hours_events_of_the_database_are_returned_newest_last(
    aws: Callable[[str], Any],
) -> None:
    asked = {"SourceIdentifier": "orders", "SourceType": "db-instance", "Duration": 60}
    rds = rds_with(asked, an_event(5, "DB instance restarted"), an_event(7, "DB instance shutdown"))

    context = look(ORDERS, NOW, {"rds": rds, "cloudwatch": aws("cloudwatch")}.__getitem__)

    assert context.events == (
        RdsEvent(NOW - 7 * MINUTE, "orders", "DB instance shutdown"),
        RdsEvent(NOW - 5 * MINUTE, "orders", "DB instance restarted"),
    )


def test_of_many_events_the_newest_are_returned(aws: Callable[[str], Any]) -> None:
    asked = {"SourceIdentifier": "payments", "SourceType": "db-cluster", "Duration": 60}
    rds = rds_with(asked, *(an_event(minutes, f"{minutes} min ago") for minutes in range(40)))

    context = look(PAYMENTS, NOW, {"rds": rds, "cloudwatch": aws("cloudwatch")}.__getitem__)

    assert [event.message for event in context.events] == [
        f"{minutes} min ago" for minutes in reversed(range(10))
    ]


# What cannot be read


def refused(service: str, operation: str) -> Any:
    client = boto3.client(service, region_name=REGION)  # type: ignore[call-overload]
    stub = Stubber(client)
    stub.add_client_error(
        operation, "AccessDenied", f"not authorized to perform:\n {service}:{operation}"
    )
    stub.activate()
    return client


def test_a_failure_to_read_one_does_not_stop_the_other(aws: Callable[[str], Any]) -> None:
    asked = {"SourceIdentifier": "orders", "SourceType": "db-instance", "Duration": 60}
    publish_connections(aws("cloudwatch"), OF_ORDERS, {1: 40})
    publish_usable(aws("cloudwatch"), "orders", {1: 100})
    rds = rds_with(asked, an_event(5, "DB instance restarted"))

    without_events = look(
        ORDERS,
        NOW,
        {"rds": refused("rds", "describe_events"), "cloudwatch": aws("cloudwatch")}.__getitem__,
    )
    without_usage = look(
        ORDERS,
        NOW,
        {"rds": rds, "cloudwatch": refused("cloudwatch", "get_metric_data")}.__getitem__,
    )

    assert without_events.events == ()
    assert without_events.usage[-2][1] == 40.0
    [problem] = without_events.problems
    assert problem.startswith("the RDS events of orders could not be read: ")
    assert problem.endswith("not authorized to perform: rds:describe_events")
    assert [event.message for event in without_usage.events] == ["DB instance restarted"]
    assert (without_usage.usage, without_usage.trend) == ((), None)
    [problem] = without_usage.problems
    assert problem.startswith("CloudWatch's metrics of orders could not be read: ")


def test_an_aws_that_does_not_answer_is_two_lines_and_no_error() -> None:
    def unreachable(service: str) -> Any:
        return boto3.client(  # type: ignore[call-overload]
            service,
            region_name=REGION,
            endpoint_url="http://127.0.0.1:1",
            aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
            aws_secret_access_key="wJalrXUtnFEMI",
            config=Config(retries={"total_max_attempts": 1}),
        )

    context = look(ORDERS, NOW, unreachable)

    assert (context.events, context.usage, context.trend) == ((), (), None)
    assert len(context.problems) == 2
    assert not any("wJalrXUtnFEMI" in problem or "\n" in problem for problem in context.problems)
