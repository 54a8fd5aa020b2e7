"""When a request to Slack is tried again: never beyond the deadline."""

import time
from collections.abc import Callable

from slack_sdk.http_retry import (
    ConnectionErrorRetryHandler,
    RateLimitErrorRetryHandler,
    RetryHandler,
)
from slack_sdk.http_retry.builtin_handlers import ServerErrorRetryHandler
from slack_sdk.http_retry.request import HttpRequest
from slack_sdk.http_retry.response import HttpResponse
from slack_sdk.http_retry.state import RetryState

# slack_sdk's longest pause between attempts, where Slack itself names none.
_BACKOFF_SECONDS = 2.0


def retry_handlers(deadline: float) -> list[RetryHandler]:
    """Return the handlers for rate limits, server errors and lost connections; `deadline` is by
    time.monotonic.
    """
    return [
        _Until(deadline, RateLimitErrorRetryHandler(max_retry_count=3), _asked_to_wait),
        _Until(deadline, ServerErrorRetryHandler(max_retry_count=2), lambda _: _BACKOFF_SECONDS),
        _Until(
            deadline, ConnectionErrorRetryHandler(max_retry_count=1), lambda _: _BACKOFF_SECONDS
        ),
    ]


def _asked_to_wait(response: HttpResponse | None) -> float:
    """Return the seconds that Slack asks for; infinity where it names none."""
    values = [
        value
        for name, value in (response.headers if response else {}).items()
        if name.lower() == "retry-after"
    ]
    return float(values[0][0]) + 1 if values and values[0][0].isdecimal() else float("inf")


class _Until(RetryHandler):
    """Retries as `handler` would, unless the deadline comes before the pause ends."""

    def __init__(
        self, deadline: float, handler: RetryHandler, pause: Callable[[HttpResponse | None], float]
    ) -> None:
        super().__init__(handler.max_retry_count)
        self._deadline = deadline
        self._handler = handler
        self._pause = pause

    def can_retry(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> bool:
        can_retry = self._handler.can_retry(
            state=state, request=request, response=response, error=error
        )
        return can_retry and time.monotonic() + self._pause(response) < self._deadline

    def prepare_for_next_attempt(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> None:
        self._handler.prepare_for_next_attempt(
            state=state, request=request, response=response, error=error
        )
