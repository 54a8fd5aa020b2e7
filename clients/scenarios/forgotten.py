"""Sessions and transactions that their application has forgotten."""

from clients.lab.lab import Lab
from clients.lab.libraries import Library
from clients.lab.truth import Truth
from clients.scenarios.common import FORGOTTEN, LEAK, LOAD, REOPENS


def _leak(lab: Lab, library: Library, *, opens_at_start: bool) -> Truth:
    """Lend two sessions every two minutes for half an hour that never come back; another pool
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
    lab.seen.await_fresh("checkout", 16)
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
    """Let a pool leak that opened all of its sessions at start."""
    return _leak(lab, library, opens_at_start=True)


def leak_on_demand(lab: Lab, library: Library) -> Truth:
    """Let a pool leak that opens each session when it is first needed."""
    return _leak(lab, library, opens_at_start=False)


def forgotten_transactions(lab: Lab, library: Library) -> Truth:
    """Two in five sessions are in a transaction that is never ended; the others work."""
    reports = lab.start("reports", size=28)
    shop = lab.start("shop", library, size=20)
    for _ in range(10):
        shop.begin(2)
        lab.let_pass(minutes=1.5)
    lab.let_pass(minutes=6)
    reports.run(28)
    lab.seen.await_sessions("reports", 28)
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
