"""A service that answers HTTP, and fails, limits or drips when a test says so."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import ceil
from threading import Event, Lock, Thread
from time import monotonic
from typing import Self


@dataclass(frozen=True)
class Answer:
    """An answer that begins after `seconds`, and whose bytes come `seconds_per_byte` apart."""

    status: int = 200
    body: str = ""
    retry_after: int | str | None = None
    seconds: float = 0
    seconds_per_byte: float = 0


class HttpDouble(ABC):
    """A real HTTP server on this machine. `requests` are the paths that it was asked for.

    `refused` counts what it answered with 429 because of `limit_to`, `let_through` what it did not.
    """

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.refused = 0
        self.let_through = 0
        self.is_dripping = Event()
        self._answers: deque[Answer] = deque()
        self._seconds_between_calls = 0.0
        self._clock: Callable[[], float] = monotonic
        self._last_calls: dict[str, float] = {}
        self._lock = Lock()
        self._is_closing = Event()
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Handler", (_Handler,), {"double": self})
        )
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
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @abstractmethod
    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Do what the request asks."""

    def limited(self, retry_after: int | str | None) -> Answer:
        """Return the service's answer to too many requests."""
        return Answer(429, retry_after=retry_after)

    def limit_rate(self, retry_after: int | str | None, times: int = 1) -> None:
        self._answers.extend([self.limited(retry_after)] * times)

    def limit_to(self, per_second: float, clock: Callable[[], float] = monotonic) -> None:
        """Refuse what comes sooner after the last call that was let through to the same place."""
        self._seconds_between_calls, self._clock = 1 / per_second, clock

    def fail(self, status: int = 500, times: int = 1) -> None:
        self._answers.extend([Answer(status, "<html>Server Error</html>")] * times)

    def answer(self, body: str, status: int = 200, times: int = 1) -> None:
        """Answer that instead of doing what is asked."""
        self._answers.extend([Answer(status, body)] * times)

    def be_slow(self, seconds: float, times: int = 1) -> None:
        """Answer late and with an error; what was asked is not done, either."""
        self._answers.extend([Answer(500, seconds=seconds)] * times)

    def drip(self, seconds_per_byte: float = 0.2, times: int = 1) -> None:
        """Answer a byte at a time, 50 in all: no read takes long, the whole does."""
        slow = Answer(200, " " * 50, seconds_per_byte=seconds_per_byte)
        self._answers.extend([slow] * times)

    def let_pass(self, times: int = 1) -> None:
        """Serve that many requests as usual before the next answer that was ordered."""
        self._answers.extend([_AS_USUAL] * times)

    def recover(self) -> None:
        """Do what is asked from now on."""
        self._answers.clear()

    def wait_at(self, place: str) -> int | None:
        """Return how many seconds a call to the place is too early, None where it may pass."""
        now = self._clock()
        last = self._last_calls.get(place)
        # A clock that is a sum of floats may be a little short.
        early = 0 if last is None else last + self._seconds_between_calls - now - 1e-6
        if early > 0:
            self.refused += 1
            return max(ceil(early), 1)
        self.let_through += 1
        self._last_calls[place] = now
        return None

    def next_answer(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Return the answer that was ordered, or that of the service."""
        with self._lock:
            self.requests.append(path)
            if self._answers and (answer := self._answers.popleft()) is not _AS_USUAL:
                return answer
            return self.take(path, headers, body)

    def pause(self, seconds: float) -> bool:
        """Wait, and return whether the double was closed meanwhile."""
        return self._is_closing.wait(seconds)


class _Handler(BaseHTTPRequestHandler):
    """The handler of one double's requests."""

    double: HttpDouble

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = self.double.next_answer(self.path, dict(self.headers.items()), body)
        self.double.pause(answer.seconds)
        with suppress(ConnectionError):  # the client may not have waited
            self._send(answer)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        if answer.retry_after is not None:
            self.send_header("Retry-After", str(answer.retry_after))
        if 300 <= answer.status < 400:
            self.send_header("Location", answer.body)
        is_json = answer.body.startswith(("{", "["))
        self.send_header(
            "Content-Type", "application/json; charset=utf-8" if is_json else "text/html"
        )
        self.end_headers()
        if answer.seconds_per_byte:
            self._drip(answer)
        else:
            self.wfile.write(answer.body.encode())

    def _drip(self, answer: Answer) -> None:
        self.double.is_dripping.set()
        try:
            for byte in answer.body.encode():
                self.wfile.write(bytes([byte]))
                if self.double.pause(answer.seconds_per_byte):
                    return
        finally:
            self.double.is_dripping.clear()

    def log_message(self, *_: object) -> None:
        """Keep requests out of standard error."""


_AS_USUAL = Answer()
