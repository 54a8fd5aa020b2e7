"""psycopg_pool; with POOL_CHECK it checks before it lends
(check=ConnectionPool.check_connection).
"""

from typing import Any

from psycopg_pool import ConnectionPool

from clients.applications.serving import BORROW_SECONDS, POOL_CHECK, POOL_MINIMUM, POOL_SIZE, serve


class Pool:
    def __init__(self) -> None:
        self._pool = ConnectionPool(
            "",
            min_size=POOL_MINIMUM,
            max_size=POOL_SIZE,
            timeout=BORROW_SECONDS,
            check=ConnectionPool.check_connection if POOL_CHECK else None,
            open=True,
        )
        self._pool.wait()

    def borrow(self) -> Any:
        return self._pool.getconn()

    def execute(self, session: Any, statement: str) -> None:
        session.execute(statement)
        session.commit()

    def begin(self, session: Any, statement: str) -> None:
        session.execute(statement)

    def give_back(self, session: Any) -> None:
        self._pool.putconn(session)


serve(Pool(), "psycopg-pool")
