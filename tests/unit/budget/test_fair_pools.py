"""What each pool could be: it always fits where it can, and takes no more than it has to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connection_guard.core.budget.fair_pools import fair_pools
from connection_guard.core.budget.service import Service
from tests.unit.budget.services import a_service

services = st.lists(
    st.builds(
        a_service,
        replicas=st.integers(0, 30),
        surge=st.integers(0, 10),
        processes=st.integers(1, 8),
        pool_size=st.integers(0, 100),
        overflow=st.integers(0, 50),
    ),
    max_size=8,
)
budgets = st.integers(0, 5_000)


def opened(everyone: list[Service], pools: list[int]) -> int:
    return sum(each.pools * pool for each, pool in zip(everyone, pools, strict=True))


@given(services, budgets)
def test_it_fits_with_one_per_process_at_least_and_no_pool_grows(
    everyone: list[Service], budget: int
) -> None:
    fair = fair_pools(everyone, budget)

    if fair is None:
        assert opened(everyone, [min(each.largest_pool, 1) for each in everyone]) > budget
        return
    assert opened(everyone, fair) <= budget
    for each, pool in zip(everyone, fair, strict=True):
        assert min(each.largest_pool, 1) <= pool <= each.largest_pool


@given(services, budgets)
def test_no_smallest_of_those_that_give_could_keep_one_more(
    everyone: list[Service], budget: int
) -> None:
    fair = fair_pools(everyone, budget) or []
    giving = [pair for pair in zip(everyone, fair, strict=False) if pair[1] < pair[0].largest_pool]

    for each, pool in giving:
        if pool == min(pool for _, pool in giving):
            assert opened(everyone, fair) + each.pools > budget


@given(services, budgets)
def test_no_pool_gives_while_another_keeps_more(everyone: list[Service], budget: int) -> None:
    """One more can remain of the division."""
    fair = fair_pools(everyone, budget)

    if fair is not None:
        pairs = [pair for pair in zip(everyone, fair, strict=True) if pair[0].pools]
        most = max((pool for _, pool in pairs), default=0)
        assert all(most - pool <= 1 for each, pool in pairs if pool < each.largest_pool)


@given(services)
def test_what_fits_stays_as_it_is(everyone: list[Service]) -> None:
    pools = [each.largest_pool for each in everyone]

    assert fair_pools(everyone, opened(everyone, pools)) == pools


@pytest.mark.parametrize(
    ("budget", "fair"),
    [(60, [10, 50]), (59, [10, 49]), (30, [10, 20]), (19, [10, 9]), (12, [6, 6]), (2, [1, 1])],
)
def test_the_largest_gives_first(budget: int, fair: list[int]) -> None:
    everyone = [a_service("small", pool_size=10), a_service("large", pool_size=50)]

    assert fair_pools(everyone, budget) == fair


def test_where_not_even_one_each_fits_there_is_no_proposal() -> None:
    assert fair_pools([a_service(replicas=5, processes=4)], 19) is None


def test_a_service_without_replicas_has_nothing_to_give() -> None:
    everyone = [a_service("off", replicas=0, pool_size=90), a_service(pool_size=50)]

    assert fair_pools(everyone, 20) == [90, 20]
