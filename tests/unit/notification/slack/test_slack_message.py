"""The message in Slack: what it shows, and in which order."""

from dataclasses import replace
from datetime import timedelta

import pytest

from connection_guard.core.incident.entry import Entry
from connection_guard.core.incident.incident import Incident
from connection_guard.core.notification.links import Links
from connection_guard.core.notification.slack.slack_blocks import BLUE, GREEN, PURPLE, RED, YELLOW
from connection_guard.core.notification.slack.slack_message import message_of
from connection_guard.core.notification.slack.slack_thread import thread_of
from connection_guard.core.policy import NO_RULE, Tier
from tests.support.reporter.incidents import (
    LINKS,
    OPENED,
    a_context,
    a_group,
    a_recovery,
    an_alarm,
    an_entry,
    an_escalation,
    an_incident,
)
from tests.support.reporter.slack import LATER, shown
from tests.support.reporter.views import a_view


def everything_shown(incident: Incident, links: Links = LINKS) -> str:
    return shown(message_of(a_view(incident, links, LATER)))


def test_a_message_shows_how_the_incident_is_and_what_was_done_and_why() -> None:
    text = everything_shown(an_incident(an_entry(alarm=an_alarm()), circumstances=a_context()))

    for part in (
        "orders-prod: connections have nearly run out",
        "*Severity*\nCritical",
        "97 of 97 (100 %) → 67 of 97 (69 %)",
        "*Duration*\n12 min so far",
        "*Attempts*\n1",
        "a steady climb over 3 h: a leak",
        "▁",
        (
            "`leak`: 30 sessions of invoices idle for hours\n   *Change*: Give the pool of "
            "invoices an idle timeout"
        ),
        (
            "*Terminated*: 30 sessions\n• 30 of `shop` / `invoices`, idle in transaction, rule "
            "`stuck in transaction`"
        ),
        "idle in transaction for 12 min",
        "*Spared*: 1 session\n• 1 of `shop` / `pg_dump`",
        "its application is protected",
        "02:40 `orders-prod` Multi-AZ instance failover completed",
        "*Timeline (UTC)*\n• 03:00:00 ",
    ):
        assert part in text
    for page in (LINKS.alarm, LINKS.logs, LINKS.evidence, LINKS.dashboard):
        assert page is not None
        assert f"<{page.replace('&', '&amp;')}|" in text


def test_sessions_that_no_rule_matched_are_shown_without_a_rule() -> None:
    spared = a_group(2, rule=NO_RULE, reason="no rule matched", state="active")

    text = everything_shown(an_incident(an_entry(spared=(spared,))))

    assert "• 2 of `shop` / `invoices`, active: no rule matched" in text


def test_what_is_not_there_is_not_shown() -> None:
    entry = an_entry(
        terminated=(), spared=(), causes=(), evidence=None, before=None, after=None, tier=None
    )
    links = replace(LINKS, alarm=None, evidence=None)

    text = everything_shown(an_incident(entry), links)

    assert "not known → not known" in text
    for title in (
        "Terminated",
        "Spared",
        "Cause",
        "Came back",
        "RDS events",
        "last hours",
        "|Alarm>",
        "|Evidence>",
    ):
        assert title not in text


def test_what_was_only_observed_is_shown_as_such() -> None:
    observed = an_entry(
        kind="observation", alarm=an_alarm(Tier.WARNING), would_terminate=(a_group(7),)
    )

    text = everything_shown(an_incident(observed))

    assert "*Would have terminated*: 7 sessions" in text
    assert "*Terminated*" not in text


def test_what_could_not_be_read_is_said() -> None:
    context = a_context(usage=(), trend=None, events=(), problems=("RDS events: AccessDenied",))

    assert "*Could not be read*\n• RDS events: AccessDenied" in everything_shown(
        an_incident(circumstances=context)
    )


@pytest.mark.parametrize(
    ("entries", "color", "standing"),
    [
        (
            [an_entry(kind="observation", tier=Tier.WARNING, alarm=an_alarm(Tier.WARNING))],
            YELLOW,
            "are running out",
        ),
        ([an_entry(alarm=an_alarm())], RED, "have nearly run out"),
        ([an_entry(alarm=an_alarm()), an_escalation(1)], PURPLE, "action required"),
        (
            [an_entry(alarm=an_alarm(), is_below_target=True)],
            BLUE,
            "back below target; waiting for the alarm to clear",
        ),
        ([an_entry(alarm=an_alarm()), a_recovery(3)], GREEN, "resolved"),
    ],
)
def test_the_colour_and_the_first_words_say_how_grave_it_is(
    entries: list[Entry], color: str, standing: str
) -> None:
    message = message_of(a_view(an_incident(*entries), LINKS, LATER))

    assert message.color == color
    assert message.blocks[0]["type"] == "header"
    assert standing in message.blocks[0]["text"]["text"]


def test_required_action_comes_first() -> None:
    message = message_of(
        a_view(an_incident(an_entry(alarm=an_alarm()), an_escalation(1)), LINKS, LATER)
    )

    first = message.blocks[1]["text"]["text"]
    assert first.startswith("*Action required*\n• attempts have run out\n")
    assert "Change: Give the pool of invoices an idle timeout" in first
    assert shown(message).count("Give the pool of invoices an idle timeout") == 1


def test_a_recovery_says_how_long_it_took_not_how_long_ago_it_was() -> None:
    incident = an_incident(an_entry(alarm=an_alarm()), a_recovery(3))

    text = shown(message_of(a_view(incident, LINKS, OPENED + timedelta(days=2))))

    assert "*Duration*\n3 min" in text
    assert "so far" not in text
    assert "97 of 97 (100 %) → 50 of 97 (52 %)" in text


def test_the_notification_names_the_database_and_what_became_of_it() -> None:
    message = message_of(
        a_view(an_incident(an_entry(alarm=an_alarm()), an_escalation(1)), LINKS, LATER)
    )

    assert message.text == "🟣 [action required] orders-prod: attempts have run out"


def test_message_and_thread_say_that_the_outcome_of_a_killed_run_is_not_known() -> None:
    killed = an_escalation(1, kind="failure", terminated=(), has_unknown_outcomes=True)
    not_known = "*Terminated*: not known; see the log"
    more = "*Terminated*: 30 sessions\n"

    assert not_known in everything_shown(an_incident(killed))
    assert not_known in shown(thread_of(killed, LINKS))
    assert more in everything_shown(an_incident(an_entry(alarm=an_alarm()), killed))
    assert "… it is not known whether more were terminated: see the log" in everything_shown(
        an_incident(an_entry(0), killed)
    )


def test_an_incident_that_another_followed_is_not_shown_as_resolved() -> None:
    incident = an_incident(an_entry(alarm=an_alarm()), followed_at=LATER)

    assert "orders-prod: followed by another incident" in everything_shown(incident)
    assert message_of(a_view(incident, LINKS, LATER)).color == GREEN
