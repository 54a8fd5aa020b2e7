"""Load that is real: nothing may be terminated."""

from clients.lab.lab import Lab
from clients.lab.libraries import Library
from clients.lab.truth import Truth
from clients.scenarios.common import (
    FORGOTTEN,
    LEAK,
    LOAD,
    LONG_IDLE_MINUTES,
    OVERSIZED,
    ROOM,
    STORM,
)


def storm(lab: Lab, library: Library) -> Truth:
    """Eight hosts start together and open 6 sessions each: none has been idle for long, so none may
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
    """Let every session work: none may go, and no application is to blame."""
    reports = lab.start("reports", size=ROOM)
    reports.run(ROOM)
    lab.seen.await_sessions("reports", ROOM)
    lab.let_pass(minutes=LONG_IDLE_MINUTES)
    lab.guard(runs=1)
    return Truth(
        ended={},
        causes=(LOAD,),
        owner="reports",
        none_of=(LEAK, OVERSIZED, FORGOTTEN),
        all_keep_one=True,
        served=False,
    )
