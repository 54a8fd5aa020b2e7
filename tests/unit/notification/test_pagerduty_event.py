"""An incident as PagerDuty's event: what pages people, and what ends it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connection_guard.core.deployment.reporter_settings import Owner
from connection_guard.core.incident.entry import Entry
from connection_guard.core.notification.pagerduty_event import events_of
from connection_guard.core.policy import Tier
from doubles.pagerduty_double import MOST_BYTES, errors_in
from tests.support.reporter.incident_stories import a_large_incident
from tests.support.reporter.incidents import (
    LINKS,
    OPENED,
    a_recovery,
    an_alarm,
    an_entry,
    an_escalation,
    an_incident,
)
from tests.support.reporter.views import a_view

START = an_entry(0, alarm=an_alarm())
WARNED = an_entry(0, "observation", alarm=an_alarm(Tier.WARNING), tier=Tier.WARNING)
BELOW = an_entry(2, "observation", is_below_target=True)
KEY = "0" * 32


@pytest.mark.parametrize(
    ("entries", "action", "severity"),
    [
        ((WARNED,), "trigger", "warning"),
        ((START,), "trigger", "error"),
        ((START, an_escalation(1)), "trigger", "critical"),
        ((WARNED, an_escalation(1, tier=Tier.WARNING)), "trigger", "critical"),
        ((START, an_escalation(1), BELOW), "acknowledge", "error"),
        ((START, a_recovery(3)), "resolve", "error"),
        ((START, an_escalation(1), a_recovery(3)), "resolve", "error"),
    ],
)
def test_what_requires_action_pages_and_the_end_resolves(
    entries: tuple[Entry, ...], action: str, severity: str
) -> None:
    (event,) = events_of(a_view(an_incident(*entries)))

    assert (event["event_action"], event["payload"]["severity"]) == (action, severity)
    assert event["dedup_key"] == an_incident().id


def test_it_says_where_and_when_and_leads_on() -> None:
    incident = an_incident(START)
    view = a_view(
        incident,
        owner=Owner("team-checkout", "S0123ABCD"),
        environment="production",
        runbook="https://wiki/full",
    )

    (event,) = events_of(view)

    payload = event["payload"]
    assert payload["summary"].startswith("orders-prod is running out of connections: ")
    assert payload["source"] == "orders-prod"
    assert payload["group"] == payload["custom_details"]["Environment"] == "production"
    assert payload["timestamp"] == OPENED.isoformat()
    assert payload["custom_details"]["Owner"] == "team-checkout"
    assert event["client_url"] == LINKS.dashboard
    assert event["links"][:2] == [
        {"href": "https://wiki/full", "text": "Runbook"},
        {"href": LINKS.dashboard, "text": "Dashboard"},
    ]


def test_an_incident_of_any_size_is_small() -> None:
    (event,) = events_of(a_view(a_large_incident("日" * 21)))
    event |= {"routing_key": KEY}

    assert errors_in(event) == []
    assert len(json.dumps(event).encode()) < MOST_BYTES / 10


@given(st.text(min_size=1))
def test_no_name_makes_pagerduty_refuse(name: str) -> None:
    entry = an_entry(0, alarm=an_alarm(), escalation=name)

    (event,) = events_of(a_view(an_incident(entry), environment=name))

    assert errors_in({"routing_key": KEY, **event}) == []
    json.dumps(event, ensure_ascii=False).encode()
