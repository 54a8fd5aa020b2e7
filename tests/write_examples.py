"""Write docs/examples anew, one Report of each kind from a real server: `make examples`."""

import json
import time
from pathlib import Path
from typing import Any

import psycopg2

from connection_guard.configuration.policy.policy_file import SHIPPED_POLICY, parse_policy
from demo.quick import quick_diagnosis_times, quick_policy
from doubles.postgresql import postgres_binaries
from doubles.postgresql.embedded_postgres import EmbeddedPostgres
from doubles.postgresql.postgres_server import PostgresServer
from doubles.waiting import wait_until
from tests.support.builders import WARNING_ALARM, a_heartbeat_event, an_alarm_event
from tests.support.guarded import GUARD, Guarded, create_guard_role

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs" / "examples"
SETTINGS: dict[str, str | int] = {"max_connections": 105, "reserved_connections": 5}

# A pool that leaks fills the server within seconds; what it leaked is not used any more.
SECONDS_BETWEEN_LEAKS = 0.05
UNUSED = """
SELECT bool_and(clock_timestamp() - state_change > make_interval(secs => %s))
FROM pg_stat_activity WHERE application_name = 'checkout'
"""


def main() -> None:
    """Write them by the shipped policy, with all times divided."""
    policy = quick_policy(parse_policy(SHIPPED_POLICY.read_text()))
    with EmbeddedPostgres(postgres_binaries.installed(18), SETTINGS) as postgres:
        server = PostgresServer(postgres)
        create_guard_role(server)
        server.execute("CREATE ROLE shop LOGIN")
        guarded = Guarded(server, policy, diagnosis_times=quick_diagnosis_times())
        # The first heartbeat of a process reports that usage is below the target.
        guarded.deliver(a_heartbeat_event())
        write(guarded.deliver(a_heartbeat_event()))
        server.connect("shop", application_name="pg_dump").cursor().execute("BEGIN")
        for _ in range(6):
            server.connect("shop", application_name="invoices").cursor().execute(
                "BEGIN; SELECT 'of ' || 4711"
            )
        server.connect("shop", application_name="scheduler").cursor().execute(
            "SELECT pg_advisory_lock(1)"
        )
        leak(server)
        oldest = max(rule.older_than for rule in policy.rules)
        wait_until(lambda: server.execute(UNUSED, (oldest.total_seconds(),)) == [(True,)])
        write(blaming_the_leak(guarded.deliver(an_alarm_event(WARNING_ALARM))))
        write(blaming_the_leak(guarded.deliver(an_alarm_event())))
        server.execute(f"REVOKE pg_monitor FROM {GUARD}")
        write(guarded.deliver(an_alarm_event()))
        server.execute(f"ALTER ROLE {GUARD} NOLOGIN")
        write(Guarded(server, policy).deliver(an_alarm_event(), seconds_left=5))
        server.close_connections()


def leak(server: PostgresServer) -> None:
    """Open sessions one after another until the server refuses a further one."""
    try:
        while True:
            server.connect("shop", application_name="checkout").cursor().execute(
                "SELECT 'order ' || 4711"
            )
            time.sleep(SECONDS_BETWEEN_LEAKS)
    except psycopg2.OperationalError:
        return


def blaming_the_leak(report: dict[str, Any]) -> dict[str, Any]:
    """Return the report. Raise AssertionError where it does not name what exhausted the database
    here.
    """
    causes = [
        (diagnosis["cause"], diagnosis["evidence"]["application"])
        for diagnosis in report["diagnoses"]
    ]
    assert causes == [("leak", "checkout")], (
        f"the leak of checkout exhausted the database; the report names {causes}"
    )
    return report


def write(report: dict[str, Any]) -> None:
    """Write the Report to the file of its kind."""
    path = EXAMPLES / f"report-{report['kind']}.json"
    path.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
