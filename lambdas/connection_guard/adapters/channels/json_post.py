"""One POST of JSON over HTTP. It follows no redirect, tries nothing again and logs nothing."""

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from connection_guard.errors import NotificationError

# The longest wait for each step of a request. A deadline for the whole is the caller's.
STEP_SECONDS = 4

# Services explain a refusal in fewer.
MOST_BYTES = 10_000

MOST_SECONDS_TO_WAIT = 300


@dataclass(frozen=True, slots=True)
class JsonAnswer:
    """The answer to a request that the service did not answer with 429 or an error of its own."""

    status: int
    body: str

    @property
    def fields(self) -> Mapping[str, Any]:
        """The body as a JSON object, an empty one where it is none."""
        try:
            fields = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return fields if isinstance(fields, dict) else {}


def post_json(service: str, url: str, document: Mapping[str, Any]) -> JsonAnswer:
    """Return the answer to one POST. The URL is one that `is_safe_address` holds to be safe.

    Raises NotificationError, which names the service and never the URL.
    """
    parts = urlsplit(url)
    assert parts.hostname, "is_safe_address says so"
    connection = (
        HTTPSConnection(
            parts.hostname,
            parts.port,
            timeout=STEP_SECONDS,
            context=ssl.create_default_context(),
        )
        if parts.scheme == "https"
        else HTTPConnection(parts.hostname, parts.port, timeout=STEP_SECONDS)
    )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    body = json.dumps(document, ensure_ascii=False).encode()
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        with connection.getresponse() as response:
            status, retry_after = response.status, response.getheader("Retry-After")
            answer = response.read(MOST_BYTES).decode(errors="replace")
    except TimeoutError:
        problem = f"{service} did not answer within {STEP_SECONDS} s"
    except OSError as error:
        problem = f"{service} could not be reached: {error}"
    except (HTTPException, ValueError) as error:
        problem = f"{service} could not be reached: {type(error).__name__}"
    else:
        return _unless_busy(service, status, retry_after, answer)
    finally:
        connection.close()
    # No cause: an error of Python's own may show the address.
    raise NotificationError(problem) from None


def _unless_busy(service: str, status: int, retry_after: str | None, answer: str) -> JsonAnswer:
    if status == 429:
        raise rate_limited(service, seconds_to_wait(retry_after))
    if status >= 500:
        raise NotificationError(f"{service}: HTTP {status}")
    return JsonAnswer(status, answer)


def rate_limited(service: str, seconds: int | None) -> NotificationError:
    """Return the error for an answer that asks to be left alone, for so long where it says."""
    when = "later" if seconds is None else f"in {seconds} s"
    return NotificationError(f"{service}: rate limited, try again {when}", retry_after=seconds)


def seconds_to_wait(retry_after: str | None) -> int | None:
    """Return what the header Retry-After asks for, 1 to 300 s, None where it is not a number."""
    if not retry_after or not retry_after.isdecimal():
        return None
    return min(max(int(retry_after), 1), MOST_SECONDS_TO_WAIT)
