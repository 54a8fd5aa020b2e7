"""The round trips of a warm heartbeat."""

from benchmarks.finding import BenchmarkError, Finding, absolute
from doubles.aws.rds_proxy_double import RdsProxyDouble
from doubles.postgresql import postgres_binaries
from doubles.postgresql.embedded_postgres import EmbeddedPostgres
from doubles.postgresql.postgres_server import PostgresServer
from tests.support.builders import a_heartbeat_event
from tests.support.guarded import Guarded, create_guard_role

MOST_ROUND_TRIPS = 3


def measure_heartbeat() -> list[Finding]:
    """Count what RDS Proxy's double forwards for the second heartbeat."""
    with EmbeddedPostgres(postgres_binaries.installed(18)) as postgres:
        server = PostgresServer(postgres)
        create_guard_role(server)
        with RdsProxyDouble((server.host, server.port)) as proxy:
            guarded = Guarded(server, proxy=(proxy.host, proxy.port))
            guarded.deliver(a_heartbeat_event())
            before = proxy.round_trips
            report = guarded.deliver(a_heartbeat_event())
            round_trips = proxy.round_trips - before
        server.close_connections()
    if report["kind"] != "heartbeat" or not report["doors"][0]["is_reused"]:
        raise BenchmarkError(f"heartbeat: this was no warm heartbeat: {report['headline']}")
    return [absolute("round trips of a warm heartbeat", round_trips, "", at_most=MOST_ROUND_TRIPS)]
