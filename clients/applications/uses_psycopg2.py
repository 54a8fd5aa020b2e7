"""psycopg2 without a pool: each worker opens a connection when it first needs one, and keeps it."""

import threading
from typing import Any

import psycopg2

from clients.applications.serving import serve


class Pool:
    def __init__(self) -> None:
        self._free: list[Any] = []
        self._lock = threading.Lock()

    def borrow(self) -> Any:
        with self._lock:
            if self._free:
                return self._free.pop(0)
        return psycopg2.connect("")

    def execute(self, session: Any, statement: str) -> None:
        session.cursor().execute(statement)
        session.commit()

    def begin(self, session: Any, statement: str) -> None:
        session.cursor().execute(statement)

    def give_back(self, session: Any) -> None:
        if not session.closed:
            session.rollback()
            with self._lock:
                self._free.append(session)


serve(Pool(), "psycopg2-binary")
