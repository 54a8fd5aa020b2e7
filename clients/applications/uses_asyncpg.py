"""asyncpg's pool, on an event loop of its own."""

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any

import asyncpg

from clients.applications.serving import BORROW_SECONDS, POOL_MINIMUM, POOL_SIZE, serve


class Pool:
    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._pool = self._wait(self._create())

    def borrow(self) -> Any:
        return self._wait(self._pool.acquire(timeout=BORROW_SECONDS))

    def execute(self, session: Any, statement: str) -> None:
        self._wait(session.execute(statement))

    def begin(self, session: Any, statement: str) -> None:
        self._wait(session.execute("BEGIN"))
        self._wait(session.execute(statement))

    def give_back(self, session: Any) -> None:
        self._wait(self._pool.release(session))

    @staticmethod
    async def _create() -> Any:
        # Its own timer closes what is idle for 5 min: off, since this process's clock is not
        # turned.
        return await asyncpg.create_pool(
            min_size=POOL_MINIMUM,
            max_size=POOL_SIZE,
            max_inactive_connection_lifetime=0,
            server_settings={"application_name": os.environ["PGAPPNAME"]},
        )

    def _wait(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        async def awaited() -> Any:
            return await coroutine

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop).result()


serve(Pool(), "asyncpg")
