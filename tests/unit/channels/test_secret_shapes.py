"""An error about a secret, with any content, names keys and shows no value."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connection_guard.adapters.channels.pagerduty import (
    PagerDutyService,
    parse_pagerduty_secret,
)
from connection_guard.adapters.channels.slack_secret import parse_slack_secret
from connection_guard.adapters.channels.teams import TeamsWebhook, parse_teams_secret
from connection_guard.errors import NotificationError

PARSERS = (parse_slack_secret, parse_pagerduty_secret, parse_teams_secret)
KEY = "0123456789abcdef0123456789ABCDEF"
HUSH = "Hush"

keys = st.sampled_from(["token", "channel", "webhook", "routing_key", "base_url", "other"])
values = st.text().map(lambda text: f"{text}{HUSH}") | st.sampled_from(
    [f"https://{HUSH}", f"http://{HUSH}", f"https://[{HUSH}", f"xoxb-{HUSH}\n", 5, None, [HUSH]]
)
texts = (
    st.dictionaries(keys, values).map(json.dumps) | values.map(json.dumps) | st.just(f"{{{HUSH}")
)


@pytest.mark.parametrize("parse", PARSERS)
@given(text=texts)
def test_no_error_shows_a_value(parse: Callable[[str], object], text: str) -> None:
    try:
        secret = parse(text)
    except NotificationError as error:
        line, cause = str(error), error.__cause__
        assert ("it must be {" in line, "\n" in line, cause) == (True, False, None)
        assert HUSH not in line
    else:
        shown = {"channel", "base_url"}  # they are no secrets
        hidden = [each for name, each in json.loads(text).items() if name not in shown]
        assert not any(each in repr(secret) for each in hidden)


def test_pagerdutys_secret_is_a_key_and_maybe_a_region() -> None:
    assert parse_pagerduty_secret(f'{{"routing_key": "{KEY}"}}') == PagerDutyService(KEY)
    assert parse_pagerduty_secret(
        f'{{"routing_key": "{KEY}", "base_url": "https://events.eu.pagerduty.com/v2"}}'
    ) == PagerDutyService(KEY, "https://events.eu.pagerduty.com/v2")


def test_teams_secret_is_an_address() -> None:
    url = "https://prod-1.westeurope.logic.azure.com/workflows/0?sig=x"
    assert parse_teams_secret(f'{{"webhook": "{url}"}}') == TeamsWebhook(url)


@pytest.mark.parametrize(
    ("parse", "fields", "says"),
    [
        (parse_pagerduty_secret, {}, "other keys"),
        (parse_pagerduty_secret, {"routing_key": "0" * 31}, '"routing_key" is not an integration'),
        (parse_pagerduty_secret, {"routing_key": KEY, "base_url": "http://a"}, '"base_url" is not'),
        (parse_teams_secret, {"url": "https://a"}, "other keys"),
        (parse_teams_secret, {"webhook": "http://a"}, '"webhook" is not an https:// address'),
    ],
)
def test_an_error_says_what_is_wrong(
    parse: Callable[[str], object], fields: dict[str, str], says: str
) -> None:
    with pytest.raises(NotificationError) as raised:
        parse(json.dumps(fields))

    assert says in str(raised.value)
