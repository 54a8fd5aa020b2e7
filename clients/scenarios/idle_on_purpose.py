"""Sessions that are idle on purpose."""

from clients.lab.lab import Lab
from clients.lab.libraries import SPECIAL, Library
from clients.lab.truth import Truth
from clients.scenarios.common import LONG_IDLE_MINUTES, OVERSIZED, ROOM


def _special(lab: Lab, special: str, *, beside: int = 3, is_spared: bool = True) -> Truth:
    """Let the guard see a few special sessions that are older than a quiet pool, which is large
    enough to cover the surplus.
    """
    worker = lab.start("worker", SPECIAL, size=beside, environment={"SPECIAL": special})
    lab.let_pass(minutes=1)
    pool = lab.start("shop", size=ROOM - beside)
    [(taken,)] = lab.server.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'postgres_fdw'"
    )
    pool.use(ROOM - beside - taken)
    lab.let_pass(minutes=LONG_IDLE_MINUTES)
    surplus = lab.surplus()
    lab.guard()
    if is_spared:
        lab.resume(worker, beside)
        ended = {"shop": (surplus, surplus)}
    else:
        ended = {"shop": (surplus - beside, surplus - beside), "worker": (beside, beside)}
    return Truth(ended=ended, causes=(OVERSIZED,), owner="shop", first_errors=0)


def listen_then_work(lab: Lab, _library: Library) -> Truth:
    """Let sessions listen that have run queries since, so that the server does not show it."""
    return _special(lab, "listen then work")


def foreign_table(lab: Lab, _library: Library) -> Truth:
    """postgres_fdw's sessions are idle in transaction, while transactions that need them work."""
    server = lab.server
    server.execute("CREATE EXTENSION postgres_fdw")
    server.execute(
        f"CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{server.host}', "
        f"port '{server.port}', dbname 'postgres')"
    )
    server.execute(
        "CREATE USER MAPPING FOR shop SERVER elsewhere OPTIONS (user 'shop', password_required "
        "'false')"
    )
    server.execute("CREATE SCHEMA elsewhere")
    server.execute(
        "CREATE FOREIGN TABLE elsewhere.orders (id int, total numeric) SERVER elsewhere OPTIONS "
        "(schema_name 'public', table_name 'orders')"
    )
    server.execute("GRANT USAGE ON SCHEMA elsewhere TO shop")
    server.execute("GRANT SELECT ON elsewhere.orders TO shop")
    return _special(lab, "foreign table")


def cursor_with_hold(lab: Lab, _library: Library) -> Truth:
    """Open sessions with a cursor that outlives its transaction."""
    return _special(lab, "with hold")


def renamed_dump(lab: Lab, _library: Library) -> Truth:
    """pg_dump --jobs runs under another application_name; its leader is idle in transaction by
    design.

    PostgreSQL does not show what it is, and the policy protects it only by its name: it goes.
    """
    return _special(lab, "dump", beside=1, is_spared=False)


def unfinished_copy(lab: Lab, _library: Library) -> Truth:
    """Keep sessions in COPY FROM STDIN, with slow clients."""
    return _special(lab, "copy")
