"""What a bot's and a webhook's calls to Slack have in common: the content, and what an answer
means. No error shows a secret.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from typing import Any

from slack_sdk.errors import SlackClientError

from connection_guard.adapters.channels.json_post import STEP_SECONDS, rate_limited, seconds_to_wait
from connection_guard.core.notification.slack.slack_blocks import Message
from connection_guard.errors import NotificationError

# Slack calls these wrong with what a message looks like. Its plain text may still pass.
REFUSALS_OF_BLOCKS = frozenset(
    {
        "invalid_arguments",
        "invalid_attachments",
        "invalid_blocks",
        "invalid_blocks_format",
        "invalid_payload",
        "msg_blocks_too_long",
        "msg_too_long",
        "too_many_attachments",
    }
)

# slack_sdk logs requests, a webhook's address among them, which is its only secret. It has no
# handler and no parent.
SILENT = logging.Logger("slack_sdk, unheard", level=logging.CRITICAL + 1)


def content_of(message: Message) -> dict[str, Any]:
    """Return the message as JSON."""
    return {"text": message.text, "blocks": list(message.blocks)}


def plain_content_of(message: Message) -> dict[str, Any]:
    """Return only its text. An edit without `blocks` would keep those of before."""
    return {"text": message.text, "blocks": []}


def slack_is_limited(headers: Mapping[str, str]) -> NotificationError:
    """Return the error for an answer that asks to be left alone, a second where it says nothing."""
    return rate_limited("Slack", seconds_to_wait(headers.get("Retry-After")) or 1)


@contextmanager
def clean_errors(secret: str) -> Iterator[None]:
    """Raise what slack_sdk raises as one line without the secret, and without its cause: an
    HTTPException or a ValueError of Python's own may show the address or a header.
    """
    try:
        yield
        return
    except TimeoutError:
        problem = f"Slack did not answer within {STEP_SECONDS} s"
    except OSError as error:
        problem = f"Slack could not be reached: {error}"
    except (HTTPException, SlackClientError, ValueError) as error:
        problem = f"Slack could not be reached: {type(error).__name__}"
    except (AttributeError, LookupError, RecursionError):
        # slack_sdk takes for granted that Slack answers with a JSON object in a known encoding.
        problem = "Slack's answer is not a JSON object"
    raise NotificationError(problem.replace(secret, "(secret)")) from None
