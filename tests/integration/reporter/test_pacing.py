"""A hundred databases fail at once, and Slack takes one message per second."""

import pytest

from connection_guard.core.deployment.reporter_settings import WatchedDatabase
from doubles.slack_double import SlackDouble
from tests.support.reporter.deliveries import a_report, a_success
from tests.support.reporter.outage import Outage, Shown
from tests.support.reporter.outside import Outside, stores_in_memory

DATABASES, RUNS = 100, 10
MOST_SECONDS_TO_WAIT = 150


@pytest.fixture(scope="module")
def slack_of_all() -> SlackDouble:
    return SlackDouble()


@pytest.fixture(scope="module")
def shown(slack_of_all: SlackDouble) -> Shown:
    with slack_of_all:
        return Outage(slack_of_all, DATABASES, RUNS).play()


def test_every_database_has_its_first_message_soon(shown: Shown) -> None:
    assert len(shown.waited) == DATABASES
    assert max(shown.waited.values()) <= MOST_SECONDS_TO_WAIT


def test_in_the_end_slack_shows_every_final_state_and_every_run(shown: Shown) -> None:
    assert shown.open == []
    assert shown.missing == []
    assert shown.unreadable == 0


def test_slack_hardly_ever_has_to_refuse(shown: Shown) -> None:
    assert shown.refused < 0.05


def test_the_channel_gets_a_few_messages_and_one_summary_that_is_kept_up_to_date(
    shown: Shown, slack_of_all: SlackDouble
) -> None:
    assert shown.calls
    *apart, summary = slack_of_all.channel_view
    assert len(apart) <= 9
    assert f"{DATABASES - len(apart)} databases recovered" in summary.text
    assert len(summary.edits) > 1


def test_what_fails_long_after_a_storm_is_a_message_of_its_own(slack: SlackDouble) -> None:
    names = [f"db-{n}" for n in range(11)]
    databases = [WatchedDatabase(name, is_cluster=False, function_name=name) for name in names]
    outside = Outside(slack, stores_in_memory(), *databases)

    def fails(name: str) -> None:
        report = a_report("observation", outside.now, alarm="ALARM", used=97, database=name)
        outside.deliver(a_success(report, f"run of {name}", name))

    for name in names[:10]:
        fails(name)
    outside.every_minute(20)
    before = len(slack.channel_view)
    fails(names[10])

    assert len(slack.channel_view) == before + 1
    assert names[10] in slack.channel_view[-1].text
