"""Secrets of channels: read from AWS Secrets Manager, kept for minutes, and read anew once a
channel refuses one. No error shows a value.
"""

import json
import re
from collections.abc import Callable
from functools import cache
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from botocore.config import Config

from connection_guard.errors import NotificationError

SECRET_KEPT_SECONDS = 300

S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)
T = TypeVar("T")


class ReadSecret(Protocol[S_co]):
    """Reads a channel's secret, such as `partial(read_secret, name, parse_slack_secret)`."""

    def __call__(self, *, anew: bool = False) -> S_co:
        """Return the secret, `anew` not as it is remembered. Raises NotificationError."""
        ...


def read_secret(name: str, parse: Callable[[str | bytes], S], *, anew: bool = False) -> S:
    """Return the secret as it was in AWS Secrets Manager in the last five minutes, `anew` as it is
    now.

    Raises NotificationError where it cannot be read or `parse` refuses it, without the value.
    """
    try:
        text = _secrets().get(name, max_age=SECRET_KEPT_SECONDS, force_fetch=anew)
        assert isinstance(text, str | bytes)  # nothing was asked to transform it
    except GetParameterError as error:
        raise NotificationError(f"secret {name} could not be read: {error}") from error
    try:
        return parse(text)
    except NotificationError as error:
        raise NotificationError(f"{error} (secret {name})") from error


def with_secret(read: ReadSecret[S], call: Callable[[S], T]) -> T:
    """Return what the call returns. Where the secret is refused, it is read anew, and the call is
    made once more if it is another by now.

    Raises what the call raises, and NotificationError where the secret cannot be read.
    """
    secret = read()
    try:
        return call(secret)
    except NotificationError as error:
        if not error.is_of_secret:
            raise
        renewed = read(anew=True)
        if renewed == secret:
            raise
    return call(renewed)


@cache
def _secrets() -> SecretsProvider:
    """Return one per process: it remembers what it read."""
    quick = Config(
        connect_timeout=2, read_timeout=4, retries={"mode": "standard", "total_max_attempts": 2}
    )
    return SecretsProvider(boto_config=quick)


def fields_of(text: str | bytes, owner: str, shape: str) -> dict[str, str]:
    """Return the fields of a secret that is a JSON object of strings; raise NotificationError where
    it is none. `owner` and `shape` are as in `wrong_secret`.
    """
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None  # the error has no cause: a parser's error shows the text
    if not isinstance(fields, dict) or not all(isinstance(value, str) for value in fields.values()):
        raise wrong_secret(owner, "is not a JSON object of strings", shape)
    return fields


def wrong_secret(owner: str, problem: str, shape: str) -> NotificationError:
    """Return the error for a secret of `owner`, which says what it must look like."""
    return NotificationError(f"{owner} secret {problem}; it must be {shape}")


def is_safe_address(url: str) -> bool:
    """Return whether it is encrypted, or leads to this machine itself."""
    # Python's errors show any other character that an address holds.
    if not re.fullmatch(r"https?://[!-~]+", url):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(parts.hostname) and (
        parts.scheme == "https" or parts.hostname in ("127.0.0.1", "localhost")
    )
