"""A guard that `connection-guard drill` finds deployed: AWS by moto's server, the database behind
TLS, and the real responder and reporter.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
from psycopg2.extensions import connection as Connection  # noqa: N812

from connection_guard.adapters.aws.incident_table import IncidentTable
from connection_guard.adapters.aws.table import Table
from connection_guard.cli.drill.filling import APPLICATION
from connection_guard.configuration.policy.policy_file import SHIPPED_POLICY, parse_policy
from connection_guard.core.deployment.alarm_names import USAGE_TIERS, database_alarm_name
from connection_guard.core.deployment.events import AlarmState
from connection_guard.core.deployment.stack_output import StackOutput
from demo.game_day.played_guard import DATABASE, ROLE, PlayedGuard
from demo.game_day.played_guard import STACK as ALARM_PREFIX
from doubles.postgresql.postgres_server import PostgresServer
from tests.support.cli.doctor_facts import alarm_arn, reporter_settings, responder_settings
from tests.support.cli.doctored_aws import functions
from tests.support.cli.running import ROOT, environment_of
from tests.support.emulated_account import REGION, TABLE, create_incidents_table

HOST = f"{DATABASE}.c0ffee00.{REGION}.rds.amazonaws.com"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}

# Somebody's app, whose name its guard's alarms do not begin with.
STACK = "Shop"
REPORTER_OUTPUT = f"Guard{StackOutput.REPORTER}1A2B3C4D"

# The real command, which trusts the test's own authority in place of Amazon's, and looks as often
# as the played guard's alarms change.
COMMAND = """
import sys
from pathlib import Path
from connection_guard.cli.access import database_access
authority = Path(sys.argv.pop(1))
database_access.root_certificates = lambda _door: authority
from connection_guard.cli.drill.deployed_watch import DeployedWatch
DeployedWatch.seconds_between_looks = 0.2
from connection_guard.cli.command_line import main
main()
"""

SECONDS = 40


@dataclass(frozen=True, slots=True)
class Drilled:
    """A guarded server, the folder with its guard.toml, and the endpoint of AWS."""

    server: PostgresServer
    observer: Connection
    folder: Path
    authority: Path
    endpoint: str

    @property
    def history(self) -> Path:
        """The file of the last drills."""
        return self.folder / "state" / "connection-guard" / "drills.json"

    @contextmanager
    def started(
        self, *arguments: str, answers: int = subprocess.DEVNULL
    ) -> Iterator["subprocess.Popen[str]"]:
        """Start a drill under the drill's role; `answers` is the descriptor of its terminal."""
        address = f"{self.server.host}:{self.server.port}"
        command = ["drill", DATABASE, "--host", address, "--user", ROLE, *arguments]
        with subprocess.Popen(
            [sys.executable, "-c", COMMAND, str(self.authority), *command],
            cwd=self.folder,
            env=environment_of(
                {
                    **CREDENTIALS,
                    "AWS_ENDPOINT_URL": self.endpoint,
                    "XDG_STATE_HOME": str(self.folder / "state"),
                }
            ),
            stdin=answers,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run a drill to its end; return its status, and what it wrote."""
        with self.started(*arguments) as process:
            output, errors = process.communicate(timeout=SECONDS)
            return process.returncode, output, errors

    def sessions(self) -> int:
        """Return how many sessions of drills the server has."""
        [(count,)] = self.server.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", (APPLICATION,)
        )
        return int(count)

    def describe(self, *, policy: str | None = None, **keys: str) -> None:
        """Write guard.toml anew, with these keys of the database's table."""
        example = (ROOT / "examples" / "guard.toml").read_text()
        changed = example.replace('instance = "orders"', f'instance = "{DATABASE}"').replace(
            "orders.c1abcdefghij.eu-central-1.rds.amazonaws.com", HOST
        )
        added = "".join(f'{key} = "{value}"\n' for key, value in keys.items())
        if policy is not None:
            (self.folder / "policy.toml").write_text(policy)
        changed = changed.replace("[deploy]\n", f'[deploy]\nstack_name = "{STACK}"\n')
        (self.folder / "guard.toml").write_text(
            changed.replace("[[databases]]\n", f"[[databases]]\n{added}", 1)
        )

    @contextmanager
    def guard(self, policy: str) -> Iterator[PlayedGuard]:
        """Let a guard with that policy work on the server."""
        incidents = IncidentTable(Table(TABLE))
        with ExitStack() as stack:
            guard = _DeployedGuard(
                self.server.postgres, self.observer, parse_policy(policy), incidents
            )
            stack.enter_context(guard.reporter.slack)
            guard.start()
            stack.callback(guard.stop)
            yield guard


class _DeployedGuard(PlayedGuard):
    """Sets the alarms of AWS, too."""

    def alarm_changed(self, name: str, state: AlarmState) -> None:
        super().alarm_changed(name, state)
        set_alarm(name, state)


def quick(policy: str) -> str:
    """Return the text of a policy by which idle sessions go after two seconds."""
    return policy.replace('older_than = "10m"', 'older_than = "2s"')


SHIPPED = SHIPPED_POLICY.read_text()
QUICK = quick(SHIPPED)


def deploy() -> None:
    """Make the stack, the alarms and the table in the emulated account."""
    names = {
        database_alarm_name(ALARM_PREFIX, DATABASE, what): tier
        for what, tier in USAGE_TIERS.items()
    }
    alarms = {alarm_arn(name): tier for name, tier in names.items()}
    responder = replace(responder_settings(), database=DATABASE, alarms=alarms)
    template = {
        "Resources": functions(responder, replace(reporter_settings(), table=TABLE)),
        "Outputs": {REPORTER_OUTPUT: {"Value": {"Ref": "Reporter"}}},
    }
    client("cloudformation").create_stack(StackName=STACK, TemplateBody=json.dumps(template))
    for name in names:
        client("cloudwatch").put_metric_alarm(
            AlarmName=name,
            Namespace="ConnectionGuard",
            MetricName="Utilisation",
            Statistic="Maximum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=90,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
        )
        set_alarm(name, AlarmState.OK)
    create_incidents_table()


def set_alarm(name: str, state: AlarmState) -> None:
    """Set the state of one alarm."""
    client("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test")


def client(service: str) -> Any:
    """Return boto3's client of a service."""
    return boto3.client(service, region_name=REGION)  # type: ignore[call-overload]
