"""Applications of several processes, each with a quiet pool of its own."""

from clients.lab.lab import Lab
from clients.lab.libraries import Library
from clients.lab.truth import Truth
from clients.scenarios.common import LEAK, LONG_IDLE_MINUTES, OVERSIZED, first_errors, in_one_line


def _behind_one_address(lab: Lab, library: Library, *, minutes_apart: float) -> Truth:
    """Let the guard see eight processes on one host, each with a quiet pool of 6."""
    address = lab.address()
    shops = []
    for _ in range(8):
        shop = lab.start("shop", library, size=6, address=address)
        shop.use(6)
        shops.append(shop)
        lab.let_pass(minutes=minutes_apart)
    lab.let_pass(minutes=LONG_IDLE_MINUTES)
    surplus = lab.surplus()
    lab.guard()
    for shop in shops:
        lab.resume(shop, 6)
    return Truth(
        ended={"shop": (surplus, surplus)},
        causes=(OVERSIZED,),
        owner="shop",
        none_of=(LEAK,),
        # Where processes started together, nothing shows which session belongs to which.
        all_keep_one=minutes_apart > 0,
        first_errors=first_errors(library, surplus),
        says=(in_one_line(48, address),),
    )


def processes_started_together(lab: Lab, library: Library) -> Truth:
    """Eight processes behind one address started within seconds, as a server's workers do."""
    return _behind_one_address(lab, library, minutes_apart=0)


def processes_started_in_turn(lab: Lab, library: Library) -> Truth:
    """Eight processes behind one address started a minute apart."""
    return _behind_one_address(lab, library, minutes_apart=1)


def deployed_one_after_another(lab: Lab, library: Library) -> Truth:
    """Six hosts of one application, each with a pool of 8, were deployed ten minutes apart and have
    been quiet since.
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
        first_errors=first_errors(library, surplus),
    )
