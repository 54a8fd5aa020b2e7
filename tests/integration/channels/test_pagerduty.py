"""PagerDuty over real HTTP: what becomes of an incident's alert, and what PagerDuty refuses."""

import logging
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from connection_guard.adapters.channels.channel_secrets import read_secret, with_secret
from connection_guard.adapters.channels.deadline import answer_within
from connection_guard.adapters.channels.pagerduty import (
    PagerDutyService,
    parse_pagerduty_secret,
    send_to_pagerduty,
)
from connection_guard.core.notification.view import View
from connection_guard.errors import NotificationError
from doubles.pagerduty_double import PagerDutyDouble
from tests.support.reporter.incidents import (
    a_recovery,
    an_alarm,
    an_entry,
    an_escalation,
    an_incident,
)
from tests.support.reporter.views import a_view

START = an_entry(0, alarm=an_alarm())


@pytest.fixture
def pagerduty() -> Iterator[PagerDutyDouble]:
    with PagerDutyDouble() as double:
        yield double


def service(pagerduty: PagerDutyDouble) -> PagerDutyService:
    return PagerDutyService(pagerduty.routing_key, pagerduty.base_url)


def send(pagerduty: PagerDutyDouble, view: View | None = None) -> None:
    send_to_pagerduty(service(pagerduty), view or a_view(an_incident(START)))


def refusal(pagerduty: PagerDutyDouble) -> NotificationError:
    with pytest.raises(NotificationError) as raised:
        send(pagerduty)
    return raised.value


def test_an_incident_is_one_alert_from_its_beginning_to_its_end(
    pagerduty: PagerDutyDouble,
) -> None:
    entries = (START, an_escalation(1), a_recovery(3))
    states: list[str] = []
    for count in (1, 2, 3):
        send(pagerduty, a_view(an_incident(*entries[:count])))
        states += pagerduty.alerts.values()

    assert states == ["triggered", "triggered", "resolved"]
    assert [each["payload"]["severity"] for each in pagerduty.events[:2]] == ["error", "critical"]
    assert len(pagerduty.alerts) == 1


def test_action_that_is_required_after_all_pages_although_the_alert_was_acknowledged(
    pagerduty: PagerDutyDouble,
) -> None:
    below = an_entry(2, "observation", is_below_target=True)
    entries = (START, below, an_escalation(5), a_recovery(9))
    states: list[str] = []
    for count in range(1, len(entries) + 1):
        send(pagerduty, a_view(an_incident(*entries[:count])))
        states += pagerduty.alerts.values()

    assert states == ["triggered", "acknowledged", "triggered", "resolved"]
    assert len(pagerduty.alerts) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, '{"status": "success"}'),
        (202, "accepted"),
        (202, '{"status": "throttled"}'),
        (202, "[]"),
        (302, "/elsewhere"),
        (401, ""),
        (404, "<html>"),
    ],
)
def test_only_pagerdutys_own_word_is_a_success(
    pagerduty: PagerDutyDouble, status: int, body: str
) -> None:
    pagerduty.answer(body, status)

    error = refusal(pagerduty)

    assert str(error).startswith(f"PagerDuty refused (HTTP {status}): ")
    assert (error.is_of_message, error.is_of_secret) == (False, False)
    assert pagerduty.requests == ["/v2/enqueue"]


def test_an_invalid_event_concerns_only_this_incident(pagerduty: PagerDutyDouble) -> None:
    pagerduty.answer('{"message": "Event object is invalid", "errors": ["too large"]}', 400)

    error = refusal(pagerduty)

    assert str(error) == "PagerDuty refused (HTTP 400): Event object is invalid; too large"
    assert (error.is_of_message, error.is_of_secret) == (True, False)


def test_another_key_is_refused_as_a_secret(pagerduty: PagerDutyDouble) -> None:
    with pytest.raises(NotificationError, match="Invalid routing key") as raised:
        send_to_pagerduty(
            PagerDutyService("f" * 32, pagerduty.base_url), a_view(an_incident(START))
        )

    assert (raised.value.is_of_message, raised.value.is_of_secret) == (False, True)


def test_a_rotated_key_works_at_once(pagerduty: PagerDutyDouble, secrets: Any) -> None:
    def text() -> str:
        return f'{{"routing_key": "{pagerduty.routing_key}", "base_url": "{pagerduty.base_url}"}}'

    secrets.create_secret(Name="pagerduty", SecretString=text())
    read = partial(read_secret, "pagerduty", parse_pagerduty_secret)
    view = a_view(an_incident(START))
    with_secret(read, lambda secret: send_to_pagerduty(secret, view))
    pagerduty.routing_key = "a" * 32
    secrets.put_secret_value(SecretId="pagerduty", SecretString=text())

    with_secret(read, lambda secret: send_to_pagerduty(secret, view))

    assert len(pagerduty.events) == 2


@pytest.mark.parametrize(("header", "seconds"), [(30, 30), (3600, 300), (None, None), ("x", None)])
def test_a_rate_limit_says_how_long_to_wait_where_pagerduty_does(
    pagerduty: PagerDutyDouble, header: int | str | None, seconds: int | None
) -> None:
    pagerduty.limit_rate(header)

    error = refusal(pagerduty)

    assert "rate limited" in str(error)
    assert error.retry_after == seconds
    assert len(pagerduty.requests) == 1


def test_a_server_error_is_reported_and_not_tried_again(pagerduty: PagerDutyDouble) -> None:
    pagerduty.fail(503)

    assert str(refusal(pagerduty)) == "PagerDuty: HTTP 503"
    assert len(pagerduty.requests) == 1


def test_a_pagerduty_that_drips_is_not_waited_for(pagerduty: PagerDutyDouble) -> None:
    pagerduty.drip()

    with pytest.raises(NotificationError, match=r"^PagerDuty did not answer within 0\.5 s$"):
        answer_within(0.5, "PagerDuty", lambda: send(pagerduty))

    assert pagerduty.is_dripping.is_set()


def test_a_pagerduty_that_does_not_answer_is_reported(
    pagerduty: PagerDutyDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connection_guard.adapters.channels.json_post.STEP_SECONDS", 0.2)
    pagerduty.be_slow(60)

    assert str(refusal(pagerduty)).startswith("PagerDuty did not answer within")


@pytest.mark.parametrize("trouble", ["none", "failing", "limited", "echoing", "closed"])
def test_no_key_reaches_a_log_an_error_or_a_message(
    pagerduty: PagerDutyDouble,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    trouble: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    {
        "none": lambda: None,
        "failing": lambda: pagerduty.fail(500),
        "limited": lambda: pagerduty.limit_rate(3600),
        "echoing": lambda: pagerduty.answer(
            f'{{"message": "no service has {pagerduty.routing_key}"}}', 400
        ),
        "closed": pagerduty.close,
    }[trouble]()

    error = None if trouble == "none" else refusal(pagerduty)
    if error is None:
        send(pagerduty)

    output = capfd.readouterr()
    shown = "".join((caplog.text, output.out, output.err, repr(error), repr(service(pagerduty))))
    assert pagerduty.routing_key not in shown
