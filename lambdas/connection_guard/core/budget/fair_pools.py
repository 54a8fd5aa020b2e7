"""What each pool could be so that all of them fit: the largest give first."""

from collections.abc import Sequence

from connection_guard.core.budget.service import Service


def fair_pools(services: Sequence[Service], budget: int) -> list[int] | None:
    """Return the connections that one process of each service could open, in the same order, so
    that all of them together open at most `budget`.

    No pool grows, and none is below 1. The largest are levelled until all fit, so that a small one
    does not pay for them; what is then left goes to the pools that gave, the first in order first.
    Return None where not even 1 connection per process fits.
    """
    pools = [service.largest_pool for service in services]
    processes = [service.pools for service in services]

    def opened(level: int) -> int:
        return sum(count * min(pool, level) for count, pool in zip(processes, pools, strict=True))

    if opened(1) > budget:
        return None
    low, high = 1, max(pools, default=1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if opened(middle) <= budget else (low, middle - 1)
    fair = [min(pool, low) if count else pool for count, pool in zip(processes, pools, strict=True)]
    left = budget - opened(low)
    for place, (count, pool) in enumerate(zip(processes, pools, strict=True)):
        if fair[place] < pool and count <= left:
            fair[place] += 1
            left -= count
    return fair
