"""The peak memory of the whole function, on an alarm from a database with 5,000 sessions."""

from pathlib import Path

from psycopg2.extras import execute_values

from benchmarks.finding import BenchmarkError, Finding, absolute
from benchmarks.scene.functions import functions
from doubles.postgresql.postgres_server import PostgresServer
from tests.support.builders import NOW, an_alarm_event
from tests.support.runs import a_crowd

SESSIONS = 5_000
MOST_MEGABYTES = 128

# The server shows generated sessions beside its own, so that everything between its answer and the
# Report is real.
SETUP = """
SET allow_system_table_mods = on;
CREATE TABLE generated AS SELECT * FROM pg_stat_activity WHERE false;
ALTER VIEW pg_stat_activity RENAME TO pg_stat_activity_of_processes;
CREATE VIEW pg_catalog.pg_stat_activity AS
    SELECT * FROM pg_stat_activity_of_processes UNION ALL TABLE generated;
GRANT SELECT ON pg_stat_activity TO PUBLIC;
"""
INSERT = """
INSERT INTO generated (backend_type, pid, usename, datname, application_name, client_addr, state,
    wait_event_type,
                       wait_event, query, backend_start, state_change, xact_start, query_start)
VALUES %s
"""
ROW = f"('client backend', {', '.join(['%s'] * 9)}, {', '.join(['now() - %s::interval'] * 4)})"


def measure_memory() -> list[Finding]:
    """Measure a remediation whose sessions move on, so that it looks at all of them twice."""
    with functions() as deployed:
        _generate_sessions(deployed.server)
        with deployed.start("guard") as environment:
            answer = environment.invoke(an_alarm_event())
            peak = _peak_megabytes(environment.pid)
    if (
        answer.is_error
        or answer.payload["kind"] != "remediation"
        or answer.payload["after"]["used"] < SESSIONS
    ):
        raise BenchmarkError(
            f"memory: there was no remediation among {SESSIONS} sessions: {answer.payload}"
        )
    return [
        absolute(f"peak memory with {SESSIONS:,} sessions", peak, " MB", at_most=MOST_MEGABYTES)
    ]


def _generate_sessions(server: PostgresServer) -> None:
    """Write the sessions; each statement has a literal of its own, as clients send them."""
    rows = [
        (
            *(
                each.pid,
                each.role,
                each.database,
                each.application_name,
                each.client_address,
                each.state,
            ),
            *(each.wait_event_type, each.wait_event, f"{each.query} AND id = {each.pid}"),
            *(time and NOW - time for time in (each.backend_start, each.state_change)),
            *(time and NOW - time for time in (each.transaction_start, each.query_start)),
        )
        for each in a_crowd(SESSIONS)
    ]
    connection = server.connect()
    with connection.cursor() as cursor:
        cursor.execute(SETUP)
        execute_values(cursor, INSERT, rows, ROW)


def _peak_megabytes(pid: int) -> float:
    """Return the peak of this process; resource.getrusage would include its parent's memory."""
    status = Path(f"/proc/{pid}/status")
    if not status.is_file():
        raise BenchmarkError("memory: only Linux shows the peak of a running process")
    [kilobytes] = [
        line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:")
    ]
    return int(kilobytes) * 1024 / 1e6
