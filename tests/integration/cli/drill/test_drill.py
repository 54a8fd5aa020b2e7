"""`connection-guard drill`: a game day on this machine, and on a guard that is deployed."""

import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connection_guard.cli.drill.last_drills import LastDrill, keep_drill, last_drill
from connection_guard.core.deployment.alarm_names import database_alarm_name
from connection_guard.core.deployment.events import AlarmState
from demo.database import SERVER_SETTINGS
from demo.game_day.played_guard import DATABASE, STACK, observer_of_drill
from doubles.certificates import self_signed
from doubles.postgresql import postgres_binaries
from doubles.postgresql.embedded_postgres import EmbeddedPostgres
from doubles.postgresql.postgres_server import PostgresServer
from doubles.waiting import wait_until
from tests.integration.cli.drill.drilled import (
    CREDENTIALS,
    HOST,
    QUICK,
    SHIPPED,
    Drilled,
    deploy,
    set_alarm,
)
from tests.integration.conftest import settings_for
from tests.support.cli.emulated_aws import emulated_aws, forget_everything
from tests.support.cli.running import COMMAND, ROOT, at_a_terminal, environment_of

ANYWAY = ("--yes", "--yes-production")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drilled]:
    """Yield a server and an account, which all tests use one after another."""
    folder = tmp_path_factory.mktemp("drilled")
    tls = self_signed(folder, f"DNS:{HOST}")
    settings = settings_for(18) | SERVER_SETTINGS
    with (
        EmbeddedPostgres(postgres_binaries.installed(18), settings, tls=tls) as postgres,
        emulated_aws() as endpoint,
        closing(observer_of_drill(postgres)) as observer,
    ):
        yield Drilled(PostgresServer(postgres), observer, folder, tls.certificate, endpoint)


@pytest.fixture
def drilled(guarded: Drilled, monkeypatch: pytest.MonkeyPatch) -> Iterator[Drilled]:
    """Yield a guard that is deployed and at rest."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", guarded.endpoint)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    deploy()
    guarded.describe(policy=QUICK)
    yield guarded
    guarded.server.close_connections()
    forget_everything(guarded.endpoint)
    wait_until(lambda: guarded.sessions() == 0)


def test_a_deployed_guard_frees_what_a_drill_fills_and_each_step_is_timed(
    drilled: Drilled,
) -> None:
    drilled.history.parent.mkdir(parents=True)
    drilled.history.write_text("no drills")

    with drilled.guard(QUICK):
        status, output, errors = drilled.run(*ANYWAY)

    assert status == 0, output + errors
    document = json.loads(output)
    assert f"{drilled.history} cannot be read and is replaced" in errors
    assert {each["last_seconds"] for each in document["phases"]} == {None}
    assert last_drill(drilled.history, DATABASE) is not None
    assert document["finding"] is None
    took = {each["phase"]: each["seconds"] for each in document["phases"]}
    assert list(took) == [
        "filled",
        "responder",
        "alarm",
        "relief",
        "let go",
        "notified: incidents",
        "resolved",
    ]
    assert took["alarm"] is None, "the heartbeat acts before it could fire"
    assert 0 <= took["responder"] <= took["relief"] <= took["let go"] <= took["resolved"]
    assert took["filled"] >= 2, "the sessions were to be two seconds old"
    counts = document["sessions"]
    assert counts["ended"] == counts["ended_as_the_incident_says"] > 15
    assert drilled.sessions() == 0
    assert "This drill opens 8" in errors
    assert "9 remain for applications" in errors
    assert next(line.split()[-1] for line in errors.splitlines() if " s  " in line) == "filled"


def test_a_guard_that_does_nothing_is_a_finding_that_names_the_phase(drilled: Drilled) -> None:
    status, output, errors = drilled.run(*ANYWAY, "--limit", "7s")

    assert status == 1, output + errors
    document = json.loads(output)
    assert document["finding"].startswith('no "responder", "alarm", "relief"')
    assert document["next"] == f"connection-guard doctor {DATABASE}"
    wait_until(lambda: drilled.sessions() == 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_session_is_left_where_a_drill_is_stopped(
    drilled: Drilled, number: signal.Signals
) -> None:
    drilled.describe(policy=SHIPPED)
    with drilled.started(*ANYWAY) as process:
        wait_until(lambda: drilled.sessions() > 60 or process.poll() is not None)
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)

    wait_until(lambda: drilled.sessions() == 0, seconds=5)
    assert "Traceback" not in errors
    if number is not signal.SIGKILL:
        assert process.returncode == 130
        assert errors.splitlines()[-1] == "connection-guard: interrupted"


def test_a_drill_lets_go_where_applications_need_the_connections(drilled: Drilled) -> None:
    drilled.describe(policy=SHIPPED)
    with drilled.started(*ANYWAY) as process:
        assert process.stderr is not None
        assert any("waiting until they are 10 min old" in line for line in process.stderr)
        clients = [drilled.server.connect("shop") for _ in range(22)]
        output, errors = process.communicate(timeout=20)

    assert process.returncode == 1, errors
    assert "applications need more of them, so the drill let go" in json.loads(output)["finding"]
    wait_until(lambda: drilled.sessions() == 0)
    assert len(clients) == 22


def test_a_drill_lets_go_where_an_alarm_fires_before_it_has_crossed_the_line(
    drilled: Drilled,
) -> None:
    with drilled.started(*ANYWAY) as process:
        assert process.stderr is not None
        assert any("waiting until they are 2 s old" in line for line in process.stderr)
        set_alarm(database_alarm_name(STACK, DATABASE, "critical-measured"), AlarmState.ALARM)
        output, errors = process.communicate(timeout=20)

    assert process.returncode == 1, errors
    assert f"{DATABASE}-critical-measured is on by now" in json.loads(output)["finding"]


def test_it_asks_first_and_looks_again_after_the_answer(drilled: Drilled) -> None:
    ours, theirs = pty.openpty()
    with drilled.started("--yes-production", answers=theirs) as process:
        assert process.stderr is not None
        assert any("Then the guard is to end" in line for line in process.stderr)
        assert drilled.sessions() == 0
        clients = [drilled.server.connect("shop") for _ in range(66)]
        os.write(ours, b"y\n")
        output, errors = process.communicate(timeout=20)
    os.close(ours)
    os.close(theirs)

    assert process.returncode == 1, errors
    document = json.loads(output)
    assert "the guard would have to end theirs" in document["finding"]
    assert document["sessions"]["opened"] == 0
    assert len(clients) == 66


def test_a_policy_that_only_observes_is_announced_and_no_finding(drilled: Drilled) -> None:
    observing = QUICK.replace('critical = "enforce"', 'critical = "observe"')
    drilled.describe(policy=observing)
    with drilled.guard(observing):
        status, output, errors = drilled.run(*ANYWAY)

    assert status == 0, errors
    assert "The guard will not bring relief: the policy only observes at the critical" in errors
    document = json.loads(output)
    assert document["sessions"]["ended"] == 0
    took = {each["phase"]: each["seconds"] for each in document["phases"]}
    assert "relief" not in took
    assert took["alarm"] <= took["resolved"], "usage stayed high, so an alarm fired"
    assert drilled.sessions() == 0


def test_it_is_refused_before_anything_is_opened(drilled: Drilled) -> None:
    status, _, errors = drilled.run("--yes")
    assert (status, "this looks like production (its name" in errors) == (2, True)

    status, _, errors = drilled.run("--yes-production")
    assert (status, errors.splitlines()[-1]) == (
        2,
        "connection-guard: nobody can be asked whether to begin: add --yes",
    )

    status, _, errors = drilled.run(*ANYWAY, "--user", "connection_guard")
    assert (status, "the guard spares its own role" in errors) == (2, True)

    status, _, errors = drilled.run(*ANYWAY, "--user", "postgres")
    assert (status, "may take the reserved connections" in errors) == (2, True)

    status, _, errors = drilled.run(*ANYWAY, "--limit", "999999d")
    assert (status, "is out of range" in errors) == (2, True)

    set_alarm(database_alarm_name(STACK, DATABASE, "warning"), AlarmState.ALARM)
    status, _, errors = drilled.run(*ANYWAY)
    assert (status, f"{DATABASE}-warning is on" in errors) == (2, True)

    assert drilled.sessions() == 0


def test_a_second_drill_on_the_same_database_is_refused(drilled: Drilled) -> None:
    drilled.describe(policy=SHIPPED)
    with drilled.started(*ANYWAY) as first:
        assert first.stderr is not None
        assert any("This drill opens" in line for line in first.stderr)
        status, _, errors = drilled.run(*ANYWAY)
        assert first.poll() is None

    assert (status, errors) == (
        2,
        "connection-guard: another drill is at work on this database: drill once it has ended\n",
    )


def test_a_local_drill_shows_live_what_happens_and_compares_it_with_the_last(
    tmp_path: Path,
) -> None:
    drills = tmp_path / "connection-guard" / "drills.json"
    last = LastDrill(datetime(2026, 11, 20, tzinfo=UTC), {"filled": 3.0, "relief": 0.1})
    keep_drill(drills, "local", last)

    ran = at_a_terminal("drill", environment={"XDG_STATE_HOME": str(tmp_path)})
    assert ran.status == 0, ran.output
    assert "Then the guard is to end 21 sessions of the drill." in ran.output
    rows = {line.rsplit("  ")[0].strip(): line for line in ran.output.splitlines()}
    assert "last drill (2026-11-20)" in next(
        line for line in rows.values() if line.startswith("phase")
    )
    relief = next(line for line in rows.values() if line.startswith("relief"))
    assert relief.split()[-1] == "s"
    assert relief.split()[-2][0] in "+-"
    assert "in time; the heartbeat acted before an alarm fired." in ran.output
    kept = last_drill(drills, "local")
    assert kept is not None
    assert kept.began_at > last.began_at


@pytest.mark.parametrize(("number", "times"), [(signal.SIGKILL, 1), (signal.SIGINT, 9)])
def test_a_local_drill_that_is_stopped_leaves_nothing_behind(
    number: signal.Signals, times: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # the server runs as another user where this runs as root
        process = subprocess.Popen(
            [*COMMAND, "drill"],
            env=environment_of({"TMPDIR": folder, "XDG_STATE_HOME": folder}),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        assert any("opening sessions" in line for line in process.stderr)
        for _ in range(times):
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
        _, errors = process.communicate(timeout=20)

        wait_until(lambda: not list(Path(folder).glob("connection-guard-postgres-*")))
        assert "Traceback" not in errors


def test_a_local_drill_without_a_copy_of_the_source_is_a_line(tmp_path: Path) -> None:
    environment = environment_of({"PYTHONPATH": str(_package_only(tmp_path))})
    ran = subprocess.run(
        [sys.executable, *COMMAND[1:], "drill"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 2
    assert ran.stderr.startswith("connection-guard: a local drill needs a copy of the source")
    assert len(ran.stderr.splitlines()) == 1


def _package_only(folder: Path) -> Path:
    """Return a folder in which Python finds the package, and none of the functions or doubles."""
    installed = folder / "installed"
    installed.mkdir()
    (installed / "connection_guard").symlink_to(ROOT / "lambdas" / "connection_guard")
    return installed
