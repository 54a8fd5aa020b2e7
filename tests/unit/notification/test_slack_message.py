"""The message in Slack: what it tells, in which order, and that Slack takes it whatever the
database holds.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block

from connection_guard.core.incident.circumstances import Context, RdsEvent
from connection_guard.core.incident.incident import (
    Alarm,
    Cause,
    Entry,
    Incident,
    Reopened,
    SessionGroup,
    Usage,
)
from connection_guard.core.notification.links import Links
from connection_guard.core.notification.mrkdwn import code, fitting, length, link, prose
from connection_guard.core.notification.slack_message import (
    BLUE,
    GREEN,
    PURPLE,
    RED,
    YELLOW,
    Message,
    is_news,
    message_of,
    thread_entries,
    thread_of,
)
from connection_guard.core.policy import Tier
from doubles.slack_double import error_in
from tests.support.incidents import (
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

LATER = OPENED + timedelta(minutes=12)
HOSTILE = "<!channel> *b* _i_ ~s~ `c` @here :fire: a|b & &lt; \n\x1b[2J \u202edlrow"


def shown(message: Message) -> str:
    return "\n".join(part["text"] for block in message.blocks for part in texts(block))


def texts(block: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        *([block["text"]] if "text" in block else []),
        *block.get("fields", []),
        *block.get("elements", []),
    ]


def told(incident: Incident, links: Links = LINKS) -> str:
    return shown(message_of(incident, links, LATER))


def assert_slack_takes(message: Message) -> None:
    """By slack_sdk's own models, which would also leave out what they do not know, and by what
    Slack documents.
    """
    blocks = list(message.blocks)
    assert [block.to_dict() for block in Block.parse_all(blocks)] == blocks
    assert (
        error_in(
            {"text": message.text, "attachments": [{"color": message.color, "blocks": blocks}]}
        )
        is None
    )
    assert message.text.strip()


def assert_nothing_is_formatted(text: str) -> None:
    ours = re.sub(r"<https://[^<>|\s]+\|\w+>", "", text)
    assert not re.search("[<>]", ours), "neither a mention nor somebody else's link"
    assert not re.search("&(?!(amp|lt|gt);)", ours)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f]|[\x00-\x09\x0b-\x1f]", ours)
    for line in ours.splitlines():
        words = re.sub("`[^`]+`", "", line)
        assert "`" not in words
        assert not re.search(r"[~@]|\b_\s|\s_\b|:[a-z]+:", words)
        assert not re.search(r"\*", re.sub(r"(^|   |, |^)\*[A-Z][^*]*\*", "", words)), (
            "only our own titles are bold"
        )


# What it tells


def test_a_message_tells_where_the_incident_stands_and_what_was_done_to_whom_and_why() -> None:
    text = told(an_incident(an_entry(alarm=an_alarm()), context=a_context()))

    for part in (
        "orders-prod: connections have nearly run out",
        "*Severity*\nCritical",
        "97 of 97 (100 %) → 67 of 97 (69 %)",
        "*Duration*\n12 min so far",
        "*Attempts*\n1",
        "a steady climb over 3 h: a leak",
        "▁",
        (
            "`leak` 30 sessions of invoices idle for hours\n   *Change*: Give the pool of invoices "
            "an idle timeout"
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


def test_what_is_not_there_is_not_told_of() -> None:
    entry = an_entry(
        terminated=(), spared=(), causes=(), evidence=None, before=None, after=None, tier=None
    )
    links = replace(LINKS, alarm=None, evidence=None)

    text = told(an_incident(entry), links)

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


def test_what_was_only_observed_is_told_as_such() -> None:
    observed = an_entry(
        kind="observation", alarm=an_alarm(Tier.WARNING), would_terminate=(a_group(7),)
    )

    text = told(an_incident(observed))

    assert "Only observed: these would have been terminated*: 7 sessions" in text
    assert "*Terminated*" not in text


def test_what_could_not_be_read_is_said() -> None:
    context = a_context(usage=(), trend=None, events=(), problems=("RDS events: AccessDenied",))

    assert "*Could not be read*\n• RDS events: AccessDenied" in told(an_incident(context=context))


@pytest.mark.parametrize(
    ("entries", "color", "standing"),
    [
        (
            [an_entry(kind="observation", tier=Tier.WARNING, alarm=an_alarm(Tier.WARNING))],
            YELLOW,
            "are running out",
        ),
        ([an_entry(alarm=an_alarm())], RED, "have nearly run out"),
        ([an_entry(alarm=an_alarm()), an_escalation(1)], PURPLE, "people have to act"),
        ([an_entry(alarm=an_alarm(), is_below_target=True)], BLUE, "below its target again"),
        ([an_entry(alarm=an_alarm()), a_recovery(3)], GREEN, "recovered"),
    ],
)
def test_the_colour_and_the_first_words_say_how_grave_it_is(
    entries: list[Entry], color: str, standing: str
) -> None:
    message = message_of(an_incident(*entries), LINKS, LATER)

    assert message.color == color
    assert message.blocks[0]["type"] == "header"
    assert standing in message.blocks[0]["text"]["text"]


def test_where_people_have_to_act_that_stands_first() -> None:
    message = message_of(an_incident(an_entry(alarm=an_alarm()), an_escalation(1)), LINKS, LATER)

    first = message.blocks[1]["text"]["text"]
    assert first.startswith("*People have to act*\n• attempts have run out\n")
    assert "Change: Give the pool of invoices an idle timeout" in first
    assert shown(message).count("Give the pool of invoices an idle timeout") == 1


def test_a_recovery_says_how_long_it_took_not_how_long_ago_it_was() -> None:
    incident = an_incident(an_entry(alarm=an_alarm()), a_recovery(3))

    text = shown(message_of(incident, LINKS, OPENED + timedelta(days=2)))

    assert "*Duration*\n3 min" in text
    assert "so far" not in text
    assert "97 of 97 (100 %) → 50 of 97 (52 %)" in text


def test_the_notification_names_the_database_and_what_became_of_it() -> None:
    message = message_of(an_incident(an_entry(alarm=an_alarm()), an_escalation(1)), LINKS, LATER)

    assert message.text == "🟣 orders-prod: people are needed: attempts have run out"


# The thread


def test_a_reply_tells_one_attempt_in_short() -> None:
    entry = an_entry(
        survived=2, attempt=3, escalation="attempts have run out", problems=("one", "two", "three")
    )

    message = thread_of(entry, LINKS)
    text = f"{message.text}\n{shown(message)}"

    assert message.color == PURPLE
    for part in (
        "*Attempt 3, 03:00:00 UTC* orders-prod: 97 of 97",
        "terminated 30, now 67 of 97",
        "*Terminated*: 30 sessions",
        "2 survived termination",
        "*People are needed*: attempts have run out",
        "Problem: one\n… and 2 more problems",
        "`evidence/1.jsonl.gz`",
        "run `run-0`",
    ):
        assert part in text


def test_the_thread_has_every_attempt_and_of_what_only_repeats_the_first() -> None:
    locked_out = [
        an_entry(minute, "locked_out", escalation=f"no door opened, {minute} tries", before=None)
        for minute in (5, 6, 7)
    ]
    entries = [
        an_entry(0, alarm=an_alarm()),
        an_entry(1),
        an_entry(2),
        *locked_out,
        an_entry(8),
        a_recovery(9),
    ]

    replies = thread_entries(an_incident(*entries))

    assert [entry.request_id for entry in replies] == [
        "run-0",
        "run-1",
        "run-2",
        "run-5",
        "run-8",
        "run-9",
    ]


def test_a_higher_alarm_is_told_though_the_guard_only_observes_again() -> None:
    warning = an_entry(0, "observation", alarm=an_alarm(Tier.WARNING), tier=Tier.WARNING)
    critical = an_entry(1, "observation", alarm=an_alarm(Tier.CRITICAL))

    assert thread_entries(an_incident(warning, critical)) == (warning, critical)


def test_it_is_news_where_the_incident_stands_elsewhere_than_when_it_was_told() -> None:
    start, attempt, recovery = an_entry(0, alarm=an_alarm()), an_entry(1), a_recovery(3)

    assert is_news(an_incident(start))
    assert not is_news(an_incident(start, attempt, told=("run-0",)))
    assert is_news(an_incident(start, attempt, recovery, told=("run-0", "run-1")))
    assert not is_news(an_incident(start, attempt, recovery, told=("run-0", "run-1", "run-3")))


def test_it_is_news_where_warning_became_critical() -> None:
    warning = an_entry(0, "observation", alarm=an_alarm(Tier.WARNING), tier=Tier.WARNING)

    assert is_news(an_incident(warning, an_entry(1, alarm=an_alarm()), told=("run-0",)))


def test_it_is_news_where_an_alarm_fires_anew() -> None:
    start, called = an_entry(0, alarm=an_alarm()), an_escalation(1)
    ok, again = (an_entry(n, alarm=an_alarm(state=state)) for n, state in ((2, "OK"), (3, "ALARM")))
    warning = an_entry(0.5, alarm=an_alarm(Tier.WARNING))

    assert is_news(
        an_incident(start, warning, called, ok, again, told=("run-0", "run-0.5", "run-1"))
    )


def test_what_nobody_knows_of_a_run_that_was_killed_is_said_in_the_message_and_the_thread() -> None:
    killed = an_escalation(1, kind="failure", terminated=(), has_unknown_outcomes=True)
    not_known = "*Terminated*: not known, see the log"
    more = "*Terminated*: 30 sessions\n"

    assert not_known in told(an_incident(killed))
    assert not_known in shown(thread_of(killed, LINKS))
    assert more in told(an_incident(an_entry(alarm=an_alarm()), killed))
    assert "… whether more were terminated is not known, see the log" in told(
        an_incident(an_entry(0), killed)
    )


def test_what_another_incident_followed_is_over_and_not_said_to_have_recovered() -> None:
    incident = an_incident(an_entry(alarm=an_alarm()), followed_at=LATER)

    assert "orders-prod: followed by another incident" in told(incident)
    assert message_of(incident, LINKS, LATER).color == GREEN


# Whatever the database holds


def test_of_5000_sessions_those_that_do_not_fit_are_counted() -> None:
    groups = tuple(a_group(1, application=f"&<>{i:060}") for i in range(5000))
    message = message_of(
        an_incident(an_entry(terminated=groups, spared=groups[:100])), LINKS, LATER
    )
    text = shown(message)

    assert_slack_takes(message)
    terminated, spared = text.partition("*Terminated*: 5000 sessions")[2].split(
        "*Spared*: 100 sessions"
    )
    assert_adds_up(terminated, 5000)
    assert_adds_up(spared, 100)


def assert_adds_up(part: str, number: int) -> None:
    told_of = part.count("• 1 of ")
    assert told_of > 0
    rest = re.search(r"… and (\d+) more groups, (\d+) sessions", part)
    assert rest is not None
    assert told_of + int(rest[1]) == told_of + int(rest[2]) == number


def test_of_a_long_story_the_end_is_told_and_the_rest_counted() -> None:
    incident = an_incident(
        an_entry(0, alarm=an_alarm()), *(an_entry(minute) for minute in range(1, 50))
    )
    timeline = told(incident).partition("*Timeline (UTC)*")[2].partition("\n<http")[0]

    lines = [line for line in timeline.splitlines() if line.startswith("• ")]
    earlier = re.search(r"^… after (\d+) earlier lines$", timeline, re.MULTILINE)
    assert earlier is not None
    assert int(earlier[1]) + len(lines) == len(incident.timeline)
    assert "03:49:00" in lines[-1]
    assert "03:00:00" not in timeline


def test_many_causes_events_and_pools_are_counted_too() -> None:
    causes = tuple(Cause(f"cause {i}", "s" * 900, "a" * 900) for i in range(20))
    pools = tuple(Reopened("shop", f"pool {i}" * 8, 9, 8) for i in range(30))
    events = tuple(RdsEvent(OPENED, "orders-prod", "m" * 900) for _ in range(40))
    text = told(
        an_incident(an_entry(causes=causes, reopened=pools), context=a_context(events=events))
    )

    assert f"… and {20 - text.count('*Change*')} more causes" in text
    assert f"… and {30 - text.count('reopened after')} more pools" in text
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
        causes=(Cause(name, name, name),),
        problems=(name,),
        alarm=Alarm(name, name, "ALARM", Tier.CRITICAL),
    )
    context = a_context(events=(RdsEvent(OPENED, name, name),), trend=name, problems=(name,))
    incident = replace(an_incident(entry, context=context), database=name or "-")

    for message in (message_of(incident, LINKS, LATER), thread_of(entry, LINKS)):
        assert_slack_takes(message)
        for part in formatted(message):
            assert_nothing_is_formatted(part)
    header = message_of(incident, LINKS, LATER).blocks[0]["text"]["text"]
    assert not re.search("[\x00-\x1f\u202e]", header)


def formatted(message: Message) -> Iterable[str]:
    yield message.text
    for block in message.blocks:
        yield from (text["text"] for text in texts(block) if text["type"] == "mrkdwn")


def test_the_count_of_what_does_not_fit_fits() -> None:
    shown = fitting(["x" * 9] * 5000, 200)

    assert 0 < len("\n".join([*shown, "… and 4986 more groups, 4986 sessions"])) <= 200


@given(st.text())
def test_prose_has_nothing_that_formats(text: str) -> None:
    assert_nothing_is_formatted(prose(text, 300))


@given(st.text(), st.integers(10, 50))
def test_nothing_is_longer_than_it_may_be_and_no_escape_is_cut(text: str, most: int) -> None:
    for shortened in (prose(text, most), code(text, most)):
        assert length(shortened) <= most
        assert not re.search("&(?!(amp|lt|gt);)", shortened)


def test_names_that_people_copy_stay_as_they_are() -> None:
    advice = "Set idle_in_transaction_session_timeout at 15:27:37"

    assert prose(advice, 100) == advice
    assert code("pg_dump_*") == "`pg_dump_*`"


def test_underscores_beside_each_other_do_not_format_either() -> None:
    assert "_" not in prose("__init__ _x_", 100)


def test_an_address_cannot_end_its_own_link() -> None:
    assert link("https://x/?a=1&b=2|3>4", "Logs") == "<https://x/?a=1&amp;b=2%7C3%3E4|Logs>"
    assert link("https://x/" + "y" * 3000, "Logs") == "Logs (its address is too long)"


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
    causes=st.lists(st.builds(Cause, names, lines, lines), max_size=8).map(tuple),
    explanation=st.none() | lines,
    problems=st.lists(lines, max_size=6).map(tuple),
    evidence=st.none() | lines,
)
moments = st.integers(0, 100_000).map(lambda seconds: OPENED - timedelta(seconds=seconds))
contexts = st.builds(
    Context,
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
    context=st.none() | contexts,
)


@given(incidents, st.builds(Links, st.none() | pages, pages, st.none() | pages, pages))
def test_slack_takes_the_message_of_any_incident(incident: Incident, links: Links) -> None:
    assert_slack_takes(message_of(incident, links, LATER))
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
        causes=tuple(Cause(f"{i}{long}", long, long) for i in range(50)),
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
    incident = replace(an_incident(*more, context=context), database=long)

    assert_slack_takes(message_of(incident, Links(page, page, page, page), LATER))
    assert_slack_takes(thread_of(entry, Links(page, page, page, page)))
