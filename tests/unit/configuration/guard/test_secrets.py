"""No secret is ever shown, under any key."""

import pytest

from tests.unit.configuration.guard.conftest import Write
from tests.unit.configuration.guard.guard_files import (
    AT_RDS,
    EXISTING_PROXY,
    ORDERS,
    WITH_SECRET,
    guard,
    orders,
    refusal,
)

SLACK_NAME = (
    "write the name of the secret in AWS Secrets Manager that holds the token or webhook, such as "
    '"connection-guard/slack"'
)
NOT_A_SLACK_NAME = f"this value (not shown, it may be a secret itself) is not a name; {SLACK_NAME}"
TOKEN_ITSELF = f"this value looks like Slack's token or webhook itself; revoke it, and {SLACK_NAME}"
TOKENS = [
    "xoxb-1234567890-q7Jzw9Rk",
    "XOXB-1234567890-q7Jzw9Rk",
    "xoxe.xoxp-1-q7Jzw9Rk",
    "xapp-1-A0123-q7Jzw9Rk",
    "https://hooks.slack.com/services/T01234567/B01234567/q7Jzw9Rk",
    "hooks.slack.com/services/T01234567/B01234567/q7Jzw9Rk",
    "T01234567/B01234567/q7Jzw9Rk",
]

TEAMS = "the address of a workflow of Teams"
PAGERDUTY = "PagerDuty's integration key"
WHAT_IT_IS = {
    **dict.fromkeys(TOKENS, "Slack's token or webhook"),
    "https://prod-01.westeurope.logic.azure.com:443/workflows/1?sig=q7Jzw9Rk": TEAMS,
    "https://default1.2f.environment.api.powerplatform.com/workflows/1?sig=q7Jzw9Rk": TEAMS,
    "example.webhook.office.com/webhookb2/1/IncomingWebhook/q7Jzw9Rk": TEAMS,
    "0123456789abcdef0123456q7Jzw9Rk0": PAGERDUTY,
}


@pytest.mark.parametrize(
    ("key", "holds"),
    [
        ("slack_secret", "the token or webhook"),
        ("pagerduty_secret", "the integration key"),
        ("teams_secret", "the workflow's address"),
    ],
)
@pytest.mark.parametrize("pasted", WHAT_IT_IS)
def test_a_secret_is_refused_where_its_name_belongs(
    pasted: str, key: str, holds: str, write: Write
) -> None:
    [line] = refusal(write(guard(notifications={key: pasted})))

    assert line.startswith(
        f"guard.toml: notifications: {key}: this value looks like {WHAT_IT_IS[pasted]} itself; "
        f"revoke it, and write the name of the secret in AWS Secrets Manager that holds {holds}"
    )


@pytest.mark.parametrize("token", TOKENS)
def test_slacks_token_is_refused_where_its_name_belongs(token: str, write: Write) -> None:
    assert refusal(write(guard(notifications={"slack_secret": token}))) == [
        f"guard.toml: notifications: slack_secret: {TOKEN_ITSELF}"
    ]


@pytest.mark.parametrize("token", WHAT_IT_IS)
def test_no_secret_is_shown_under_any_key(token: str, write: Write) -> None:
    others = ("policy", "role", "warning", "watch_from", "owner", "runbook", "environment")
    everywhere = dict.fromkeys((*ORDERS, *others, "slack_channel"), token)
    text = guard(
        everywhere | {"proxy": dict.fromkeys(WITH_SECRET, token)},
        orders(
            proxy=EXISTING_PROXY | dict.fromkeys(("endpoint", "resource_id"), token), **{token: 1}
        ),
        deploy=dict.fromkeys(("account", "region", "stack_name", "architecture", token), token),
        notifications={"slack_secret": [token], "emails": [token], "event_bus": [token]},
        applications=[{"name": f"é{token}", "owner": f"<{token}>"}],
    )

    reported = "\n".join(refusal(write(text)))

    assert "q7Jzw9Rk" not in reported
    assert reported.count("\n") > 20


@pytest.mark.parametrize(
    "database",
    [
        orders(proxy=WITH_SECRET | {"secret": "hunter2"}),
        orders(proxy=WITH_SECRET | {"secret": {"password": "hunter2"}}),
        orders(endpoint=f"postgresql://guard:hunter2@orders.{AT_RDS}/postgres"),
        orders(proxy=EXISTING_PROXY | {"endpoint": f"guard:hunter2@orders.{AT_RDS}"}),
        orders(runbook="https://guard:hunter2@wiki.example.com/"),
    ],
)
def test_a_password_is_not_shown(database: dict[str, object], write: Write) -> None:
    assert "hunter2" not in "\n".join(refusal(write(guard(database))))


def test_no_value_in_place_of_the_name_of_slacks_secret_is_shown(write: Write) -> None:
    assert refusal(write(guard(notifications={"slack_secret": "correct horse"}))) == [
        f"guard.toml: notifications: slack_secret: {NOT_A_SLACK_NAME}"
    ]
