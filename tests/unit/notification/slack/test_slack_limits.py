"""Slack takes the message of any incident, and what does not fit is counted."""

import re
from dataclasses import replace

import pytest
from hypothesis import given

from connection_guard.core.deployment.reporter_settings import Owner
from connection_guard.core.incident.circumstances import RdsEvent
from connection_guard.core.incident.entry import (
    Alarm,
    DiagnosedCause,
    Reopened,
    SessionGroup,
)
from connection_guard.core.incident.incident import Incident
from connection_guard.core.notification.channel.news import thread_entries
from connection_guard.core.notification.links import Links
from connection_guard.core.notification.slack.slack_details import details_of
from connection_guard.core.notification.slack.slack_message import alert_of, message_of
from connection_guard.core.notification.slack.slack_thread import thread_of
from connection_guard.core.notification.timeline import timeline_of
from connection_guard.core.policy import Tier
from tests.support.reporter.any_incidents import any_incidents, any_links, any_owners, fullest
from tests.support.reporter.incidents import (
    LINKS,
    OPENED,
    a_context,
    a_group,
    an_alarm,
    an_entry,
    an_incident,
)
from tests.support.reporter.slack import (
    HOSTILE,
    LATER,
    assert_nothing_is_formatted,
    assert_slack_takes,
    formatted,
    shown,
)
from tests.support.reporter.views import a_view


def everything_shown(incident: Incident, links: Links = LINKS) -> str:
    return shown(details_of(a_view(incident, links, LATER)))


def test_of_5000_sessions_those_that_do_not_fit_are_counted() -> None:
    groups = tuple(a_group(1, application=f"&<>{i:060}") for i in range(5000))
    message = details_of(
        a_view(an_incident(an_entry(terminated=groups, spared=groups[:100])), LINKS, LATER)
    )
    text = shown(message)

    assert_slack_takes(message)
    terminated, spared = text.partition("*Terminated*: 5000 sessions")[2].split(
        "*Spared*: 100 sessions"
    )
    assert_adds_up(terminated, 5000)
    assert_adds_up(spared, 100)


def assert_adds_up(part: str, number: int) -> None:
    shown = part.count("• 1 of ")
    assert shown > 0
    rest = re.search(r"… and (\d+) more groups, (\d+) sessions", part)
    assert rest is not None
    assert shown + int(rest[1]) == shown + int(rest[2]) == number


def test_of_a_long_story_the_end_is_shown_and_the_rest_counted() -> None:
    incident = an_incident(
        an_entry(0, alarm=an_alarm()), *(an_entry(minute) for minute in range(1, 50))
    )
    timeline = everything_shown(incident).partition("*Timeline (UTC)*")[2].partition("\n<http")[0]

    lines = [line for line in timeline.splitlines() if line.startswith("• ")]
    earlier = re.search(r"^… after (\d+) earlier lines$", timeline, re.MULTILINE)
    assert earlier is not None
    assert int(earlier[1]) + len(lines) == len(timeline_of(incident))
    assert "03:49:00" in lines[-1]
    assert "03:00:00" not in timeline


def test_many_causes_events_and_pools_are_counted_too() -> None:
    causes = tuple(DiagnosedCause(f"cause {i}", "s" * 900, "a" * 900) for i in range(20))
    pools = tuple(Reopened("shop", f"pool {i}" * 8, 9, 8) for i in range(30))
    events = tuple(RdsEvent(OPENED, "orders-prod", "m" * 900) for _ in range(40))
    text = everything_shown(
        an_incident(an_entry(causes=causes, reopened=pools), circumstances=a_context(events=events))
    )

    assert f"… and {20 - text.count('*Change*')} more causes" in text
    assert f"… and {30 - text.count('` reopened 8 of 9')} more pools" in text
    assert f"… and {40 - text.count('RDS, orders-prod: mmm')} more changes" in text


@pytest.mark.parametrize(
    "name",
    [
        HOSTILE,
        "<!channel>",
        "<@U123>",
        "`" * 63,
        "\x01" * 63,
        "&" * 63,
        "\u202e" * 20,
        "",
        " ",
        "😀" * 15,
    ],
)
def test_no_name_formats_mentions_or_breaks_anything(name: str) -> None:
    group = SessionGroup(name, name, name, name, name, 3)
    entry = an_entry(
        headline=name or "-",
        escalation=name,
        terminated=(group,),
        would_terminate=(group,),
        spared=(group,),
        reopened=(Reopened(name, name, 3, 2),),
        causes=(DiagnosedCause("leak", name, name, 3, name, name, 2, name),),
        problems=(name,),
        alarm=Alarm(name, name, "ALARM", Tier.CRITICAL),
    )
    context = a_context(events=(RdsEvent(OPENED, name, name),), trend=name, problems=(name,))
    incident = replace(an_incident(entry, circumstances=context), database=name or "-")

    view = a_view(incident, LINKS, LATER, owner=Owner(name), environment=name)
    for message in (message_of(view), alert_of(view), details_of(view), thread_of(entry, LINKS)):
        assert_slack_takes(message)
        for part in formatted(message):
            assert_nothing_is_formatted(part)


@given(any_incidents, any_links, any_owners)
def test_slack_takes_everything_of_any_incident(
    incident: Incident, links: Links, owner: Owner | None
) -> None:
    view = a_view(
        incident, links, owner=owner, runbook=links.alarm, environment=owner and owner.name
    )

    for message in (message_of(view), details_of(view), alert_of(view)):
        assert_slack_takes(message)
    for entry in thread_entries(incident):
        assert_slack_takes(thread_of(entry, links))


@pytest.mark.parametrize("text", ["<" * 2000, "&" * 2000, HOSTILE * 40, "words " * 400])
def test_the_fullest_messages_are_within_the_limits(text: str) -> None:
    page = "https://x/" + "y" * 489
    links = Links(page, page, page, page)
    incident = fullest(text)
    view = a_view(incident, links, owner=Owner(text), runbook=page, environment=text)

    for message in (message_of(view), details_of(view), alert_of(view)):
        assert_slack_takes(message)
    assert_slack_takes(thread_of(incident.entries[0], links))
