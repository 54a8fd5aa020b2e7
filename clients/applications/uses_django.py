"""Django as a threaded server runs it: each worker thread serves requests and has its own
connection.

DJANGO is "max age" (CONN_MAX_AGE = None), "health checks" (those, too) or "pool" (psycopg_pool).
"""

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import django
from django.conf import settings

from clients.applications.serving import BORROW_SECONDS, POOL_CHECK, POOL_MINIMUM, POOL_SIZE, serve

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


def _end_request() -> None:
    if connection.connection is not None and not connection.get_autocommit():
        connection.rollback()
        connection.set_autocommit(True)
    request_finished.send(sender=None)


class Pool:
    def __init__(self) -> None:
        self._idle: deque[ThreadPoolExecutor] = deque()

    def borrow(self) -> Any:
        try:
            worker = self._idle.popleft()  # a thread pool wakes the one that has waited longest
        except IndexError:
            worker = ThreadPoolExecutor(1)
        worker.submit(request_started.send, sender=None).result()
        return worker

    def execute(self, session: Any, statement: str) -> None:
        session.submit(lambda: connection.cursor().execute(statement)).result()

    def begin(self, session: Any, statement: str) -> None:
        session.submit(lambda: connection.set_autocommit(False)).result()
        self.execute(session, statement)

    def give_back(self, session: Any) -> None:
        session.submit(_end_request).result()
        self._idle.append(session)


serve(Pool(), "Django")
