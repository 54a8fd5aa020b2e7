"""The size of a pool, by the settings of a workload and what is known of libraries."""

from typing import Any

import pytest

from connection_guard.cli.budget.files.workload import Setting, Workload, canonical
from connection_guard.cli.budget.pools.library_table import COMMON_SIZES, HOSTS, LIBRARIES, URLS
from connection_guard.cli.budget.pools.pgbouncer_pools import read_ini
from connection_guard.cli.budget.pools.service_pools import services_of
from connection_guard.core.budget.service import Service


def service(
    settings: dict[str, str | None], command: str = "", cpus: int | None = None, **changes: Any
) -> Service | None:
    known = {canonical(name): Setting(value, "a:1") for name, value in settings.items()}
    workload = Workload("api", "a:1", 1, 0, known, ["image", *command.split()], **changes)
    return next(iter(services_of([workload], cpus)), None)


def pool(settings: dict[str, str | None], command: str = "") -> tuple[int | None, int]:
    found = service(settings, command)
    assert found is not None
    return found.pool_size, found.overflow


@pytest.mark.parametrize(
    ("settings", "command", "expected"),
    [
        ({"SPRING_DATASOURCE_URL": "jdbc:postgresql://db/a"}, "", (10, 0)),
        ({"SPRING_DATASOURCE_HIKARI_MAXIMUM_POOL_SIZE": "7"}, "", (7, 0)),
        ({"SPRING_DATASOURCE_HIKARI_MAXIMUMPOOLSIZE": "7"}, "", (7, 0)),
        ({"spring.datasource.hikari.maximum-pool-size": "7"}, "", (7, 0)),
        (
            {"SPRING_DATASOURCE_URL": None},
            "java -jar a.jar --spring.datasource.hikari.maximum-pool-size=8",
            (8, 0),
        ),
        (
            {
                "SPRING_DATASOURCE_URL": None,
                "JAVA_OPTS": "-Xmx1g -Dspring.datasource.hikari.maximumPoolSize=6",
            },
            "",
            (6, 0),
        ),
        ({"DATABASE_URL": "postgresql+psycopg://a@db/a"}, "", (5, 10)),
        ({"SQLALCHEMY_POOL_SIZE": "3", "DB_HOST": "db"}, "", (3, 10)),
        ({"DB_HOST": "db", "DB_POOL_SIZE": "3", "DB_MAX_OVERFLOW": "0"}, "", (3, 0)),
        ({"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://a@db/b"}, "", (5, 10)),
        ({"DB_HOST": "db", "DJANGO_SETTINGS_MODULE": "a"}, "gunicorn a --threads 3", (3, 0)),
        ({"DB_HOST": "db", "CONN_MAX_AGE": "60", "DB_POOL_MAX_SIZE": "4"}, "gunicorn a", (4, 0)),
        ({"DB_HOST": "db", "DJANGO_SETTINGS_MODULE": "a"}, "uvicorn a:asgi", (None, 0)),
        ({"DATABASE_URL": "postgres://a@db/b", "RAILS_ENV": "production"}, "puma", (5, 0)),
        ({"DATABASE_URL": "postgres://a@db/b?pool=8", "RAILS_ENV": "x"}, "puma", (8, 0)),
        ({"DATABASE_URL": None, "RAILS_MAX_THREADS": "3"}, "bundle exec puma", (3, 0)),
        ({"DATABASE_URL": "postgres://a@db/b?connection_limit=3"}, "node a.js", (3, 0)),
        ({"PGHOST": "db", "NODE_ENV": "production"}, "", (10, 0)),
        ({"PGHOST": "db"}, "node server.js", (10, 0)),
        ({"PGHOST": "db", "PGPOOL_MAX": "4"}, "node server.js", (4, 0)),
        ({"DATABASE_URL": "postgres://a@db/b?pool_max_conns=9"}, "", (9, 0)),
        ({"DATABASE_URL": "postgres://a@db/b", "DB_MAX_OPEN_CONNS": "9"}, "", (9, 0)),
        ({"KC_DB_URL": "jdbc:postgresql://db/a"}, "", (100, 0)),
        ({"DB_HOST": "db", "DB_POOL": "25", "RAILS_MAX_THREADS": "5"}, "puma", (25, 0)),
        ({"ConnectionStrings__A": "Host=db;Username=a;MaxPoolSize=7"}, "", (7, 0)),
    ],
)
def test_a_pool_has_the_size_that_its_library_takes(
    settings: dict[str, str | None], command: str, expected: tuple[int | None, int]
) -> None:
    assert pool(settings, command) == expected


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        (
            {"JDBC_URL": "jdbc:postgresql://db/a"},
            "write DB_POOL_SIZE in its settings, or pool_size in guard.toml",
        ),
        (
            {"DATABASE_URL": "postgres://a@db/b"},
            "write DB_POOL_SIZE in its settings, or pool_size in guard.toml",
        ),
        (
            {"DATABASE_URL": "postgres://a@db/b", "DB_MAX_OPEN_CONNS": "0"},
            "write a size as a number: it has no limit, or is not one here",
        ),
        (
            {"DB_HOST": "db", "DB_POOL_SIZE": None},
            "write a size as a number: it has no limit, or is not one here",
        ),
        (
            {"DB_HOST": "db", "DB_POOL_SIZE": "5", "DB_MAX_OVERFLOW": "-1"},
            "write a size as a number: it has no limit, or is not one here",
        ),
        (
            {"DATABASE_URL": "postgres://a@db/b?schema=public"},
            (
                "write connection_limit in DATABASE_URL, or pool_size in guard.toml: the default "
                "depends on the CPUs (or add --cpus)"
            ),
        ),
    ],
)
def test_a_size_that_is_not_known_is_never_guessed(
    settings: dict[str, str | None], missing: str
) -> None:
    found = service(settings)

    assert found is not None
    assert (found.connections, found.missing) == (None, missing)


@pytest.mark.parametrize(("cpus", "size"), [(2, 4), (8, 8)])
def test_pgxpool_has_4_connections_or_one_per_cpu(cpus: int, size: int) -> None:
    found = service({"DATABASE_URL": "postgres://a@db/b?pool_min_conns=1"}, cpus=cpus)

    assert found is not None
    assert (found.pool_size, found.notes[-1]) == (
        size,
        f"pgxpool's default of {size} on {cpus} CPUs",
    )


def test_the_default_of_a_known_library_is_noted() -> None:
    found = service({"SPRING_DATASOURCE_URL": "jdbc:postgresql://db/a"})

    assert found is not None
    assert "HikariCP's default of 10" in found.notes


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"LOG_LEVEL": "info"},
        {"DATABASE_URL": "mysql://a@db/b"},
        {"DB_HOST": "db", "DB_PORT": "3306"},
        {"DB_HOST": "db", "DB_CONNECTION": "mysql"},
        {"SPRING_DATASOURCE_URL": "jdbc:mysql://db/a"},
        {"POSTGRES_PASSWORD": "x", "POSTGRES_DB": "shop"},
        {"REDIS_URL": "redis://cache"},
    ],
)
def test_what_uses_no_postgresql_is_no_service(settings: dict[str, str | None]) -> None:
    assert service(settings) is None


def test_replicas_that_are_not_known_make_the_sum_unknown() -> None:
    found = service({"PGHOST": "db", "DB_POOL": "3"}, missing="write replicas")

    assert found is not None
    assert (found.connections, found.missing) == (None, "write replicas")


def test_every_name_in_the_tables_is_canonical() -> None:
    names = [*COMMON_SIZES, *HOSTS, *URLS]
    names += [name for each in LIBRARIES for name in (*each.sizes, *each.overflows, *each.signs)]

    assert [name for name in names if name != canonical(name)] == []


# PgBouncer

INI = """
;; settings
[databases]
orders = host=orders.example port=5432 dbname=orders pool_size=30
reports = host=orders.example dbname=orders user=reports password='a b'
"stock" = host=stock.example max_db_connections=12

[pgbouncer]
default_pool_size = 15
reserve_pool_size = 5
# max_db_connections = 1
"""


def test_a_pgbouncer_ini_has_a_pool_per_database() -> None:
    workload = Workload("pgbouncer", "a:1", 2, 0, {}, (), ini=Setting(INI, "pgbouncer.ini"))

    pools = {each.name: each for each in services_of([workload])}

    assert {name: (each.pool_size, each.overflow) for name, each in pools.items()} == {
        "pgbouncer/orders": (30, 5),
        "pgbouncer/reports": (15, 5),
        "pgbouncer/stock": (12, 0),
    }
    assert [each.host for each in pools.values()] == [
        "orders.example",
        "orders.example",
        "stock.example",
    ]
    assert pools["pgbouncer/reports"].notes == ()
    assert pools["pgbouncer/stock"].notes == ("max_db_connections is 12",)
    assert "a b" not in str(pools)


def test_pgbouncer_has_20_by_default() -> None:
    [found] = services_of(
        [Workload("pgbouncer", "a:1", 1, 0, {}, ["bitnami/pgbouncer:1"], names=frozenset({"pg"}))]
    )

    assert found.pool_size == 20
    assert "PgBouncer's default of 20" in found.notes
    assert found.answers_to == {"pg", "pgbouncer"}


def test_other_sections_of_an_ini_are_not_read() -> None:
    settings, entries = read_ini("[users]\na = pool_size=3\n[pgbouncer]\nx = 1\n")

    assert (settings, entries) == ({"x": "1"}, {})
