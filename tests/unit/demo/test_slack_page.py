"""The page says all that the messages say, and nothing in them can make it do more."""

import re
from html import unescape
from html.parser import HTMLParser
from typing import Any

from connection_guard.core.notification.slack.slack_blocks import Message, buttons
from connection_guard.core.notification.slack.slack_details import details_of
from connection_guard.core.notification.slack.slack_message import message_of
from connection_guard.core.notification.slack.slack_thread import thread_of
from demo.show.slack_page import conversation_page
from doubles.slack_double import Posted, texts_of_block
from tests.support.reporter.incidents import (
    LINKS,
    OPENED,
    a_context,
    a_group,
    a_recovery,
    an_entry,
    an_incident,
)
from tests.support.reporter.views import a_view

HOSTILE = (
    """</code><script src="//evil.example/x.js"></script><img src=x onerror=alert(1)>&lt;b&gt;"'"""
)


class Page(HTMLParser):
    """What a browser makes of a page: its text, and each of its elements with the attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._inside: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "style" not in self._inside:
            self.text += data

    @property
    def links(self) -> list[str | None]:
        return [attributes["href"] for tag, attributes in self.elements if tag == "a"]


def posted(
    message: Message, at: int = 0, *, thread: str | None = None, before: tuple[Message, ...] = ()
) -> Posted:
    timestamp = f"{int(OPENED.timestamp()) + at}.000001"
    return Posted(
        "C0123ABCD", timestamp, thread, content_of(message), [content_of(each) for each in before]
    )


def content_of(message: Message) -> dict[str, Any]:
    return {"text": message.text, "blocks": list(message.blocks)}


def said_by(mrkdwn: str) -> str:
    """What readers read of it, its lines together."""
    links_as_text = re.sub(r"<http[^|]+\|([^>]+)>", r"\1", mrkdwn)
    return unescape(re.sub(r"[*`\n]", "", links_as_text))


RUNBOOK = "https://wiki.example/runbook"


def section(text: str) -> Message:
    return Message("", ({"type": "section", "text": {"type": "mrkdwn", "text": text}},))


def page_of(*messages: Posted, channel: str = "incidents", note: str = "") -> Page:
    return Page(conversation_page(channel, messages, note))


def test_everything_that_the_messages_say_is_on_the_page() -> None:
    attempt, recovery = an_entry(), a_recovery(3)
    began = a_view(an_incident(attempt, circumstances=a_context()), runbook=RUNBOOK)
    ended = a_view(an_incident(attempt, recovery, circumstances=a_context()), runbook=RUNBOOK)
    opened, over, details = message_of(began), message_of(ended), details_of(ended)
    message = posted(over, before=(opened,))
    replies = [
        posted(details, 1, thread=message.timestamp),
        posted(thread_of(attempt, LINKS), 2, thread=message.timestamp),
    ]

    page = page_of(message, *replies, channel="database-incidents", note="made up")

    for said in (opened, over, details, thread_of(attempt, LINKS)):
        for block in said.blocks:
            for text in texts_of_block(block):
                assert said_by(text["text"]) in page.text
    assert "# database-incidents" in page.text
    assert "03:00 UTC" in page.text
    assert page.text.count("(edited)") == 1
    assert "2 replies" in page.text
    assert "made up" in page.text
    assert {RUNBOOK, LINKS.alarm, LINKS.logs, LINKS.evidence, LINKS.dashboard} == set(page.links)


def test_buttons_are_links() -> None:
    row = Message("", buttons({"Runbook": RUNBOOK, "Alarm": "https://x.example/?a=1&b=2"}))

    html = conversation_page("c", [posted(row)], "")

    assert f'<a class="button" href="{RUNBOOK}" rel="noreferrer">Runbook</a>' in html
    assert 'href="https://x.example/?a=1&amp;b=2" rel="noreferrer">Alarm</a>' in html


def test_a_mention_is_one_and_of_a_text_beside_blocks_nothing_is_shown() -> None:
    message = posted(Message("for a notification", section("<!subteam^S01> <@U02>").blocks))

    page = page_of(message)

    assert "@S01 @U02" in page.text
    assert "for a notification" not in page.text
    assert "only text" in page_of(Posted("C", "1.000001", None, {"text": "only text"})).text


def test_a_reply_is_below_its_own_message() -> None:
    first, second = posted(section("the first"), 0), posted(section("the second"), 60)
    late_reply = posted(section("about the first"), 120, thread=first.timestamp)

    text = page_of(first, second, late_reply).text

    assert text.count("about the first") == 1
    assert text.index("the first") < text.index("about the first") < text.index("the second")


def test_marks_become_what_slack_makes_of_them() -> None:
    html = conversation_page(
        "c", [posted(section("*Rule* `a_*b*` took <https://x.example/?a=1&amp;b=2|3 &lt; 4>"))], ""
    )

    assert (
        '<b>Rule</b> <code>a_*b*</code> took <a href="https://x.example/?a=1&amp;b=2" '
        'rel="noreferrer">3 &lt; 4</a>'
    ) in html


def test_a_hostile_name_is_shown_as_it_is_and_does_nothing() -> None:
    harmless = details_of(a_view(an_incident(an_entry(terminated=(a_group(),))), LINKS, OPENED))
    hostile = details_of(
        a_view(an_incident(an_entry(terminated=(a_group(application=HOSTILE),))), LINKS, OPENED)
    )

    page = page_of(posted(hostile))

    assert HOSTILE in page.text
    assert [tag for tag, _ in page.elements] == [
        tag for tag, _ in page_of(posted(harmless)).elements
    ]


def test_what_was_never_escaped_is_shown_as_it_is_and_does_nothing() -> None:
    raw = section(
        f'{HOSTILE} <!channel> <javascript:alert(1)|click> <https://x.example" '
        f'onclick="alert(1)|click>'
    )
    content = content_of(raw) | {"text": HOSTILE}
    content["blocks"].append({"type": "header", "text": {"type": "plain_text", "text": HOSTILE}})
    message = Posted("C0123ABCD", "1.000001", None, content)

    page = page_of(message, channel=HOSTILE, note=HOSTILE)

    assert not {"script", "img"} & {tag for tag, _ in page.elements}
    assert not [
        name for _, attributes in page.elements for name in attributes if name.startswith("on")
    ]
    assert not page.links
    assert "<!channel> <javascript:alert(1)|click>" in page.text


def test_the_page_needs_nothing_else() -> None:
    html = conversation_page("c", [posted(message_of(a_view(an_incident(), LINKS, OPENED)))], "")

    assert "default-src 'none'" in html
    assert not re.search(r"url\(|@import|\bsrc=", html)
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in Page(html).elements}
