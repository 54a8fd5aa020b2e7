"""Slack takes the message of any incident, and what does not fit is counted."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connection_guard.core.incident.circumstances import Circumstances, RdsEvent
from connection_guard.core.incident.entry import (
    Alarm,
    DiagnosedCause,
    Entry,
    Reopened,
    SessionGroup,
    Usage,
)
from connection_guard.core.incident.incident import Incident
from connection_guard.core.notification.channel.news import thread_entries
from connection_guard.core.notification.links import Links
from connection_guard.core.notification.slack.slack_message import message_of
from connection_guard.core.notification.slack.slack_thread import thread_of
from connection_guard.core.notification.timeline import timeline_of
from connection_guard.core.policy import Tier
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
    return shown(message_of(a_view(incident, links, LATER)))


def test_of_5000_sessions_those_that_do_not_fit_are_counted() -> None:
    groups = tuple(a_group(1, application=f"&<>{i:060}") for i in range(5000))
    message = message_of(
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
    assert f"… and {40 - text.count('`orders-prod` mmm')} more events" in text


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
        causes=(DiagnosedCause(name, name, name),),
        problems=(name,),
        alarm=Alarm(name, name, "ALARM", Tier.CRITICAL),
    )
    context = a_context(events=(RdsEvent(OPENED, name, name),), trend=name, problems=(name,))
    incident = replace(an_incident(entry, circumstances=context), database=name or "-")

    for message in (message_of(a_view(incident, LINKS, LATER)), thread_of(entry, LINKS)):
        assert_slack_takes(message)
        for part in formatted(message):
            assert_nothing_is_formatted(part)
    header = message_of(a_view(incident, LINKS, LATER)).blocks[0]["text"]["text"]
    assert not re.search("[\x00-\x1f\u202e]", header)


names = st.text(max_size=63) | st.sampled_from([HOSTILE, "<!channel>", "😀" * 15, "&" * 63])


lines = st.text(max_size=40) | st.integers(1, 1000).map(lambda n: "<&>😀 " * (n // 5 + 1))


counts = st.integers(0, 100_000)


usages = st.none() | st.builds(Usage, counts, counts)


groups = st.lists(
    st.builds(SessionGroup, names, lines, names, names, st.none() | names, st.integers(1, 5000)),
    max_size=12,
).map(tuple)


entries = st.builds(
    Entry,
    request_id=st.uuids().map(str),
    at=st.integers(0, 100_000).map(lambda seconds: OPENED + timedelta(seconds=seconds)),
    kind=st.sampled_from(
        ["remediation", "observation", "locked_out", "preflight_failed", "failure"]
    ),
    headline=lines.filter(lambda line: line.strip() != ""),
    alarm=st.none()
    | st.builds(
        Alarm, names, names, st.sampled_from(["ALARM", "OK"]), st.none() | st.sampled_from(Tier)
    ),
    tier=st.none() | st.sampled_from(Tier),
    attempt=st.integers(0, 20),
    has_recovered=st.booleans(),
    is_below_target=st.none() | st.booleans(),
    escalation=st.none() | lines,
    before=usages,
    after=usages,
    terminated=groups,
    survived=counts,
    would_terminate=groups,
    spared=groups,
    reopened=st.lists(st.builds(Reopened, names, names, counts, counts), max_size=12).map(tuple),
    causes=st.lists(st.builds(DiagnosedCause, names, lines, lines), max_size=8).map(tuple),
    explanation=st.none() | lines,
    problems=st.lists(lines, max_size=6).map(tuple),
    evidence=st.none() | lines,
)


moments = st.integers(0, 100_000).map(lambda seconds: OPENED - timedelta(seconds=seconds))


contexts = st.builds(
    Circumstances,
    events=st.lists(st.builds(RdsEvent, moments, names, lines), max_size=12).map(tuple),
    usage=st.lists(st.tuples(moments, st.none() | st.floats(0, 200)), max_size=200).map(tuple),
    trend=st.none() | lines,
    problems=st.lists(lines, max_size=6).map(tuple),
)


pages = st.integers(0, 600).map(lambda n: "https://console.example/?a=" + "&|>" * n)


incidents = st.builds(
    Incident,
    database=names.filter(lambda name: name.strip() != ""),
    id=names,
    entries=st.lists(entries, min_size=1, max_size=6).map(
        lambda each: tuple(sorted(each, key=lambda entry: entry.at))
    ),
    circumstances=st.none() | contexts,
)


@given(incidents, st.builds(Links, st.none() | pages, pages, st.none() | pages, pages))
def test_slack_takes_the_message_of_any_incident(incident: Incident, links: Links) -> None:
    assert_slack_takes(message_of(a_view(incident, links, LATER)))
    for entry in thread_entries(incident):
        assert_slack_takes(thread_of(entry, links))


def test_the_fullest_message_is_within_the_limits() -> None:
    """Everything that can be shown, at its longest."""
    long = "<" * 2000
    group = SessionGroup(long, long, long, long, long, 5000)
    entry = an_entry(
        terminated=tuple(replace(group, rule=f"{i}{long}") for i in range(50)),
        would_terminate=(group,) * 50,
        spared=(group,) * 50,
        reopened=tuple(Reopened(f"{i}{long}", long, 9, 8) for i in range(50)),
        causes=tuple(DiagnosedCause(f"{i}{long}", long, long) for i in range(50)),
        escalation=long,
        problems=(long,) * 50,
        alarm=Alarm(long, long, "ALARM", Tier.CRITICAL),
    )
    more = [
        replace(entry, request_id=f"{i}", at=entry.at + timedelta(seconds=i)) for i in range(60)
    ]
    events = (RdsEvent(OPENED, long, long),) * 50
    page = "https://x/" + "y" * 489
    context = a_context(events=events, trend=long, problems=(long,) * 50)
    incident = replace(an_incident(*more, circumstances=context), database=long)

    assert_slack_takes(message_of(a_view(incident, Links(page, page, page, page), LATER)))
    assert_slack_takes(thread_of(entry, Links(page, page, page, page)))
