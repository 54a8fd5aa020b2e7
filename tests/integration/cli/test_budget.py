"""`connection-guard budget` as pipelines and people run it, without and with a live database."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml

from connection_guard.cli.access.database_access import database_access
from connection_guard.cli.access.login_options import Login
from connection_guard.cli.budget.observed_services import observe
from connection_guard.core.budget.observed import Seen
from doubles.postgresql.postgres_server import PostgresServer
from tests.integration.conftest import NEWEST
from tests.support.cli.running import ROOT, Ran, at_a_terminal, in_a_pipe, in_this_process
from tests.support.configurations import EXAMPLE_FILE

CHARTS = ROOT / "tests" / "unit" / "cli" / "budget" / "charts"
WORKFLOW = ROOT / "examples" / "github-actions" / "connection-budget.yml"
SECRETS = ("hunter2", "correct-horse", "s3cr3t", "tr0ub4dor")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a guard.toml for "orders" in it, of which 773 connections are usable."""
    (tmp_path / "guard.toml").write_text(EXAMPLE_FILE.read_text())
    return tmp_path


def declare(folder: Path, text: str) -> None:
    with (folder / "guard.toml").open("a") as file:
        file.write(f"\n{text}\n")


def only(ran: Ran) -> Any:
    """Return the one database of the document."""
    [database] = ran.document["databases"]
    return database


# Files


def test_pools_that_do_not_fit_are_a_finding_with_what_each_could_be() -> None:
    ran = in_a_pipe("budget", CHARTS / "ecs_fargate", "--usable", "197")

    assert (ran.status, ran.errors) == (1, "")
    assert not ran.document["fits"]
    database = only(ran)
    assert (database["connections"], database["limit"], database["over"]) == (210, 157, 53)
    assert database["proposals"] == [
        {"service": "catalog", "pool_size": 5, "overflow": 6, "connections": 154}
    ]


def test_pools_that_fit_are_none(folder: Path) -> None:
    ran = in_this_process("budget", CHARTS / "spring_boot", folder=folder)

    assert ran.status == 0
    assert (only(ran)["name"], only(ran)["usable"], only(ran)["connections"]) == ("orders", 773, 48)
    assert only(ran)["proposals"] == []


def test_people_see_each_service_with_where_it_was_read(folder: Path) -> None:
    shutil.copytree(CHARTS / "umbrella_chart", folder / "chart")

    ran = at_a_terminal("budget", "chart", "--usable", "50", folder=folder)

    assert ran.status == 1
    lines = ran.output.splitlines()
    assert lines[0] == (
        "orders: services may open 48 connections; 80 % of 50 usable are 40: over by 8"
    )
    rows = [" ".join(line.split()) for line in lines]
    assert rows[3:5] == [
        "api chart/values.yaml:5 (3 + 1) x 1 x 10 40",
        "worker chart/values.yaml:11 2 x 1 x 4 8",
    ]
    assert lines[-1] == "  api: 8 in place of 10, 32 connections in all"


def test_where_not_even_one_each_fits_it_says_so() -> None:
    ran = at_a_terminal("budget", CHARTS / "keda_worker", "--usable", "40")

    assert ran.status == 1
    assert "Not even one connection per process fits: that would be 33." in ran.output


def test_what_helm_renders_is_read_from_standard_input() -> None:
    rendered = (CHARTS / "keda_worker" / "worker.yaml").read_text()

    ran = in_this_process("budget", "-", "--usable", "400", given=rendered)

    assert ran.status == 0
    assert [each["read_from"] for each in only(ran)["services"]] == [
        "standard input:9",
        "standard input:36",
    ]


def test_a_pool_of_unknown_size_is_a_finding() -> None:
    ran = at_a_terminal("budget", CHARTS / "nextjs_prisma", "--usable", "400")

    assert ran.status == 1
    assert "jobs: pool size unknown: write connection_limit in DATABASE_URL" in ran.output


def test_declarations_complete_what_is_read_and_add_to_it(folder: Path) -> None:
    declare(folder, '[[services]]\nname = "jobs"\npool_size = 3')
    declare(folder, '[[services]]\nname = "batch"\nreplicas = 2\npool_size = 4')

    ran = in_this_process("budget", CHARTS / "nextjs_prisma", folder=folder)

    assert ran.status == 0
    assert {each["name"]: each["connections"] for each in only(ran)["services"]} == {
        "web": 35,
        "jobs": 3,
        "batch": 12,
    }


def test_a_service_whose_database_is_not_known_is_a_finding(folder: Path) -> None:
    (folder / "compose.yaml").write_text(
        "services: {api: {environment: [DATABASE_URL, DB_POOL_SIZE=5]}}"
    )

    ran = in_this_process("budget", "compose.yaml", folder=folder)
    placed = in_this_process("budget", "compose.yaml", "--database", "orders", folder=folder)

    assert ran.status == 1
    assert ran.document["unplaced"] == [
        {"name": "api", "read_from": "compose.yaml:1", "host": None}
    ]
    assert placed.status == 0
    assert only(placed)["connections"] == 5


def test_no_password_is_in_any_output() -> None:
    charts = [path for path in CHARTS.iterdir() if path.name != "umbrella_chart"]

    ran = in_this_process("budget", *charts, "--usable", "100", "--cpus", "2")
    shown = at_a_terminal("budget", *charts, "--usable", "100", "--cpus", "2")

    assert (ran.status, shown.status) == (1, 1)
    assert [each for each in SECRETS if each in ran.output + ran.errors + shown.output] == []


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), "there is nothing to add up: name files, such as a folder with manifests, or declare"),
        (("nowhere.yaml",), "nowhere.yaml does not exist; create it, or correct its path"),
        (
            (CHARTS / "umbrella_chart" / "templates" / "deployment.yaml",),
            "it is a Helm template, not YAML: render it",
        ),
        (
            (CHARTS / "spring_boot", "--database", "order"),
            '"order" is not a database of guard.toml: did you mean "orders"?',
        ),
        (
            (CHARTS / "compose_stack",),
            'no service uses a database of guard.toml, but "pgbouncer": add --database NAME',
        ),
        (("x" * 300,), "cannot be read: File name too long; correct its path"),
        ((CHARTS / "spring_boot", "--share", "0"), "Invalid value for '--share'"),
        ((CHARTS / "spring_boot", "--for", "9"), "--for is how long to look at a live database"),
    ],
)
def test_a_mistake_is_one_line(folder: Path, arguments: tuple[str | Path, ...], line: str) -> None:
    ran = in_this_process("budget", *arguments, folder=folder)

    assert (ran.status, ran.output) == (2, "")
    assert line in ran.errors
    assert len(ran.errors.splitlines()) == 1


def test_without_a_guard_file_the_usable_connections_have_to_be_given(tmp_path: Path) -> None:
    ran = in_this_process("budget", CHARTS / "spring_boot", folder=tmp_path)

    assert ran.status == 2
    assert "is not known: add --usable N" in ran.errors


# A live database


def test_a_live_database_is_measured_and_compared(database: PostgresServer) -> None:
    rendered = (CHARTS / "keda_worker" / "worker.yaml").read_text()
    for name in ("mailer", "mailer", "psql"):
        database.connect("app", application_name=name)

    ran = in_this_process(
        "budget", "-", "--live", "--host", f"{database.host}:{database.port}", "--user",
        "app", given=rendered,
    )  # fmt: skip

    assert ran.status == 1
    found = only(ran)
    assert found["usable_from"] == "measured now"
    assert found["usable"] in (34, 37)
    services = {each["name"]: each for each in found["services"]}
    assert (services["mailer"]["now"], services["mailer"]["most_seen"]) == (2, 2)
    assert (services["importer"]["now"], services["importer"]["most_seen"]) == (0, 0)
    names = [each["application"] for each in found["undeclared"]]
    assert {"application": "psql", "now": 1, "most_seen": 1} in found["undeclared"]
    assert set(names) <= {"psql", "test observer"}, "the command itself is not counted"


@NEWEST
def test_more_sessions_than_its_pools_allow_are_a_finding(
    database: PostgresServer, tmp_path: Path
) -> None:
    (tmp_path / "compose.yaml").write_text(
        "services: {api: {environment: {PGHOST: db, DB_POOL_SIZE: 1}}}"
    )
    for _ in range(2):
        database.connect("app", application_name="api-6d5f-x2")

    ran = at_a_terminal(
        "budget", "compose.yaml", "--live", "--host", f"{database.host}:{database.port}", "--user",
        "connection_guard", folder=tmp_path,
    )  # fmt: skip

    assert ran.status == 1
    assert "api has opened more than its pools allow" in ran.output


@NEWEST
def test_the_most_that_was_seen_stays_when_sessions_end(database: PostgresServer) -> None:
    sessions = [database.connect("app", application_name="api") for _ in range(3)]
    login = Login(host=f"{database.host}:{database.port}", user="connection_guard")
    access = database_access(None, Path("guard.toml"), login)

    def two_end(_seconds: float) -> None:
        while sessions[1:]:
            session = sessions.pop()
            pid = session.info.backend_pid
            session.close()
            while database.has_session(pid):
                pass

    seen = observe(access, 1.5, pause=two_end).applications

    assert seen["api"] == Seen(latest=1, most=3)


def test_a_database_that_cannot_be_reached_is_one_line(tmp_path: Path) -> None:
    ran = in_this_process(
        "budget", CHARTS / "spring_boot", "--live", "--host", "127.0.0.1:1", folder=tmp_path
    )

    assert (ran.status, ran.output) == (2, "")
    assert len(ran.errors.splitlines()) == 1
    assert "Traceback" not in ran.errors


# The example for GitHub Actions


@pytest.fixture(scope="module")
def runner(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a step: a Python of its own, which finds the dependencies here."""
    folder = tmp_path_factory.mktemp("runner")
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(folder / "python")], check=True
    )
    [packages] = (folder / "python").glob("lib/*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return {
        "PATH": f"{folder / 'python' / 'bin'}:{os.defpath}",
        "HOME": str(folder),
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "CONNECTION_GUARD": str(wheel),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
    }


def test_the_steps_of_the_example_work_as_they_are(runner: dict[str, str], tmp_path: Path) -> None:
    """GitHub runs a step in `bash -e` (GitHub's workflow syntax, "shell")."""
    workflow = yaml.safe_load(WORKFLOW.read_text())
    install, add_up = [step["run"] for step in workflow["jobs"]["budget"]["steps"] if "run" in step]
    summary = Path(runner["GITHUB_STEP_SUMMARY"])

    def run(script: str) -> "subprocess.CompletedProcess[str]":
        summary.unlink(missing_ok=True)
        return subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=tmp_path,
            env=runner,
            capture_output=True,
            text=True,
            check=False,
        )

    installed = run(install)
    assert installed.returncode == 0, installed.stderr

    (tmp_path / "guard.toml").write_text(EXAMPLE_FILE.read_text())
    nothing = run(add_up)
    assert nothing.returncode == 2
    assert nothing.stderr.splitlines() == [
        "connection-guard: deploy does not exist; create it, or correct its path"
    ]

    shutil.copytree(CHARTS / "spring_boot", tmp_path / "deploy")
    assert run(add_up).returncode == 0
    assert "**orders**: services may open 48 connections" in summary.read_text()

    manifest = tmp_path / "deploy" / "deployment.yaml"
    manifest.write_text(manifest.read_text().replace("pool-size: 12", "pool-size: 500"))
    over = run(add_up)
    assert over.returncode == 1
    assert "over by 1382" in summary.read_text()
    assert "- payments could be pool_size 154, overflow 0" in over.stdout
