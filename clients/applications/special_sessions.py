"""Sessions that are idle on purpose, and what each of them would lose: psycopg2 without a pool.

SPECIAL is their kind. There are POOL_SIZE sessions; `use` checks whether all still serve their
purpose.
"""

import contextlib
import json
import os
import sys
import threading
from typing import Any

import psycopg2

from clients.applications.serving import LONG, POOL_SIZE, READ, release


def listen_then_work(session: Any) -> None:
    """Wait for notifications as a worker does, and query in between."""
    session.autocommit = True
    session.cursor().execute("LISTEN orders")
    session.cursor().execute(READ)


def foreign_table(session: Any) -> None:
    """Read a foreign table in a transaction that goes on working: its remote session waits."""
    session.cursor().execute("SELECT count(*) FROM elsewhere.orders")
    threading.Thread(target=session.cursor().execute, args=(LONG,), daemon=True).start()


def with_hold(session: Any) -> None:
    """Open a cursor that outlives its transaction."""
    session.cursor().execute(
        "DECLARE pages CURSOR WITH HOLD FOR SELECT generate_series(1, 1000); FETCH 10 FROM pages"
    )
    session.commit()


def dump(session: Any) -> None:
    """Do what the leader of pg_dump --jobs does while its workers copy."""
    session.set_session(isolation_level="REPEATABLE READ", readonly=True)
    session.cursor().execute("SELECT pg_export_snapshot()")
    session.cursor().execute("LOCK TABLE orders IN ACCESS SHARE MODE")


def copy(session: Any) -> None:
    """Begin a COPY whose client has yet to send the next rows."""
    more, _ = os.pipe()
    rows = os.fdopen(more)
    arguments = ("COPY orders FROM STDIN", rows)
    threading.Thread(target=session.cursor().copy_expert, args=arguments, daemon=True).start()


STATEMENTS = {
    "listen then work": (listen_then_work, "SELECT 1 / count(*) FROM pg_listening_channels()"),
    "foreign table": (foreign_table, None),
    "with hold": (with_hold, "FETCH 1 FROM pages"),
    "dump": (dump, READ),
    "copy": (copy, None),
}


def main() -> None:
    make, ask = STATEMENTS[os.environ["SPECIAL"]]
    sessions = [psycopg2.connect("") for _ in range(POOL_SIZE)]
    for session in sessions:
        make(session)
    print(json.dumps({"ready": release("psycopg2-binary")}), flush=True)
    for _line in sys.stdin:
        served, error = 0, None
        for session in sessions:
            try:
                if ask is not None:
                    session.cursor().execute(ask)
                elif session.closed:
                    raise psycopg2.OperationalError("the session is closed")
                served += 1
            except psycopg2.Error as refused:
                error = " ".join(str(refused).split())
        answer = {"served": served, "failed": POOL_SIZE - served, "error": error, "seconds": 0}
        print(json.dumps(answer), flush=True)
    with contextlib.suppress(OSError):
        os._exit(0)


if __name__ == "__main__":
    main()
