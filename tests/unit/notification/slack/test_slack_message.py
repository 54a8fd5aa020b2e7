"""The message in Slack: a phone's screen, which says first what matters most."""

import re
from dataclasses import replace
from textwrap import wrap
from typing import Any

import pytest
from hypothesis import given

from connection_guard.core.deployment.reporter_settings import Owner
from connection_guard.core.incident.entry import Entry
from connection_guard.core.incident.incident import Incident
from connection_guard.core.notification.slack.slack_blocks import Message
from connection_guard.core.notification.slack.slack_message import message_of
from connection_guard.core.policy import Tier
from tests.support.reporter.any_incidents import any_incidents, any_owners, fullest
from tests.support.reporter.incidents import (
    LINKS,
    OPENED,
    a_context,
    a_recovery,
    an_alarm,
    an_entry,
    an_escalation,
    an_incident,
    given_up,
)
from tests.support.reporter.slack import HOSTILE, shown
from tests.support.reporter.views import a_view

COLUMNS = 60
USUAL_LINES, MOST_LINES = 13, 22
RUNBOOK = "https://wiki.example/runbook"


def lines_on_a_phone(message: Message) -> int:
    """Return how many lines of a phone it takes: of a mention the name is shown, and buttons are in
    a row.
    """
    text = "\n".join(
        "buttons" if block["type"] == "actions" else shown(Message("", (block,)))
        for block in message.blocks
    )
    read = re.sub(r"<[!@][^>]+>", "@mentioned-group", text)
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        read = read.replace(entity, character)
    return sum(len(wrap(line, COLUMNS)) for line in read.splitlines())


def test_a_message_says_what_to_do_why_and_what_the_guard_does_and_links_to_more() -> None:
    incident = an_incident(*given_up(attempts=10), circumstances=a_context())

    message = message_of(a_view(incident, runbook=RUNBOOK, environment="production"))

    first, do_now, why, guard, usage, buttons = message.blocks
    assert first["text"]["text"] == message.text
    assert message.text == (
        "🔴 orders-prod is out of connections: 97 of 97 in use. Connection Guard freed 30, 24 came "
        "back at once. Action needed."
    )
    assert do_now["text"]["text"] == (
        "*Do now*  Restart or scale down checkout (87 of 97 connections, all from 10.0.1.10): it "
        "reopens what is ended."
    )
    assert why["text"]["text"].startswith("*Why*  30 sessions of application ")
    assert guard["text"]["text"].startswith("*Guard*  Attempt 10 of 10, stopped because ")
    assert usage["type"] == "context"
    assert usage["elements"][0]["text"].endswith(" · for 12 min · production / eu-central-1")
    assert [(each["text"]["text"], each["url"]) for each in buttons["elements"]] == [
        ("Runbook", RUNBOOK),
        ("Dashboard", LINKS.dashboard),
        ("Alarm", LINKS.alarm),
    ]
    assert lines_on_a_phone(message) <= USUAL_LINES


def test_there_are_buttons_only_for_the_pages_that_there_are() -> None:
    def buttons(**links: Any) -> list[str]:
        message = message_of(a_view(an_incident(), replace(LINKS, **links)))
        rows = [block["elements"] for block in message.blocks if block["type"] == "actions"]
        return [each["text"]["text"] for row in rows for each in row]

    assert buttons(alarm=None) == ["Dashboard"]
    assert buttons(alarm="https://x/" + "y" * 2_990) == ["Dashboard", "Alarm"]
    assert buttons(alarm="https://x/" + "y" * 2_991) == ["Dashboard"]
    assert buttons(alarm=None, dashboard="") == []


@pytest.mark.parametrize(
    ("entries", "mark"),
    [
        ([an_entry(kind="observation", tier=Tier.WARNING, alarm=an_alarm(Tier.WARNING))], "🟡"),
        ([an_entry(alarm=an_alarm())], "🟠"),
        ([an_entry(alarm=an_alarm()), an_escalation(1)], "🔴"),
        ([an_entry(alarm=an_alarm(), is_below_target=True)], "🔵"),
        ([an_entry(alarm=an_alarm()), a_recovery(3)], "🟢"),
    ],
)
def test_the_mark_says_how_grave_it_is(entries: list[Entry], mark: str) -> None:
    assert message_of(a_view(an_incident(*entries))).text.startswith(f"{mark} orders-prod ")


def test_a_resolved_incident_is_a_line_and_what_to_change() -> None:
    incident = an_incident(*given_up(attempts=10), a_recovery(30), circumstances=a_context())

    first, change, buttons = message_of(a_view(incident)).blocks

    assert first["text"]["text"] == (
        "🟢 orders-prod recovered after 30 min, with 50 of 97 connections in use. Connection Guard "
        "freed 30, 24 came back at once. No action needed."
    )
    assert change["text"]["text"].startswith("*Change*  Terminate no more sessions of application ")
    assert buttons["type"] == "actions"


@pytest.mark.parametrize(
    ("owner", "shown_as"),
    [
        (Owner("team-checkout", "S0123ABCD"), "<!subteam^S0123ABCD>"),
        (Owner("Ada", "U0123ABCD"), "<@U0123ABCD>"),
        (Owner("Ada", "W0123ABCD"), "<@W0123ABCD>"),
        (Owner("team-checkout"), "team-checkout"),
        (Owner("<!channel>"), "&lt;!channel&gt;"),
        (Owner("a <S1|x>"), "a &lt;S1|x&gt;"),
    ],
)
def test_who_owns_it_is_mentioned_where_action_is_needed(owner: Owner, shown_as: str) -> None:
    opened, escalated = an_entry(alarm=an_alarm()), an_escalation(1)

    def text(*entries: Entry) -> str:
        return message_of(a_view(an_incident(*entries), owner=owner)).text

    assert text(opened, escalated).endswith(f" Action needed. {shown_as}")
    assert shown_as not in text(opened)
    assert shown_as not in text(opened, escalated, a_recovery(3))


def test_what_goes_to_the_thread_is_not_in_the_message() -> None:
    message = message_of(a_view(an_incident(*given_up(attempts=10))))

    for part in ("pg_dump", "stuck in transaction", "run-9", "evidence", "03:09", "Timeline"):
        assert part not in shown(message)


@given(any_incidents, any_owners)
def test_any_message_fits_on_a_phone(incident: Incident, owner: Owner | None) -> None:
    view = a_view(incident, owner=owner, environment="production")

    assert lines_on_a_phone(message_of(view)) <= MOST_LINES


@pytest.mark.parametrize("text", ["<" * 2000, "words " * 400, HOSTILE * 40, "W" * 2000])
def test_the_fullest_message_fits_on_a_phone(text: str) -> None:
    view = a_view(fullest(text), owner=Owner(text), environment=text, now=OPENED)

    assert lines_on_a_phone(message_of(view)) <= MOST_LINES
