"""Pools that are larger than their traffic needs."""

from dataclasses import replace

from clients.lab.lab import Lab
from clients.lab.libraries import Library
from clients.lab.served_application import Application
from clients.lab.truth import Truth
from clients.scenarios.common import (
    LEAK,
    LOAD,
    LONG_IDLE_MINUTES,
    OVERSIZED,
    REOPENS,
    ROOM,
    first_errors,
    in_one_line,
)
from connection_guard.core.decision.restraint import Restraint


def _one_quiet_pool(lab: Lab, library: Library, shop: Application) -> Truth:
    """Let the guard see a single pool of ROOM unused sessions: the surplus is terminated, and the
    pool is too large.
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
        first_errors=first_errors(library, surplus),
    )


def idle_pool(lab: Lab, library: Library) -> Truth:
    """Use all of a pool once, which is larger than quiet hours need."""
    shop = lab.start("shop", library, size=ROOM)
    shop.use(ROOM)
    lab.let_pass(minutes=LONG_IDLE_MINUTES)
    truth = _one_quiet_pool(lab, library, shop)
    return replace(truth, says=(in_one_line(ROOM, shop.forwarder.address),))


def grown_with_traffic(lab: Lab, library: Library) -> Truth:
    """Let a healthy pool grow over 40 minutes with its traffic, which then stops at once."""
    shop = lab.start("shop", library, size=ROOM)
    for wanted in range(6, ROOM + 1, 6):
        shop.use(wanted)
        lab.let_pass(minutes=5)
    lab.let_pass(minutes=LONG_IDLE_MINUTES - 5)
    return _one_quiet_pool(lab, library, shop)


def traffic_returns(lab: Lab, library: Library) -> Truth:
    """Let the pool's traffic return while the guard watches, need all sessions, and stop again."""
    shop = lab.start("shop", library, size=ROOM)
    shop.use(ROOM)
    lab.let_pass(minutes=LONG_IDLE_MINUTES)
    surplus = lab.surplus()
    lab.guard(runs=1, meanwhile=lambda: lab.resume(shop, ROOM))
    lab.let_pass(minutes=LONG_IDLE_MINUTES)
    lab.guard()
    twice = surplus if library.crashes else 2 * surplus
    return Truth(
        ended={"shop": (twice, twice)},
        causes=(OVERSIZED,),
        owner="shop",
        none_of=(LEAK, REOPENS),
        all_keep_one=True,
        first_errors=first_errors(library, surplus),
    )


def pool_refills_itself(lab: Lab, library: Library) -> Truth:
    """Give a pool its size as its minimum: some pools reopen what they lost although there is no
    work.

    Three uses come while the guard watches, because many pools notice a loss only then. The server
    shows which pools reopen sessions, and whether they do so while the guard watches.
    """
    uses = 3
    shop = lab.start("shop", library, size=ROOM, minimum=ROOM)
    shop.use(ROOM)
    lab.let_pass(minutes=LONG_IDLE_MINUTES)
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
            never_restrained=(Restraint.NOTHING_MATCHES,),
        )
    return Truth(
        ended={"shop": (surplus, surplus + 2 * uses)},
        causes=(OVERSIZED,),
        owner="shop",
        none_of=(LEAK, REOPENS),
        all_keep_one=True,
        first_errors=first_errors(library, uses),
    )


def light_traffic(lab: Lab, library: Library) -> Truth:
    """Make a pool far too large for its light traffic: lent in turn, no session ever becomes
    old.
    """
    shop = lab.start("shop", library, size=ROOM)
    shop.use(ROOM)
    shop.work(1, 40)
    lab.let_pass(minutes=LONG_IDLE_MINUTES)
    lab.seen.await_fresh("shop", ROOM if library.in_turn else 1)
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
    lab.let_pass(minutes=LONG_IDLE_MINUTES)
    surplus = lab.surplus()
    lab.guard()
    lab.resume(shop, ROOM)
    return Truth(
        ended={"shop": (surplus, surplus)},
        causes=(OVERSIZED,),
        # No owner: a client that resets its session (asyncpg) or names it late (pgjdbc) leaves
        # PgBouncer's session unnamed.
        none_of=(LEAK,),
        all_keep_one=True,
        first_errors=0 if mode == "transaction" else first_errors(library, surplus),
    )


def pgbouncer_session(lab: Lab, library: Library) -> Truth:
    """PgBouncer in session mode: a terminated session ends its client's session, too."""
    return _behind_pgbouncer(lab, library, "session")


def pgbouncer_transaction(lab: Lab, library: Library) -> Truth:
    """PgBouncer in transaction mode: no client notices a session that is terminated between two
    transactions.
    """
    return _behind_pgbouncer(lab, library, "transaction")
