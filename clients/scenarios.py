"""The scenarios: each builds a situation, lets the guard see it, and says what is true of it.

The server has 50 usable connections, of which the guard and the lab's observer have one each; the
policy's target leaves 34. Ages are the server's. A library plays the leading part, named shop;
everybody else is SQLAlchemy, which lends in turn.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from clients.lab import Lab
from clients.libraries import SPECIAL, Check, Library
from clients.served_application import Application
from clients.truth import Truth

LEAK = "leak"
OVERSIZED = "oversized pools"
STORM = "connection storm"
FORGOTTEN = "idle in transaction"
REOPENS = "pool reopens"
LOAD = "genuine load"

# What applications may open: usable connections without the guard's and the observer's.
ROOM = 48
LONG_IDLE = 20


def _first_errors(library: Library, ended: int) -> int | None:
    """The most errors that the first use may bring: what its library makes of it, and no more."""
    if library.crashes or library.backs_off:
        return None
    return ended if library.check is Check.NOTHING else 0


def _in_one_line(sessions: int, address: str) -> str:
    """Advice is for all that an address has open, whatever processes are behind it."""
    return rf"^(?=.*\b{sessions}\b)(?=.*\b{re.escape(address)}\b)"


def _one_quiet_pool(lab: Lab, library: Library, shop: Application) -> Truth:
    """Nothing but a pool of ROOM sessions that are all unused: it gives the surplus, and is too
    large.
    """
    surplus = lab.surplus()
    lab.guard()
    lab.resume(shop, ROOM)
    return Truth(
        ended={"shop": (surplus, surplus)},
        causes=(OVERSIZED,),
        owner="shop",
        none_of=(LEAK,),
        all_keep_one=True,
        first_errors=_first_errors(library, surplus),
    )


def idle_pool(lab: Lab, library: Library) -> Truth:
    """A pool that was all in use once, and is larger than the quiet hours need."""
    shop = lab.start("shop", library, size=ROOM)
    shop.use(ROOM)
    lab.let_pass(minutes=LONG_IDLE)
    truth = _one_quiet_pool(lab, library, shop)
    return replace(truth, says=(_in_one_line(ROOM, shop.forwarder.address),))


def _leak(lab: Lab, library: Library, *, opens_at_start: bool) -> Truth:
    """Half an hour long two sessions every two minutes are lent and never come back; another pool
    works.
    """
    checkout = lab.start("checkout", size=16)
    checkout.use(16)
    shop = lab.start("shop", library, size=32, environment={"BORROW_SECONDS": "3"})
    if opens_at_start:
        shop.use(32)
    checkout.work(2, 40)
    for _ in range(16):
        shop.hold(2)
        lab.let_pass(minutes=2)
    lab.await_fresh("checkout", 16)
    surplus = lab.surplus()
    lab.guard()
    lab.note_work(checkout)
    lab.resume_after_leak(shop)
    lab.resume(checkout, 16)
    return Truth(
        ended={"shop": (surplus, surplus)},
        causes=(LEAK,),
        owner="shop",
        none_of=(LOAD, REOPENS),
        first_errors=0,
        says=(r"(?i)restart",),
    )


def leak_from_full_pool(lab: Lab, library: Library) -> Truth:
    """A leak in a pool that opened all of its sessions at start."""
    return _leak(lab, library, opens_at_start=True)


def leak_on_demand(lab: Lab, library: Library) -> Truth:
    """A leak in a pool that opens each session when it is first needed."""
    return _leak(lab, library, opens_at_start=False)


def forgotten_transactions(lab: Lab, library: Library) -> Truth:
    """Two sessions in five sit in a transaction that nobody ends; the others work."""
    reports = lab.start("reports", size=28)
    shop = lab.start("shop", library, size=20)
    for _ in range(10):
        shop.begin(2)
        lab.let_pass(minutes=1.5)
    lab.let_pass(minutes=6)
    reports.run(28)
    lab.await_sessions("reports", 28)
    surplus = lab.surplus()
    lab.guard()
    return Truth(
        ended={"shop": (surplus, surplus)},
        causes=(FORGOTTEN,),
        owner="shop",
    )


def quiet_beside_leak(lab: Lab, library: Library) -> Truth:
    """Five healthy pools of 4 were last used before another application began to leak 28."""
    quiet = [lab.start(f"quiet-{number}", size=4) for number in range(5)]
    for pool in quiet:
        pool.use(4)
    shop = lab.start("shop", library, size=28)
    for _ in range(14):
        shop.hold(2)
        lab.let_pass(minutes=2)
    surplus = lab.surplus()
    lab.guard()
    for pool in quiet:
        lab.resume(pool, 4)
    return Truth(
        ended={"shop": (surplus, surplus)},
        causes=(LEAK,),
        owner="shop",
        first_errors=0,
    )


def _behind_one_address(lab: Lab, library: Library, *, minutes_apart: float) -> Truth:
    """Eight processes of one application on one host, each with a quiet pool of 6."""
    address = lab.address()
    shops = []
    for _ in range(8):
        shop = lab.start("shop", library, size=6, address=address)
        shop.use(6)
        shops.append(shop)
        lab.let_pass(minutes=minutes_apart)
    lab.let_pass(minutes=LONG_IDLE)
    surplus = lab.surplus()
    lab.guard()
    for shop in shops:
        lab.resume(shop, 6)
    return Truth(
        ended={"shop": (surplus, surplus)},
        causes=(OVERSIZED,),
        owner="shop",
        none_of=(LEAK,),
        # Of processes that started together nothing shows which session is whose.
        all_keep_one=minutes_apart > 0,
        first_errors=_first_errors(library, surplus),
        says=(_in_one_line(48, address),),
    )


def processes_started_together(lab: Lab, library: Library) -> Truth:
    """Eight processes behind one address that came up within seconds, as workers of one server
    do.
    """
    return _behind_one_address(lab, library, minutes_apart=0)


def processes_started_in_turn(lab: Lab, library: Library) -> Truth:
    """Eight processes behind one address that came up a minute apart."""
    return _behind_one_address(lab, library, minutes_apart=1)


def deployed_one_after_another(lab: Lab, library: Library) -> Truth:
    """Six hosts of one application, each with a pool of 8, deployed ten minutes apart and quiet
    since.
    """
    shops = []
    for _ in range(6):
        shop = lab.start("shop", library, size=8)
        shop.use(8)
        shops.append(shop)
        lab.let_pass(minutes=10)
    lab.let_pass(minutes=5)
    surplus = lab.surplus()
    lab.guard()
    for shop in shops:
        lab.resume(shop, 8)
    return Truth(
        ended={"shop": (surplus, surplus)},
        causes=(OVERSIZED,),
        owner="shop",
        none_of=(LEAK,),
        all_keep_one=True,
        even=("shop",),
        first_errors=_first_errors(library, surplus),
    )


def grown_with_traffic(lab: Lab, library: Library) -> Truth:
    """A healthy pool that grew over 40 minutes as its traffic did, and fell silent all at once."""
    shop = lab.start("shop", library, size=ROOM)
    for wanted in range(6, ROOM + 1, 6):
        shop.use(wanted)
        lab.let_pass(minutes=5)
    lab.let_pass(minutes=LONG_IDLE - 5)
    return _one_quiet_pool(lab, library, shop)


def storm(lab: Lab, library: Library) -> Truth:
    """Eight hosts come up together and open 6 each: nothing has been idle for long, nobody is to
    go.
    """
    shops = [lab.start("shop", library, size=6) for _ in range(8)]
    for shop in shops:
        shop.use(6)
    lab.guard(runs=1)
    for shop in shops:
        lab.resume(shop, 6)
    return Truth(
        ended={},
        causes=(STORM,),
        owner="shop",
        none_of=(LEAK, LOAD),
        all_keep_one=True,
        served=False,
        first_errors=0,
    )


def genuine_load(lab: Lab, _library: Library) -> Truth:
    """Everybody works: nobody is to go, and nobody is to blame."""
    reports = lab.start("reports", size=ROOM)
    reports.run(ROOM)
    lab.await_sessions("reports", ROOM)
    lab.let_pass(minutes=LONG_IDLE)
    lab.guard(runs=1)
    return Truth(
        ended={},
        causes=(LOAD,),
        owner="reports",
        none_of=(LEAK, OVERSIZED, FORGOTTEN),
        all_keep_one=True,
        served=False,
    )


def traffic_returns(lab: Lab, library: Library) -> Truth:
    """The pool's traffic returns while the guard watches, needs all it had, and falls silent
    again.
    """
    shop = lab.start("shop", library, size=ROOM)
    shop.use(ROOM)
    lab.let_pass(minutes=LONG_IDLE)
    surplus = lab.surplus()
    lab.guard(runs=1, meanwhile=lambda: lab.resume(shop, ROOM))
    lab.let_pass(minutes=LONG_IDLE)
    lab.guard()
    twice = surplus if library.crashes else 2 * surplus
    return Truth(
        ended={"shop": (twice, twice)},
        causes=(OVERSIZED,),
        owner="shop",
        none_of=(LEAK, REOPENS),
        all_keep_one=True,
        first_errors=_first_errors(library, surplus),
    )


def pool_refills_itself(lab: Lab, library: Library) -> Truth:
    """A pool whose minimum is its size: some open again what they lost although there is no work
    for it.

    Three uses come while the guard watches: many a pool learns only then what it has lost. Which
    pools do so is counted on the server, as is whether they do within the guard's watch.
    """
    uses = 3
    shop = lab.start("shop", library, size=ROOM, minimum=ROOM)
    shop.use(ROOM)
    lab.let_pass(minutes=LONG_IDLE)
    surplus = lab.surplus()
    lab.guard(meanwhile=lambda: lab.use_first(shop, uses))
    within_watch, later = lab.came_back()
    if max(within_watch, later) > 2 * uses:
        return Truth(
            ended={"shop": (surplus, 3 * surplus)},
            causes=(REOPENS, OVERSIZED),
            owner="shop",
            none_of=(LEAK,),
            sooner_or_later=(REOPENS,) if 2 * within_watch >= surplus else (),
            served=None,
            never_says=(r"the policy lets none of them be terminated", r"nothing matches"),
        )
    return Truth(
        ended={"shop": (surplus, surplus + 2 * uses)},
        causes=(OVERSIZED,),
        owner="shop",
        none_of=(LEAK, REOPENS),
        all_keep_one=True,
        first_errors=_first_errors(library, uses),
    )


def light_traffic(lab: Lab, library: Library) -> Truth:
    """A pool that is far too large for its light traffic: lent in turn, none of its sessions is
    ever old.
    """
    shop = lab.start("shop", library, size=ROOM)
    shop.use(ROOM)
    shop.work(1, 40)
    lab.let_pass(minutes=LONG_IDLE)
    lab.await_fresh("shop", ROOM if library.in_turn else 1)
    surplus = lab.surplus()
    lab.guard()
    lab.note_work(shop)
    if library.in_turn:
        return Truth(
            ended={},
            causes=(OVERSIZED,),
            owner="shop",
            none_of=(LEAK, LOAD),
            served=False,
            heard=1,
        )
    return Truth(
        ended={"shop": (surplus, surplus)},
        causes=(OVERSIZED,),
        owner="shop",
        none_of=(LEAK, LOAD),
        all_keep_one=True,
    )


def _behind_pgbouncer(lab: Lab, library: Library, mode: str) -> Truth:
    port = lab.start_pgbouncer(mode, ROOM)
    shop = lab.start_behind(port, "shop", library, size=ROOM)
    shop.begin(ROOM)  # PgBouncer needs as many sessions only while all are in a transaction
    shop.release()
    lab.let_pass(minutes=LONG_IDLE)
    surplus = lab.surplus()
    lab.guard()
    lab.resume(shop, ROOM)
    return Truth(
        ended={"shop": (surplus, surplus)},
        causes=(OVERSIZED,),
        # No owner: a client that resets its session (asyncpg) or names it late (pgjdbc) leaves
        # PgBouncer's unnamed.
        none_of=(LEAK,),
        all_keep_one=True,
        first_errors=0 if mode == "transaction" else _first_errors(library, surplus),
    )


def pgbouncer_session(lab: Lab, library: Library) -> Truth:
    """PgBouncer in front, in session mode: a session that is ended takes its client's along."""
    return _behind_pgbouncer(lab, library, "session")


def pgbouncer_transaction(lab: Lab, library: Library) -> Truth:
    """PgBouncer in front, in transaction mode: nobody sees a session that was ended between two
    transactions.
    """
    return _behind_pgbouncer(lab, library, "transaction")


def _special(lab: Lab, special: str, *, beside: int = 3, is_spared: bool = True) -> Truth:
    """A few special sessions, older than a quiet pool beside them that is large enough to give all
    that is to go.
    """
    worker = lab.start("worker", SPECIAL, size=beside, environment={"SPECIAL": special})
    lab.let_pass(minutes=1)
    pool = lab.start("shop", size=ROOM - beside)
    [(taken,)] = lab.server.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'postgres_fdw'"
    )
    pool.use(ROOM - beside - taken)
    lab.let_pass(minutes=LONG_IDLE)
    surplus = lab.surplus()
    lab.guard()
    if is_spared:
        lab.resume(worker, beside)
        ended = {"shop": (surplus, surplus)}
    else:
        ended = {"shop": (surplus - beside, surplus - beside), "worker": (beside, beside)}
    return Truth(ended=ended, causes=(OVERSIZED,), owner="shop", first_errors=0)


def listen_then_work(lab: Lab, _library: Library) -> Truth:
    """Sessions that listen and have queried since, which no look at the server shows."""
    return _special(lab, "listen then work")


def foreign_table(lab: Lab, _library: Library) -> Truth:
    """postgres_fdw's sessions, idle in transaction while the transactions that they serve work."""
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
    """Sessions with a cursor that outlives its transaction."""
    return _special(lab, "with hold")


def renamed_dump(lab: Lab, _library: Library) -> Truth:
    """pg_dump --jobs under another application_name: its leader is idle in transaction by design.

    PostgreSQL does not show what it is, and the policy protects it by its name only: it goes.
    """
    return _special(lab, "dump", beside=1, is_spared=False)


def unfinished_copy(lab: Lab, _library: Library) -> Truth:
    """Sessions in COPY FROM STDIN whose clients are slow."""
    return _special(lab, "copy")


@dataclass(frozen=True, slots=True)
class Scenario:
    """`build` does all and returns what is true; `has_library` is False where no library plays a
    part.
    """

    name: str
    build: Callable[[Lab, Library], Truth]
    has_library: bool = True


def _named(build: Callable[[Lab, Library], Truth]) -> str:
    return build.__name__.replace("_", " ")


SCENARIOS = (
    *(
        Scenario(_named(build), build)
        for build in (
            idle_pool,
            leak_from_full_pool,
            leak_on_demand,
            forgotten_transactions,
            quiet_beside_leak,
            processes_started_together,
            processes_started_in_turn,
            deployed_one_after_another,
            grown_with_traffic,
            storm,
            traffic_returns,
            pool_refills_itself,
            light_traffic,
            pgbouncer_session,
            pgbouncer_transaction,
        )
    ),
    *(
        Scenario(_named(build), build, has_library=False)
        for build in (
            genuine_load,
            listen_then_work,
            foreign_table,
            cursor_with_hold,
            renamed_dump,
            unfinished_copy,
        )
    ),
)
