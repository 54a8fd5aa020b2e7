"""`connection-guard doctor`, as people and programs run it."""

import json
import re
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from doubles.certificates import self_signed
from doubles.postgresql.postgres_server import PostgresServer
from doubles.slack_double import SlackDouble
from tests.integration.conftest import OwnPostgres
from tests.support.cli.doctor_facts import responder_settings
from tests.support.cli.doctored_aws import CREDENTIALS, DoctoredAws, doctored_aws
from tests.support.cli.running import Ran, at_a_terminal, in_a_pipe
from tests.support.configurations import EXAMPLE_FILE
from tests.support.guarded import GUARD, create_guard_role

PASSWORD = "only the server knows it"
NO_SERVER = "127.0.0.1:1"


class TlsGuarded:
    """A server that takes TLS logins of the guard, by a password, and how to reach it."""

    def __init__(self, server: PostgresServer, certificate: Path) -> None:
        self.server = server
        self.place = f"localhost:{server.port}"
        self.environment = {
            "PGPASSWORD": PASSWORD,
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": str(certificate),
        }

    def doctor(self, *arguments: str, folder: Path, **environment: str) -> Ran:
        return in_a_pipe(
            "doctor",
            "--host",
            self.place,
            *arguments,
            environment=self.environment | environment,
            folder=folder,
        )


@pytest.fixture
def tls_guarded(own_postgres: OwnPostgres, tmp_path: Path) -> Any:
    def guarded(version: int = 18) -> TlsGuarded:
        tls = self_signed(tmp_path, "DNS:localhost", days=90)
        server = own_postgres(version, tls=tls, hba=["hostssl all all 127.0.0.1/32 password"])
        create_guard_role(server)
        server.execute(f"ALTER ROLE {GUARD} PASSWORD '{PASSWORD}'")
        return TlsGuarded(server, tls.certificate)

    return guarded


def results(ran: Ran) -> dict[str, tuple[str, str]]:
    """Return the result and the remedy of each check."""
    return {
        each["check"]: (each["result"], each["remedy"] or "") for each in ran.document["checks"]
    }


def findings(ran: Ran) -> dict[str, str]:
    return {name: remedy for name, (found, remedy) in results(ran).items() if found == "finding"}


@pytest.mark.parametrize("version", [14, 16, 18])
def test_a_server_that_has_all_is_status_0(tls_guarded: Any, tmp_path: Path, version: int) -> None:
    ran = tls_guarded(version).doctor(folder=tmp_path)

    assert (ran.status, ran.errors, findings(ran)) == (0, "", {})
    checked = [name for name, (result, _) in results(ran).items() if result == "ok"]
    assert {"TLS (direct)", "login (direct)", f"grants ({GUARD})", "clock"} <= set(checked)
    assert ran.document["database"] == "localhost"


def test_what_is_missing_is_shown_with_what_mends_it(tls_guarded: Any, tmp_path: Path) -> None:
    guarded = tls_guarded()
    execute = guarded.server.execute
    execute(f"REVOKE pg_monitor, pg_use_reserved_connections FROM {GUARD}")
    execute("CREATE ROLE connection_guard_paused NOLOGIN")
    execute(f"GRANT connection_guard_paused TO {GUARD}")
    execute(f"ALTER ROLE {GUARD} SET statement_timeout = '500ms'")
    execute("CREATE ROLE rds_iam NOLOGIN")

    ran = guarded.doctor(folder=tmp_path)

    assert ran.status == 1
    found = findings(ran)
    assert set(found) == {
        f"grants ({GUARD})",
        f"reserve ({GUARD})",
        f"rds_iam ({GUARD})",
        "visibility",
        "timeouts",
        "paused",
    }
    # Each remedy is SQL, which mends what was found.
    for remedy in found.values():
        execute(remedy)
    again = guarded.doctor(folder=tmp_path)
    assert (again.status, findings(again)) == (0, {})


def test_a_person_reads_the_same_at_a_terminal(tls_guarded: Any, tmp_path: Path) -> None:
    guarded = tls_guarded()
    guarded.server.execute(f"REVOKE pg_signal_backend FROM {GUARD}")

    ran = at_a_terminal(
        "doctor",
        "--host",
        guarded.place,
        environment=guarded.environment,
        folder=tmp_path,
        columns=80,
    )

    lines = ran.output.splitlines()
    assert ran.status == 1
    assert [line for line in lines if line in ("Network", "Login", "Database", "Deployment")]
    assert '    GRANT pg_signal_backend TO "connection_guard";' in lines
    assert re.fullmatch(r"\d+ checks, 1 finding, \d+ could not be checked", lines[-1])
    assert PASSWORD not in ran.output


@pytest.mark.parametrize(
    ("arguments", "changes", "statement", "remedy"),
    [
        ((), {"PGPASSWORD": "another"}, "SELECT 1", "read -rs PGPASSWORD; export PGPASSWORD"),
        (("--user", "nobody"), {}, "SELECT 1", "read -rs PGPASSWORD; export PGPASSWORD"),
        (
            ("--dbname", 'or"ders'),
            {},
            "SELECT 1",
            "SELECT datname FROM pg_database WHERE datallowconn;",
        ),
        ((), {}, f"ALTER ROLE {GUARD} NOLOGIN", f'ALTER ROLE "{GUARD}" LOGIN;'),
        (
            (),
            {},
            f"ALTER ROLE {GUARD} CONNECTION LIMIT 0",
            f'ALTER ROLE "{GUARD}" CONNECTION LIMIT -1;',
        ),
        (
            (),
            {},
            "ALTER DATABASE postgres CONNECTION LIMIT 0",
            'ALTER DATABASE "postgres" CONNECTION LIMIT -1;',
        ),
        (
            (),
            {},
            "REVOKE CONNECT ON DATABASE postgres FROM PUBLIC",
            f'GRANT CONNECT ON DATABASE "postgres" TO "{GUARD}";',
        ),
    ],
)
def test_each_refused_login_has_its_remedy(
    tls_guarded: Any,
    tmp_path: Path,
    arguments: tuple[str, ...],
    changes: Mapping[str, str],
    statement: str,
    remedy: str,
) -> None:
    guarded = tls_guarded()
    guarded.server.execute(statement)

    ran = guarded.doctor(*arguments, folder=tmp_path, **changes)

    assert (ran.status, ran.errors) == (1, "")
    assert findings(ran) == {"login (direct)": remedy}
    assert PASSWORD not in ran.output


def test_a_master_sees_what_the_guards_role_lacks(tls_guarded: Any, tmp_path: Path) -> None:
    guarded = tls_guarded()
    guarded.server.execute(f"DROP ROLE {GUARD}")
    guarded.server.execute(f"CREATE ROLE master LOGIN SUPERUSER PASSWORD '{PASSWORD}'")

    ran = guarded.doctor("--user", "master", folder=tmp_path)

    assert ran.status == 1
    [(check, remedy)] = findings(ran).items()
    assert check == f"existence ({GUARD})"
    assert remedy.endswith("-f bootstrap/bootstrap.sql")


def test_a_port_that_nobody_listens_on_is_a_finding(tmp_path: Path) -> None:
    ran = in_a_pipe("doctor", "--host", NO_SERVER, folder=tmp_path)

    assert (ran.status, ran.errors) == (1, "")
    assert list(findings(ran)) == ["port (direct)"]


def test_a_server_that_never_answers_takes_seconds(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        started = time.monotonic()
        ran = in_a_pipe(
            "doctor", "--host", f"127.0.0.1:{listener.getsockname()[1]}", folder=tmp_path
        )

    assert time.monotonic() - started < 20
    assert ran.status == 1
    assert list(findings(ran)) == ["TLS (direct)"]


# With a guard.toml


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "guard.toml").write_text(EXAMPLE_FILE.read_text())
    return tmp_path


@pytest.fixture(scope="module")
def shared_aws() -> Iterator[DoctoredAws]:
    with doctored_aws() as aws:
        yield aws


@pytest.fixture
def aws(shared_aws: DoctoredAws) -> DoctoredAws:
    shared_aws.forget()
    return shared_aws


def test_a_deployed_guard_is_checked_although_nobody_gets_in(
    folder: Path, aws: DoctoredAws, slack: SlackDouble
) -> None:
    guard_file = folder / "guard.toml"
    host = "orders.c1abcdefghij.eu-central-1.rds.amazonaws.com"
    resource_id = aws.create_instance()
    text = guard_file.read_text().replace("db-ABCDEFGHIJKLMNOPQRSTUVWXYZ", resource_id)
    text = text.replace('# slack_secret = "', 'slack_secret = "')
    guard_file.write_text(text)
    settings = responder_settings()
    direct = type(settings.direct)(settings.direct.name, host, 5432, GUARD)
    aws.deploy(type(settings)(**{**_fields(settings), "direct": direct, "warning_percent": 70.0}))
    secret = {"token": slack.token, "channel": slack.channel, "base_url": slack.base_url}
    aws.client("secretsmanager").create_secret(
        Name="connection-guard/slack", SecretString=json.dumps(secret)
    )
    for topic in ("IncidentsTopic", "ReporterAlarmsTopic"):
        aws.subscribe(topic, "platform@example.com")
    queue = "arn:aws:sqs:eu-central-1:123456789012:Unreadable"
    aws.subscribe("ReportsTopic", queue, "sqs")

    ran = in_a_pipe(
        "doctor", "orders", "--host", NO_SERVER, environment=aws.environment, folder=folder
    )

    assert (ran.status, ran.errors) == (1, "")
    assert findings(ran) == {"port (direct)": "", "settings of the responder": "make deploy"}
    well = {name for name, (result, _) in results(ran).items() if result == "ok"}
    assert well >= {
        "AWS",
        "RDS",
        "stack",
        "responder",
        "reporter",
        "heartbeat",
        "alarms",
        "alarm actions",
        "alarm states",
        "alarm thresholds",
        "dead-letter queues",
        "incidents topic",
        "reporter's alarms topic",
        "guard's own topics",
        "Slack",
    }
    assert slack.token not in ran.output
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in ran.output


def _fields(settings: Any) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__dataclass_fields__}


def test_without_credentials_or_aws_the_rest_is_checked(folder: Path) -> None:
    arguments = ("doctor", "orders", "--host", NO_SERVER)
    without = in_a_pipe(*arguments, folder=folder)
    unasked = in_a_pipe(*arguments, "--no-aws", environment=CREDENTIALS, folder=folder)

    assert (without.status, unasked.status) == (1, 1)
    assert list(findings(without)) == list(findings(unasked)) == ["port (direct)"]
    details = [ran.document["checks"][-1]["detail"] for ran in (without, unasked)]
    assert details[0].startswith("AWS credentials are missing")
    assert details[1] == "AWS was not asked: --no-aws"


def test_an_aws_that_never_answers_leaves_the_rest(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        ran = in_a_pipe(
            "doctor",
            "orders",
            "--host",
            NO_SERVER,
            environment={**CREDENTIALS, "AWS_ENDPOINT_URL": url},
            folder=folder,
        )

    assert ran.status == 1
    assert list(findings(ran)) == ["port (direct)"]
    [aws] = [each for each in ran.document["checks"] if each["check"] == "AWS"]
    assert aws["result"] == "could not be checked"
    assert aws["detail"].startswith("AWS could not be asked: Read timeout on endpoint URL")


@pytest.mark.parametrize(
    ("arguments", "text", "problem"),
    [
        (
            ("order",),
            None,
            '"order" is not a database of guard.toml: did you mean "orders"?',
        ),
        ((), "[deploy", "guard.toml: "),
        (("--guard", "other.toml"), None, "other.toml does not exist; let "),
        (("--host", "localhost:no"), None, '"localhost" at port "no" is no address: write --host'),
        (("--profile", "\x1b[31mx"), None, ""),
    ],
)
def test_a_mistake_is_a_line_and_status_2(
    folder: Path, arguments: tuple[str, ...], text: str | None, problem: str
) -> None:
    if text is not None:
        (folder / "guard.toml").write_text(text)

    ran = in_a_pipe("doctor", *arguments, folder=folder)

    if not problem:  # whose credentials cannot be found: the database is checked all the same
        assert ran.status == 1
        assert "\x1b" not in ran.output
        return
    assert (ran.status, ran.output) == (2, "")
    [line] = ran.errors.splitlines()
    assert line.startswith(f"connection-guard: {problem}")
