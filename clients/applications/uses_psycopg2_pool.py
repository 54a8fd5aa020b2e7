"""psycopg2.pool: raises where it is exhausted, and checks nothing."""

from typing import Any

from psycopg2.pool import ThreadedConnectionPool

from clients.applications.serving import POOL_MINIMUM, POOL_SIZE, serve


class Pool:
    def __init__(self) -> None:
        self._pool = ThreadedConnectionPool(max(POOL_MINIMUM, 1), POOL_SIZE)
        self._pool.minconn = POOL_SIZE  # or it closes what is given back beyond the minimum

    def borrow(self) -> Any:
        return self._pool.getconn()

    def execute(self, session: Any, statement: str) -> None:
        session.cursor().execute(statement)
        session.commit()

    def begin(self, session: Any, statement: str) -> None:
        session.cursor().execute(statement)

    def give_back(self, session: Any) -> None:
        self._pool.putconn(session)


serve(Pool(), "psycopg2-binary")
