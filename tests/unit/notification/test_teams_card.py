"""An incident as a card in Microsoft Teams: short, and no name formats anything."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connection_guard.core.deployment.reporter_settings import Owner
from connection_guard.core.incident.entry import Entry
from connection_guard.core.notification.summary import summary_of
from connection_guard.core.notification.teams_card import card_of
from connection_guard.core.policy import Tier
from connection_guard.core.words import shown
from doubles.teams_double import MOST_BYTES, errors_in_card, texts_of
from tests.support.reporter.incident_stories import a_large_incident
from tests.support.reporter.incidents import (
    LINKS,
    a_recovery,
    an_alarm,
    an_entry,
    an_escalation,
    an_incident,
)
from tests.support.reporter.views import a_view

START = an_entry(0, alarm=an_alarm())
HOSTILE = "**b** _i_ [x](https://evil.example) <at>all</at> - a\r1. b\u202e"


def message(card: dict[str, object]) -> dict[str, object]:
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "content": card}]}


@pytest.mark.parametrize(
    ("entries", "color"),
    [
        ((an_entry(0, "observation", alarm=an_alarm(Tier.WARNING), tier=Tier.WARNING),), "warning"),
        ((START,), "attention"),
        ((START, an_escalation(1)), "attention"),
        ((START, a_recovery(3)), None),
    ],
)
def test_the_summary_is_the_card(entries: tuple[Entry, ...], color: str | None) -> None:
    view = a_view(an_incident(*entries), owner=Owner("team-checkout"))
    summary = summary_of(view)

    card = card_of(view)

    lines = texts_of(card)
    assert lines[0] == summary.first_line == card["fallbackText"]
    assert card["body"][0]["inlines"][0].get("color") == color
    for title, text in summary.parts:
        assert f"{title}: {text}" in lines
    assert "Owner: team-checkout" in lines


def test_its_buttons_are_links() -> None:
    card = card_of(a_view(an_incident(START), runbook="https://wiki.example.com/full"))

    assert {each["type"] for each in card["actions"]} == {"Action.OpenUrl"}
    assert [(each["title"], each["url"]) for each in card["actions"]][:2] == [
        ("Runbook", "https://wiki.example.com/full"),
        ("Dashboard", LINKS.dashboard),
    ]


def test_an_address_that_is_too_long_has_no_button() -> None:
    card = card_of(a_view(an_incident(START), runbook=f"https://wiki.example.com/{'x' * 5000}"))

    assert "Runbook" not in [each["title"] for each in card["actions"]]


def test_names_are_shown_as_they_are_where_nothing_formats() -> None:
    entry = an_entry(0, alarm=an_alarm(), escalation=HOSTILE)

    card = card_of(a_view(an_incident(entry)))

    assert {each["type"] for each in card["body"]} == {"RichTextBlock"}
    assert any(shown(HOSTILE) in text for text in texts_of(card))
    assert "\u202e" not in json.dumps(card, ensure_ascii=False)


@pytest.mark.parametrize("name", ["service", "\\" * 63, "日" * 21, "😀" * 15])
def test_an_incident_of_any_size_fits(name: str) -> None:
    view = a_view(a_large_incident(name), owner=Owner(name), environment=name * 50)

    body = json.dumps(message(card_of(view)), ensure_ascii=False).encode()

    assert len(body) <= MOST_BYTES


@given(st.text(min_size=1))
def test_no_name_makes_teams_refuse(name: str) -> None:
    entry = an_entry(0, alarm=an_alarm(), escalation=name)

    card = card_of(a_view(an_incident(entry), owner=Owner(name), environment=name))

    assert list(errors_in_card(message(card))) == []
    json.dumps(card, ensure_ascii=False).encode()
