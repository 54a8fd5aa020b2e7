"""Read who is notified.

The value written where the name of a secret belongs may be the secret itself, so it is never shown.
"""

import re

from connection_guard.configuration.toml.readers import MistakeError, matching

_SLACK_SECRET = re.compile(
    r"(?i:xox[a-z]?[-.][\w.-]*|xapp-[0-9][\w-]*|(?:https?://)?hooks\.slack[^\s\"]*)"
    r"|T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/\w+",
    re.ASCII,
)


def slack_secret(value: object) -> str:
    """Read the name of the secret that holds Slack's token or webhook."""
    example = (
        "write the name of the secret in AWS Secrets Manager that holds the token or webhook, such "
        'as "connection-guard/slack"'
    )
    if isinstance(value, str) and _SLACK_SECRET.match(value):
        raise MistakeError(
            f"this value looks like Slack's token or webhook itself; revoke it, and {example}"
        )
    if not isinstance(value, str) or not re.fullmatch(r"[\w/+=.@-]{1,512}", value, re.ASCII):
        raise MistakeError(
            f"this value (not shown, it may be a secret itself) is not a name; {example}"
        )
    return value


def without_slack_secrets(line: str) -> str:
    """Return the line without Slack's tokens and webhooks, which someone may have pasted under any
    key.
    """
    return _SLACK_SECRET.sub("(a Slack secret, not shown)", line)


email = matching(
    r"[^@\s]+@[^@\s]+\.[^@\s.]+", "an e-mail address", 'one such as "platform@example.com"'
)
