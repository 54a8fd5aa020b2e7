"""What each of the lab's applications in Python does with its library's pool.

Each line on standard input is a command, and is answered with one line of JSON:

    use COUNT          borrow as many sessions at once, query with each, give them back
    hold COUNT         the same, but never give them back
    begin COUNT        the same, and leave a transaction open
    run COUNT          let as many sessions run one statement each for hours
    release            give back what is held
    work WORKERS RATE  let as many WORKERS use one session each, RATE times per second in all
    rest               end that work, and answer with its result

The answer has how many uses were `served`, how many `failed`, the first `error`, and the `seconds`
that the slowest use took. The process ends with its standard input. The environment describes the
pool: POOL_SIZE, POOL_MINIMUM, POOL_CHECK, BORROW_SECONDS and libpq's variables (PGHOST ...).
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from typing import Any, Protocol

READ = "SELECT count(*) FROM orders"
WRITE = "UPDATE orders SET total = total + 1 WHERE id = (SELECT pg_backend_pid() % 1000)"
LONG = "SELECT pg_sleep(36000)"

POOL_SIZE = int(os.environ["POOL_SIZE"])
POOL_MINIMUM = int(os.environ["POOL_MINIMUM"])
POOL_CHECK = os.environ["POOL_CHECK"] == "1"
BORROW_SECONDS = float(os.environ["BORROW_SECONDS"])


class Pool(Protocol):
    """A library's pool, used as its manual says. A session is what the pool lends."""

    def borrow(self) -> Any:
        """Return a session from the pool."""

    def execute(self, session: Any, statement: str) -> None:
        """Run the statement and commit."""

    def begin(self, session: Any, statement: str) -> None:
        """Run the statement in a transaction and leave it open."""

    def give_back(self, session: Any) -> None:
        """End what is open and give the session back, even if it is broken."""


@dataclass
class Tally:
    """The results of some uses."""

    served: int = 0
    errors: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def answer(self) -> dict[str, Any]:
        error = self.errors[0] if self.errors else None
        return {
            "served": self.served,
            "failed": len(self.errors),
            "error": error,
            "seconds": round(self.seconds, 3),
        }


def release(package: str) -> str:
    """Return the package's name and version."""
    return f"{package} {metadata.version(package)}"


class Application:
    """An application that executes the commands."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._held: list[Any] = []
        self._lock = threading.Lock()
        self._resting = threading.Event()
        self._workers: list[threading.Thread] = []
        self._work = Tally()

    def use(self, count: int) -> Tally:
        """Use that many sessions at once: all are borrowed before any is given back."""
        borrowed = threading.Barrier(count)
        tally = Tally()

        def use_one() -> None:
            with self._noted(tally) as use:
                session = None
                try:
                    session = use(self._pool.borrow)
                    use(lambda: self._pool.execute(session, READ))
                finally:
                    borrowed.wait()
                    if session is not None:
                        use(lambda: self._pool.give_back(session))

        self._all_at_once(use_one, count)
        return tally

    def hold(self, count: int, act: Callable[[Any], None]) -> Tally:
        tally = Tally()

        def hold_one() -> None:
            with self._noted(tally) as use:
                session = use(self._pool.borrow)
                try:
                    use(lambda: act(session))
                finally:
                    with self._lock:
                        self._held.append(session)

        self._all_at_once(hold_one, count)
        return tally

    def run(self, count: int) -> Tally:
        sessions = [self._pool.borrow() for _ in range(count)]
        for session in sessions:
            threading.Thread(target=self._pool.execute, args=(session, LONG), daemon=True).start()
        return Tally(served=count)

    def release(self) -> Tally:
        tally = Tally()
        for session in self._held:
            with self._noted(tally) as use:
                use(partial(self._pool.give_back, session))
        self._held.clear()
        return tally

    def work(self, workers: int, per_second: float) -> Tally:
        self._resting.clear()
        self._work = Tally()

        def work_one() -> None:
            while not self._resting.wait(workers / per_second):
                with self._noted(self._work) as use:
                    session = use(self._pool.borrow)
                    try:
                        use(partial(self._pool.execute, session, READ))
                    finally:
                        use(partial(self._pool.give_back, session))

        self._workers = [threading.Thread(target=work_one, daemon=True) for _ in range(workers)]
        for worker in self._workers:
            worker.start()
        return Tally()

    def rest(self) -> Tally:
        self._resting.set()
        for worker in self._workers:
            worker.join()
        return self._work

    def _noted(self, tally: Tally) -> "_Noted":
        return _Noted(tally, self._lock)

    @staticmethod
    def _all_at_once(act: Callable[[], None], count: int) -> None:
        threads = [threading.Thread(target=act, daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


class _Noted:
    """One use, counted as served unless a step failed, and then with its first error."""

    def __init__(self, tally: Tally, lock: threading.Lock) -> None:
        self._tally = tally
        self._lock = lock
        self._error: str | None = None
        self._seconds = 0.0

    def __enter__(self) -> Callable[[Callable[[], Any]], Any]:
        return self._step

    def _step(self, act: Callable[[], Any]) -> Any:
        started = time.monotonic()
        try:
            return act()
        except Exception as error:
            self._error = self._error or f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise
        finally:
            self._seconds += time.monotonic() - started

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> bool:
        with self._lock:
            self._tally.seconds = max(self._tally.seconds, self._seconds)
            if self._error is None and error is None:
                self._tally.served += 1
            else:
                self._tally.errors.append((self._error or repr(error))[:200])
        return error is None or isinstance(error, Exception)


def serve(pool: Pool, package: str) -> None:
    """Answer commands until standard input ends; `package` is pip's name of the library."""
    application = Application(pool)
    print(json.dumps({"ready": release(package)}), flush=True)
    for line in sys.stdin:
        command, *numbers = line.split()
        count = int(numbers[0]) if numbers else 0
        match command:
            case "use":
                tally = application.use(count)
            case "hold":
                tally = application.hold(count, lambda session: pool.execute(session, READ))
            case "begin":
                tally = application.hold(count, lambda session: pool.begin(session, WRITE))
            case "run":
                tally = application.run(count)
            case "release":
                tally = application.release()
            case "work":
                tally = application.work(count, float(numbers[1]))
            case "rest":
                tally = application.rest()
            case _:
                sys.exit(f"unknown command: {line!r}")
        print(json.dumps(tally.answer()), flush=True)
    os._exit(0)  # drivers would complain about the sessions that were terminated
