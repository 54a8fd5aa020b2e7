"""Django as a threaded server runs it: each worker thread serves requests and has its own connection.

DJANGO is "max age" (CONN_MAX_AGE = None), "health checks" (those, too) or "pool" (psycopg_pool).
"""

import os
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import django
from django.conf import settings
from serving import BORROW_SECONDS, POOL_CHECK, POOL_MINIMUM, POOL_SIZE, serve

POOL = {"min_size": POOL_MINIMUM, "max_size": POOL_SIZE, "timeout": BORROW_SECONDS}
IS_POOLED = os.environ["DJANGO"] == "pool"

settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": os.environ["PGDATABASE"],
            "USER": os.environ["PGUSER"],
            "HOST": os.environ["PGHOST"],
            "PORT": os.environ["PGPORT"],
            "CONN_MAX_AGE": 0 if IS_POOLED else None,
            "CONN_HEALTH_CHECKS": POOL_CHECK,
            "OPTIONS": {"pool": POOL} if IS_POOLED else {},
        }
    }
)
django.setup()

from django.core.signals import request_finished, request_started  # noqa: E402
from django.db import connection  # noqa: E402


class Worker:
    """A thread that serves one request at a time."""

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[tuple[Callable[[], None], queue.SimpleQueue[Any]]]
        self._tasks = queue.SimpleQueue()
        threading.Thread(target=self._serve, daemon=True).start()

    def do(self, act: Callable[[], None]) -> None:
        answer: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._tasks.put((act, answer))
        error = answer.get()
        if error is not None:
            raise error

    def _serve(self) -> None:
        while True:
            act, answer = self._tasks.get()
            try:
                act()
            except Exception as error:
                answer.put(error)
            else:
                answer.put(None)


def _end_request() -> None:
    if connection.connection is not None and not connection.get_autocommit():
        connection.rollback()
        connection.set_autocommit(True)
    request_finished.send(sender=None)


class Pool:
    def __init__(self) -> None:
        self._idle: deque[Worker] = deque()

    def borrow(self) -> Any:
        try:
            worker = self._idle.popleft()  # a thread pool wakes the one that has waited longest
        except IndexError:
            worker = Worker()
        worker.do(lambda: request_started.send(sender=None))
        return worker

    def execute(self, session: Any, statement: str) -> None:
        session.do(lambda: connection.cursor().execute(statement))

    def begin(self, session: Any, statement: str) -> None:
        session.do(lambda: connection.set_autocommit(False))
        self.execute(session, statement)

    def give_back(self, session: Any) -> None:
        session.do(_end_request)
        self._idle.append(session)


serve(Pool(), f"Django {django.__version__}")
