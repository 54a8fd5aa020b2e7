"""Microsoft Teams over real HTTP: the card that a workflow posts, and what it refuses."""

import logging
from collections.abc import Iterator

import pytest

from connection_guard.adapters.channels.deadline import answer_within
from connection_guard.adapters.channels.teams import TeamsWebhook, send_to_teams
from connection_guard.core.notification.view import View
from connection_guard.errors import NotificationError
from doubles.teams_double import TeamsDouble, texts_of
from tests.support.reporter.incidents import an_alarm, an_entry, an_incident
from tests.support.reporter.views import a_view

START = an_entry(0, alarm=an_alarm())


@pytest.fixture
def teams() -> Iterator[TeamsDouble]:
    with TeamsDouble() as double:
        yield double


def send(teams: TeamsDouble, view: View | None = None) -> None:
    send_to_teams(TeamsWebhook(teams.webhook), view or a_view(an_incident(START)))


def refusal(teams: TeamsDouble) -> NotificationError:
    with pytest.raises(NotificationError) as raised:
        send(teams)
    return raised.value


def test_the_workflow_posts_a_card(teams: TeamsDouble) -> None:
    send(teams, a_view(an_incident(START), runbook="https://wiki.example.com/connections"))

    (card,) = teams.cards
    assert texts_of(card)[0].startswith("orders-prod ")
    assert [each["title"] for each in card["actions"]][:3] == ["Runbook", "Dashboard", "Alarm"]


@pytest.mark.parametrize("body", ["1", ""])
def test_a_connectors_success_is_one(teams: TeamsDouble, body: str) -> None:
    teams.answer(body)

    send(teams)


@pytest.mark.parametrize(
    ("trouble", "says"),
    [
        ("removed", "HTTP 404, WorkflowNotFound"),
        ("replaced", "HTTP 401, DirectApiAuthorizationRequired"),
        ("turned off", "HTTP 400, WorkflowTriggerIsNotEnabled"),
    ],
)
def test_a_workflow_that_is_gone_may_have_been_replaced(
    teams: TeamsDouble, trouble: str, says: str
) -> None:
    webhook = TeamsWebhook(teams.webhook)
    {"removed": teams.remove, "replaced": teams.replace_webhook, "turned off": teams.turn_off}[
        trouble
    ]()

    with pytest.raises(NotificationError) as raised:
        send_to_teams(webhook, a_view(an_incident(START)))

    assert str(raised.value) == f"Teams refused: {says}"
    assert raised.value.is_of_secret


@pytest.mark.parametrize("status", [400, 413])
def test_a_card_that_is_refused_does_not_stop_others(teams: TeamsDouble, status: int) -> None:
    teams.answer("", status)

    assert refusal(teams).is_of_message


@pytest.mark.parametrize(
    ("status", "body"), [(200, "<html>log in</html>"), (200, "{}"), (302, "/login"), (405, "")]
)
def test_any_other_answer_is_no_success(teams: TeamsDouble, status: int, body: str) -> None:
    teams.answer(body, status)

    error = refusal(teams)

    assert str(error) == f"Teams refused: HTTP {status}"
    assert (error.is_of_message, error.is_of_secret) == (False, False)
    assert len(teams.requests) == 1


def test_more_than_four_requests_in_a_second_are_too_many(teams: TeamsDouble) -> None:
    teams.limit_to(4, clock=lambda: 0)
    send(teams)

    error = refusal(teams)

    assert error.retry_after == 1
    assert "rate limited" in str(error)


def test_a_connector_hides_refusals_behind_status_200(teams: TeamsDouble) -> None:
    words = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP "
    teams.answer(f"{words}error 429 with ContextId tcid=0")
    teams.answer(f"{words}error 413 with ContextId tcid=0")

    limited, too_large = refusal(teams), refusal(teams)

    assert "rate limited" in str(limited)
    assert too_large.is_of_message


def test_a_server_error_is_reported_and_not_tried_again(teams: TeamsDouble) -> None:
    teams.fail(502)

    assert str(refusal(teams)) == "Teams: HTTP 502"
    assert len(teams.requests) == 1


def test_a_teams_that_drips_is_not_waited_for(teams: TeamsDouble) -> None:
    teams.drip()

    with pytest.raises(NotificationError, match=r"^Teams did not answer within 0\.5 s$"):
        answer_within(0.5, "Teams", lambda: send(teams))

    assert teams.is_dripping.is_set()


@pytest.mark.parametrize("trouble", ["none", "failing", "limited", "echoing", "closed"])
def test_no_address_reaches_a_log_an_error_or_a_message(
    teams: TeamsDouble,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    trouble: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="urllib3")
    {
        "none": lambda: None,
        "failing": lambda: teams.fail(500),
        "limited": lambda: teams.limit_rate(3600),
        "echoing": lambda: teams.answer(
            f'{{"error": {{"code": "{teams.webhook}", "message": "{teams.webhook}"}}}}', 400
        ),
        "closed": teams.close,
    }[trouble]()

    error = None if trouble == "none" else refusal(teams)
    if error is None:
        send(teams)

    output = capfd.readouterr()
    secret = repr(TeamsWebhook(teams.webhook))
    shown = "".join((caplog.text, output.out, output.err, repr(error), secret))
    assert "unguessable" not in shown
    assert "/workflows/" not in shown
