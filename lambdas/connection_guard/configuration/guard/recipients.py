"""Read who is notified, [notifications], and who owns what, [[applications]] and keys of
[[databases]].

The value written where the name of a secret belongs may be the secret itself, so it is never shown.
"""

import re
from collections.abc import Mapping
from typing import Any

from connection_guard.configuration.guard.aws_identifiers import EXAMPLE_REGION, REGION, account
from connection_guard.configuration.policy.matchers import application_glob
from connection_guard.configuration.toml.readers import (
    MistakeError,
    Reader,
    given,
    matching,
    truth,
    unique,
)
from connection_guard.configuration.toml.tables import Key, read_fields, read_whole
from connection_guard.core.deployment.reporter_settings import ApplicationOwner, Owner

_SECRETS = {
    "Slack's token or webhook": re.compile(
        r"(?i:xox[a-z]?[-.][\w.-]*|xapp-[0-9][\w-]*|(?:https?://)?hooks\.slack[^\s\"]*)"
        r"|T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/\w+",
        re.ASCII,
    ),
    "the address of a workflow of Teams": re.compile(
        r"(?i:https?://)?[\w.-]+\.(?i:logic\.azure|powerplatform|webhook\.office)\.com[^\s\"]*",
        re.ASCII,
    ),
    # https://developer.pagerduty.com/docs/send-alert-event: 32 letters and digits
    "PagerDuty's integration key": re.compile(
        r"\b(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{32}\b", re.ASCII
    ),
}


def without_secrets(line: str) -> str:
    """Return the line without the secrets of channels, which someone may have pasted under any
    key.
    """
    for pattern in _SECRETS.values():
        line = pattern.sub("(a secret, not shown)", line)
    return line


def _secret_name(holds: str, example: str) -> Reader[str]:
    """Return a reader of the name of the secret that holds that."""
    advice = (
        f"write the name of the secret in AWS Secrets Manager that holds {holds}, such as "
        f"{given(example)}"
    )

    def read(value: object) -> str:
        for secret, pattern in _SECRETS.items():
            if isinstance(value, str) and pattern.match(value):
                raise MistakeError(
                    f"this value looks like {secret} itself; revoke it, and {advice}"
                )
        if not isinstance(value, str) or not re.fullmatch(r"[\w/+=.@-]{1,512}", value, re.ASCII):
            raise MistakeError(
                f"this value (not shown, it may be a secret itself) is not a name; {advice}"
            )
        return value

    return read


_email = matching(
    r"[^@\s]+@[^@\s]+\.[^@\s.]+", "an e-mail address", 'one such as "platform@example.com"'
)


def _event_bus(region: str | None) -> Reader[str]:
    """Return a reader of an event bus: events are sent only to buses of their own region."""
    arn = rf"arn:aws:events:{re.escape(region) if region else REGION}:[0-9]{{12}}:event-bus/"
    return matching(
        rf"(?:{arn})?[A-Za-z0-9/._-]{{1,256}}",
        f"an event bus in {region or 'AWS'}",
        '"default", the name of another in the same account, or an ARN such as '
        f'"arn:aws:events:{region or EXAMPLE_REGION}:123456789012:event-bus/incidents"',
    )


_NO_CHANNELS = ("deployments", "incident_accounts")


def notification_keys(region: str | None) -> dict[str, Key]:
    """Return the keys of [notifications] in the region, None where that is not known."""
    return {
        "emails": Key("emails", unique(_email), default=()),
        "slack_secret": Key(
            "slack_secret", _secret_name("the token or webhook", "connection-guard/slack")
        ),
        "pagerduty_secret": Key(
            "pagerduty_secret", _secret_name("the integration key", "connection-guard/pagerduty")
        ),
        "teams_secret": Key(
            "teams_secret", _secret_name("the workflow's address", "connection-guard/teams")
        ),
        "event_bus": Key("event_bus", _event_bus(region)),
        "deployments": Key("deployments", truth, default=True),
        "incident_accounts": Key("incident_accounts", unique(account), default=()),
    }


def read_notifications(
    table: object,
    place: str,
    region: str | None,
    mistakes: list[str],
    homes: Mapping[str, str],
) -> dict[str, Any]:
    """Return the fields of [notifications] without those that have mistakes, which are added to
    `mistakes`.
    """
    keys = notification_keys(region)
    fields = read_fields(table, keys, place, mistakes, homes)
    channels = [fields.get(key, "a mistake") for key in keys if key not in _NO_CHANNELS]
    if isinstance(table, dict) and not any(channels):
        mistakes.append(
            f"{place}: nobody would be notified, not even when the guard is locked out; write "
            'emails = ["you@..."], or another channel: slack_secret, pagerduty_secret, '
            "teams_secret or event_bus"
        )
    return fields


def runbook(value: object) -> str:
    """Read the address of a page that says what to do."""
    if not isinstance(value, str) or not re.fullmatch(
        r"https://[A-Za-z0-9.-]+(?::[0-9]+)?(?:[/?#][!#-;=?-\[\]-{}~]*)?", value, re.ASCII
    ):
        raise MistakeError(
            "this value (not shown, it may contain a password) is not an https:// address; write "
            'one such as "https://wiki.example.com/orders"'
        )
    return value


environment = matching(
    r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,38}[A-Za-z0-9])?",
    "the name of an environment",
    'at most 40 letters, digits, spaces, "." and "-", such as "production"',
)

slack_channel = matching(
    r"[CG][A-Z0-9]{7,20}|#?[a-z0-9_-]{1,80}",
    "a channel of Slack",
    'its ID, such as "C0123ABCD", or its name, such as "#orders-alerts"',
)


def owner(value: object) -> Owner:
    """Read an owner: a name, and the ID of a Slack user or user group that is to be mentioned."""
    match = re.fullmatch(r"([^<>]*[^<>\s])(?: <(.*)>)?", value) if isinstance(value, str) else None
    if match is None or not match[1].isprintable() or len(match[1]) > 80:
        raise MistakeError(
            f"{given(value)} is not an owner; write a name, and where Slack is to mention it the "
            'ID of a user or user group, such as "team-checkout <S0123ABCD>"'
        )
    if match[2] is not None and not re.fullmatch(r"[SUW][A-Z0-9]{7,20}", match[2]):
        raise MistakeError(
            f"{given(value)}: {given(match[2])} is not the ID of a Slack user or user group; write "
            'one such as "S0123ABCD" or "U0123ABCD", which Slack shows in the profile'
        )
    return Owner(match[1], match[2])


_APPLICATION = {
    "name": Key("pattern", application_glob, '"checkout*"'),
    "owner": Key("owner", owner, '"team-checkout"'),
}


def read_application_owners(
    tables: object, source: str, mistakes: list[str], homes: Mapping[str, str]
) -> tuple[ApplicationOwner, ...]:
    """Return the owner of each of the [[applications]], without those that have mistakes, which are
    added to `mistakes`.
    """
    if not isinstance(tables, list):
        mistakes.append(
            f"{source}: applications: {given(tables)} is not a list of tables; write "
            "[[applications]], in double brackets, above each application"
        )
        return ()
    places: dict[str, str] = {}
    owners = []
    for index, table in enumerate(tables):
        place = f"applications[{index}]"
        fields = read_whole(table, _APPLICATION, f"{source}: {place}", mistakes, homes)
        if fields is None:
            continue
        each = ApplicationOwner(**fields)
        if (first := places.setdefault(each.pattern, place)) != place:
            mistakes.append(
                f"{source}: {place}: name: {first} has the same name, and the first that matches "
                "counts; remove one of them"
            )
        owners.append(each)
    return tuple(owners)
