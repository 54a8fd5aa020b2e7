"""A server in recovery, and a failover behind the proxy."""

from pathlib import Path

from doubles.aws.rds_proxy_double import RdsProxyDouble
from doubles.postgresql.postgres_server import PostgresServer
from tests.integration.conftest import OwnPostgres
from tests.support.builders import a_heartbeat_at
from tests.support.guard_looks import behind, doors_of, guards
from tests.support.guarded import Guarded, create_guard_role


def test_nothing_is_done_on_a_server_in_recovery(own_postgres: OwnPostgres) -> None:
    """A failover left a standby where the writer was; once it is promoted the guard is in again."""
    database = own_postgres()
    create_guard_role(database)
    guarded = Guarded(database)
    assert guarded.deliver(a_heartbeat_at(1))["recovered"]  # as far as a new process knows
    signal_file = database.postgres.folder / "data" / "standby.signal"
    become_standby(database, signal_file)
    report = guarded.deliver(seconds_left=5)
    assert report["kind"] == "locked_out"
    assert report["reconnected"] == 1
    assert "is in recovery: not the writer" in report["doors"][-1]["error"]
    assert report["escalation"].startswith(
        "the endpoint in guard.toml leads to a standby or reader"
    )
    assert "name the writer's endpoint" in report["escalation"]
    assert list(guards(database)) == []
    database.execute("SELECT pg_promote()")
    report = guarded.deliver(a_heartbeat_at(2))
    assert (report["kind"], report["recovered"], doors_of(report)) == (
        "observation",
        True,
        [("direct", False, True)],
    )


def become_standby(database: PostgresServer, signal_file: Path) -> None:
    signal_file.touch()
    database.restart()


def test_a_failover_behind_the_proxy_is_noticed_and_the_new_writer_is_used(
    own_postgres: OwnPostgres,
) -> None:
    old, new = own_postgres(), own_postgres()
    for database in (old, new):
        create_guard_role(database)
    with RdsProxyDouble((old.host, old.port)) as proxy:
        guarded = behind(proxy, new)
        assert guarded.deliver(a_heartbeat_at(1))["server"]["port"] == old.port
        proxy.target = (new.host, new.port)
        report = guarded.deliver(a_heartbeat_at(2))
        assert (report["kind"], report["reconnected"], report["server"]["port"]) == (
            "heartbeat",
            1,
            new.port,
        )
