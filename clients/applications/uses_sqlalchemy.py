"""SQLAlchemy's QueuePool over psycopg2; with POOL_CHECK it pings before it lends
(pool_pre_ping).
"""

from typing import Any

import sqlalchemy

from clients.applications.serving import BORROW_SECONDS, POOL_CHECK, POOL_SIZE, serve


class Pool:
    def __init__(self) -> None:
        self._engine = sqlalchemy.create_engine(
            "postgresql+psycopg2://",
            pool_size=POOL_SIZE,
            max_overflow=0,
            pool_timeout=BORROW_SECONDS,
            pool_pre_ping=POOL_CHECK,
        )

    def borrow(self) -> Any:
        return self._engine.connect()

    def execute(self, session: Any, statement: str) -> None:
        session.execute(sqlalchemy.text(statement))
        session.commit()

    def begin(self, session: Any, statement: str) -> None:
        session.execute(sqlalchemy.text(statement))

    def give_back(self, session: Any) -> None:
        session.close()


serve(Pool(), "sqlalchemy")
