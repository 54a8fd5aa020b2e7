"""Writes docs/examples anew: one Report of each kind, from a real server. Run `python -m tests.examples`."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from connection_guard.core.policy_file import parse_policy
from tests import postgres_binaries
from tests.builders import WARNING_ALARM, a_pulse_event, an_alarm_event
from tests.integration.guarded import GUARD, Guarded, create_guard_role, fill
from tests.postgres_server import PostgresServer
from tools.embedded_postgres import EmbeddedPostgres

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "docs" / "examples"
SETTINGS: dict[str, str | int] = {"max_connections": 105, "reserved_connections": 5}


def main() -> None:
    """The shipped policy, but for the ages of its rules: nobody waits ten minutes for an example."""
    policy = parse_policy((ROOT / "policy.toml").read_text())
    policy = replace(policy, rules=tuple(replace(rule, older_than=timedelta()) for rule in policy.rules))
    with EmbeddedPostgres(postgres_binaries.installed(18), SETTINGS) as postgres:
        server = PostgresServer(postgres)
        create_guard_role(server)
        server.execute("CREATE ROLE shop LOGIN")
        guarded = Guarded(server, policy)
        write(guarded.deliver(a_pulse_event()))
        server.connect("shop", application_name="pg_dump").cursor().execute("BEGIN")
        for _ in range(6):
            server.connect("shop", application_name="invoices").cursor().execute("BEGIN; SELECT 'of ' || 4711")
        server.connect("shop", application_name="scheduler").cursor().execute("SELECT pg_advisory_lock(1)")
        fill(server, role="shop", application_name="checkout")
        write(guarded.deliver(an_alarm_event(WARNING_ALARM)))
        write(guarded.deliver(an_alarm_event()))
        server.execute(f"REVOKE pg_monitor FROM {GUARD}")
        write(guarded.deliver(an_alarm_event()))
        server.execute(f"ALTER ROLE {GUARD} NOLOGIN")
        write(Guarded(server, policy).deliver(an_alarm_event(), seconds_left=5))
        server.close_connections()


def write(report: dict[str, Any]) -> None:
    """Where it belongs by its kind."""
    path = EXAMPLES / f"report-{report['kind']}.json"
    path.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
