"""The sum of pools against what a database has to give, and which services count there."""

import pytest

from connection_guard.core.budget.pool_budget import (
    RDS_PROXY,
    PoolBudget,
    assigned,
    with_declarations,
)
from connection_guard.core.budget.service import Service, surge_of
from tests.unit.budget.services import a_declaration, a_service

HOST = "orders.example"
PROXY = "orders.proxy.example"


def placed(*services: Service, of_all: str | None = None) -> dict[str, Service]:
    everyone = assigned(services, {HOST: "orders"}, {PROXY: "orders"}, of_all)
    return {each.name: each for each in everyone}


# The arithmetic


def test_a_service_opens_a_pool_per_process_of_every_replica_also_of_those_that_surge() -> None:
    service = a_service(replicas=6, surge=2, processes=4, pool_size=5, overflow=10)

    assert service.connections == (6 + 2) * 4 * (5 + 10)


@pytest.mark.parametrize(
    ("written", "replicas", "surge"),
    [("25%", 1, 1), ("25%", 4, 1), ("25%", 5, 2), ("0%", 5, 0), ("100%", 5, 5), (3, 5, 3)],
)
def test_a_percentage_of_surge_is_rounded_up(written: int | str, replicas: int, surge: int) -> None:
    assert surge_of(written, replicas) == surge


def test_over_is_what_the_pools_may_open_beyond_the_share() -> None:
    budget = PoolBudget("orders", 197, 80, (a_service(pool_size=100), a_service(pool_size=96)))

    assert (budget.limit, budget.opened, budget.over) == (157, 196, 39)
    assert budget.in_words() == (
        "services may open 196 connections; 80 % of 197 usable are 157: over by 39"
    )


def test_what_fits_has_connections_to_spare() -> None:
    budget = PoolBudget("orders", 197, 80, (a_service(pool_size=157),))

    assert budget.over == 0
    assert budget.in_words().endswith("are 157: 0 to spare")


def test_overflow_is_given_up_before_the_pool() -> None:
    service = a_service(replicas=4, pool_size=5, overflow=10)

    [proposal] = PoolBudget("orders", 30, 100, (service,)).proposals() or []

    assert (proposal.pool_size, proposal.overflow) == (5, 2)
    [proposal] = PoolBudget("orders", 12, 100, (service,)).proposals() or []
    assert (proposal.pool_size, proposal.overflow) == (3, 0)


def test_an_unknown_pool_is_no_pool_of_0() -> None:
    budget = PoolBudget("orders", 100, 80, (a_service(pool_size=None), a_service(pool_size=7)))

    assert [each.connections for each in budget.unknown] == [None]
    assert budget.in_words().endswith("are 80, without 1 pool of unknown size")


# Which services count, and where


def test_a_service_uses_the_database_that_its_host_is() -> None:
    services = placed(a_service(host="Orders.Example"), a_service("other", host="else.example"))

    assert services["api"].database == "orders"
    assert services["other"].database is None


def test_the_database_of_all_is_that_of_services_with_another_host() -> None:
    assert placed(a_service(host="db"), of_all="orders")["api"].database == "orders"


def test_a_service_behind_a_pooler_counts_there() -> None:
    pooler = a_service("pgbouncer", host=HOST, is_pooler=True, answers_to=frozenset({"pgbouncer"}))
    services = placed(a_service(host="pgbouncer.shop.svc.cluster.local", pool_size=500), pooler)

    assert services["api"].through == "pgbouncer"
    assert services["api"].database == "orders"
    budget = PoolBudget("orders", 100, 80, tuple(services.values()))
    assert budget.opened == 10


def test_poolers_that_lead_to_each_other_do_not_go_round_for_ever() -> None:
    one = a_service("one", host="two", is_pooler=True, answers_to=frozenset({"one"}))
    two = a_service("two", host="one", is_pooler=True, answers_to=frozenset({"two"}))

    assert set(placed(one, two)) == {"one", "two"}


def test_rds_proxy_opens_what_its_clients_do_unless_its_limit_is_declared() -> None:
    clients = [a_service(host=PROXY, pool_size=70), a_service("jobs", host=PROXY, pool_size=20)]

    services = placed(*clients)
    assert services["api"].through == RDS_PROXY
    assert services[RDS_PROXY].connections == 90

    declaration = a_declaration("proxy", is_proxy=True, pool_size=60, database="orders")
    services = placed(*with_declarations(clients, [declaration]))
    assert services["api"].through == "proxy"
    assert RDS_PROXY not in services
    assert PoolBudget("orders", 100, 80, tuple(services.values())).opened == 60


# Declarations


def test_a_declaration_without_files_has_kubernetes_surge() -> None:
    [service] = with_declarations([], [a_declaration(replicas=3, maximum_replicas=8, pool_size=5)])

    assert (service.replicas, service.surge, service.connections) == (8, 2, 50)


def test_a_declaration_completes_what_was_read() -> None:
    read = a_service(replicas=4, surge=1, pool_size=None, overflow=10, missing="write it")

    [service] = with_declarations([read], [a_declaration(pool_size=3)])

    assert (service.connections, service.missing) == (15, "")
    assert service.place == "api.yaml:1, guard.toml: services[0]"


def test_a_declared_pool_without_a_size_is_unknown() -> None:
    [service] = with_declarations([], [a_declaration()])

    assert service.connections is None
    assert service.missing == "write pool_size in guard.toml: services[0]"
