"""Slack, as far as Connection Guard uses it: a real HTTP server that keeps the conversation.

It refuses what Slack refuses, by the limits that Slack documents:
https://docs.slack.dev/reference/block-kit/blocks
https://docs.slack.dev/reference/methods/chat.postMessage
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

import json
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Event, Lock, Thread
from typing import Any, Self

MOST_BLOCKS = 50
MOST_HEADER = 150
MOST_TEXT = 3_000
MOST_FIELDS = 10
MOST_FIELD = 2_000
MOST_ELEMENTS = 10
MOST_MESSAGE_TEXT = 4_000
# Not documented in figures; Slack answers msg_blocks_too_long beyond about as much.
MOST_OF_ALL_BLOCKS = 13_000


@dataclass
class Posted:
    """A message as readers see it now; `edits` are what it was before, the oldest first."""

    channel: str
    timestamp: str
    thread: str | None
    content: dict[str, Any]
    edits: list[dict[str, Any]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return str(self.content.get("text", ""))

    @property
    def blocks(self) -> list[dict[str, Any]]:
        return list(_blocks(self.content))


@dataclass(frozen=True)
class Answer:
    """An answer that Slack gives once, after `seconds`, instead of doing what it is asked."""

    status: int = 200
    body: str = ""
    retry_after: int | None = None
    seconds: float = 0


class SlackDouble:
    """One channel of a workspace, with one bot and one incoming webhook."""

    def __init__(self, token: str = "xoxb-1234-abcd", channel: str = "C0123ABCD") -> None:  # noqa: S107
        self.token = token
        self.channel = channel
        self.messages: list[Posted] = []
        self.requests: list[str] = []
        self._answers: deque[Answer] = deque()
        self._numbers = count(1)
        self._lock = Lock()
        self._is_closing = Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Refuse connections from now on."""
        if not self._is_closing.is_set():
            self._is_closing.set()
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/api/"

    @property
    def webhook(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/services/T0123/B0123/unguessable"

    @property
    def channel_view(self) -> list[Posted]:
        """The messages in the channel itself, the oldest first."""
        return [message for message in self.messages if message.thread is None]

    def thread_of(self, message: Posted) -> list[Posted]:
        return [reply for reply in self.messages if reply.thread == message.timestamp]

    def limit_rate(self, retry_after: int, times: int = 1) -> None:
        self._answers.extend(
            [Answer(429, _json(ok=False, error="ratelimited"), retry_after)] * times
        )

    def fail(self, status: int = 500, times: int = 1) -> None:
        self._answers.extend([Answer(status, "<html>Server Error</html>")] * times)

    def refuse(self, error: str, times: int = 1) -> None:
        self._answers.extend([Answer(200, _json(ok=False, error=error))] * times)

    def be_slow(self, seconds: float, times: int = 1) -> None:
        """Answer late and with an error; what was asked is not done, either."""
        self._answers.extend([Answer(500, seconds=seconds)] * times)

    def let_pass(self, times: int = 1) -> None:
        """Serve that many requests as usual before the next answer that was ordered."""
        self._answers.extend([_AS_USUAL] * times)

    def recover(self) -> None:
        """Do what is asked from now on."""
        self._answers.clear()

    def delete(self, message: Posted) -> None:
        self.messages.remove(message)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        double = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = double._answer(self.path, self.headers.get("Authorization"), body)
                double._is_closing.wait(answer.seconds)
                try:
                    self.send_response(answer.status)
                    if answer.retry_after is not None:
                        self.send_header("Retry-After", str(answer.retry_after))
                    is_json = answer.body.startswith("{")
                    self.send_header(
                        "Content-Type",
                        "application/json; charset=utf-8" if is_json else "text/html",
                    )
                    self.end_headers()
                    self.wfile.write(answer.body.encode())
                except ConnectionError:
                    pass  # the client did not wait

            def log_message(self, *_: object) -> None:
                """Keep requests out of standard error."""

        return Handler

    def _answer(self, path: str, authorization: str | None, body: bytes) -> Answer:
        with self._lock:
            self.requests.append(path)
            if self._answers and (answer := self._answers.popleft()) is not _AS_USUAL:
                return answer
            if path == self.webhook.partition(str(self._server.server_port))[2]:
                return self._take_from_webhook(json.loads(body))
            if not path.startswith("/api/"):
                return Answer(404, "no_service")
            return Answer(
                200, self._call(path.removeprefix("/api/"), authorization, json.loads(body))
            )

    def _take_from_webhook(self, content: dict[str, Any]) -> Answer:
        error = error_in(content)
        if error:
            return Answer(400, error)
        self._keep(None, content)
        return Answer(200, "ok")

    def _call(self, method: str, authorization: str | None, content: dict[str, Any]) -> str:
        if authorization is None:
            return _json(ok=False, error="not_authed")
        if authorization != f"Bearer {self.token}":
            return _json(ok=False, error="invalid_auth")
        if content.pop("channel", None) != self.channel:
            return _json(ok=False, error="channel_not_found")
        if error := error_in(content):
            return _json(ok=False, error=error)
        match method:
            case "chat.postMessage":
                posted = self._keep(content.pop("thread_ts", None), content)
            case "chat.update":
                timestamp = content.pop("ts", None)
                found = next(
                    (message for message in self.messages if message.timestamp == timestamp), None
                )
                if found is None:
                    return _json(ok=False, error="message_not_found")
                found.edits.append(found.content)
                found.content = content
                posted = found
            case _:
                return _json(ok=False, error="unknown_method")
        return _json(
            ok=True, channel=self.channel, ts=posted.timestamp, message={"text": posted.text}
        )

    def _keep(self, thread: str | None, content: dict[str, Any]) -> Posted:
        posted = Posted(
            self.channel, f"{int(time.time())}.{next(self._numbers):06}", thread, content
        )
        self.messages.append(posted)
        return posted


_AS_USUAL = Answer()


def _json(**fields: object) -> str:
    return json.dumps(fields)


def _blocks(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from content.get("blocks", [])
    for attachment in content.get("attachments", []):
        yield from attachment.get("blocks", [])


def error_in(content: dict[str, Any]) -> str | None:
    """Return Slack's code for what is wrong with a message, None where nothing is."""
    blocks = list(_blocks(content))
    if not content.get("text") and not blocks:
        return "no_text"
    if _length(content.get("text", "")) > MOST_MESSAGE_TEXT:
        return "msg_too_long"
    if len(blocks) > MOST_BLOCKS or not all(map(_is_valid, blocks)):
        return "invalid_blocks"
    if (
        sum(_length(text["text"]) for block in blocks for text in _texts(block))
        > MOST_OF_ALL_BLOCKS
    ):
        return "msg_blocks_too_long"
    return None


def _is_valid(block: dict[str, Any]) -> bool:
    match block:
        case {"type": "header", "text": {"type": "plain_text"} as text, **rest}:
            return not rest and _is_text(text, MOST_HEADER)
        case {"type": "section", "text": text, **rest}:
            return not rest and _is_text(text, MOST_TEXT)
        case {"type": "section", "fields": [*fields], **rest}:
            return (
                not rest
                and 0 < len(fields) <= MOST_FIELDS
                and all(_is_text(each, MOST_FIELD) for each in fields)
            )
        case {"type": "context", "elements": [*elements], **rest}:
            is_in_number = 0 < len(elements) <= MOST_ELEMENTS
            return not rest and is_in_number and all(_is_text(each, MOST_TEXT) for each in elements)
        case {"type": "divider", **rest}:
            return not rest
    return False


def _is_text(text: dict[str, Any], most: int) -> bool:
    match text:
        case {"type": "plain_text", "text": str(words), **rest}:
            knows = {"emoji"}
        case {"type": "mrkdwn", "text": str(words), **rest}:
            knows = {"verbatim"}
        case _:
            return False
    return rest.keys() <= knows and 0 < _length(words) <= most


def _texts(block: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        *([block["text"]] if "text" in block else []),
        *block.get("fields", []),
        *block.get("elements", []),
    ]


def _length(text: str) -> int:
    """Return the length in UTF-16 code units, the largest of the ways in which Slack may count."""
    return len(text.encode("utf-16-le")) // 2
