"""The stage of the end-to-end test: the doubles of AWS and RDS, and the guard deployed to them.

Everything is set up once, and torn down to the last process and port.
"""

import json
import shutil
import socket
import tempfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from connection_guard.core.database.door import DoorName
from doubles.certificates import Authority, create_authority
from doubles.slack_double import SlackDouble
from doubles.waiting import wait_until
from tests.e2e.account.emulator import Emulator
from tests.e2e.databases import BILLING, ORDERS, PAYMENTS, RESOURCES, RunningDatabase, running
from tests.e2e.deployed_database import DeployedDatabase
from tests.e2e.deployed_guard import DeployedGuard
from tests.e2e.deployment import Deployment
from tests.e2e.iam_gate import Iam, Signer

STACK = "ConnectionGuard"


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Yield a folder for everything that the test writes; the command or the environment of each
    process that it starts names the folder.
    """
    folder = Path(tempfile.mkdtemp(prefix="connection-guard-e2e-"))
    folder.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        yield folder
    wait_until(lambda: not processes_of(folder), seconds=10)
    shutil.rmtree(folder)


def processes_of(folder: Path) -> list[str]:
    """Return the command of each process that was started with anything in the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            environment = (process / "environ").read_bytes()
        except OSError:
            continue  # it has ended, or belongs to another user
        if str(folder).encode() in command + environment:
            found.append(
                f"{process.name}: {command.replace(bytes(1), b' ').decode(errors='replace')}"
            )
    return found


@pytest.fixture(scope="session")
def ports() -> Iterator[list[int]]:
    """Yield a list to which every listener adds its port; in the end nothing may listen there."""
    ports: list[int] = []
    yield ports
    for port in ports:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0, (
                f"something still listens on port {port}"
            )


@pytest.fixture(scope="session")
def authorities(folder: Path) -> dict[DoorName, Authority]:
    """Return the doubles of Amazon Trust Services, which signs for RDS Proxy, and of RDS's own
    authority, which signs for the instance.
    """
    return {door: create_authority(folder, door) for door in DoorName}


@pytest.fixture(scope="session")
def emulator(authorities: Mapping[DoorName, Authority], ports: list[int]) -> Iterator[Emulator]:
    with Emulator(authorities[DoorName.PROXY]) as emulator:
        ports.append(emulator.port)
        yield emulator


@pytest.fixture(scope="session")
def iam(emulator: Emulator) -> Iam:
    """Return the emulator's IAM: the credentials that it gave to functions, and the policies of
    their roles.
    """
    client = emulator.client("iam")

    def signer_of(access_key: str) -> Signer | None:
        for process in emulator.processes:
            if process.access_key == access_key:
                return Signer(process.role, process.secret_key, process.session_token)
        return None

    def may_connect(role: str, user: str) -> bool:
        answer = client.simulate_principal_policy(
            PolicySourceArn=role, ActionNames=["rds-db:connect"], ResourceArns=[user]
        )
        return [result["EvalDecision"] for result in answer["EvaluationResults"]] == ["allowed"]

    return Iam(signer_of, may_connect)


@pytest.fixture(scope="session")
def databases(
    iam: Iam, authorities: Mapping[DoorName, Authority], ports: list[int]
) -> Iterator[dict[str, RunningDatabase]]:
    with ExitStack() as stack:
        databases = {
            name: stack.enter_context(running(name, authorities, iam)) for name in RESOURCES
        }
        for database in databases.values():
            ports += [database.server.port, *(gate.port for gate in database.gates.values())]
        yield databases


@pytest.fixture(scope="session")
def slack(emulator: Emulator, ports: list[int]) -> Iterator[SlackDouble]:
    """Yield a workspace; the secret by which the reporter knows it exists then."""
    with SlackDouble() as slack:
        ports.append(int(slack.base_url.split(":")[2].partition("/")[0]))
        secret = {"token": slack.token, "channel": slack.channel, "base_url": slack.base_url}
        client = emulator.client("secretsmanager")
        client.create_secret(Name="connection-guard/slack", SecretString=json.dumps(secret))
        yield slack


@pytest.fixture(scope="session")
def deployment(
    folder: Path,
    emulator: Emulator,
    databases: Mapping[str, RunningDatabase],
    authorities: Mapping[DoorName, Authority],
    slack: SlackDouble,  # noqa: ARG001 - the stack is deployed with its secret's name
) -> Deployment:
    return Deployment(
        folder,
        emulator,
        {
            name: {door: gate.port for door, gate in database.gates.items()}
            for name, database in databases.items()
        },
        {door: authority.certificate for door, authority in authorities.items()},
    )


@pytest.fixture(scope="session")
def guard(
    deployment: Deployment, emulator: Emulator, databases: Mapping[str, RunningDatabase]
) -> DeployedGuard:
    outputs = deployment.deploy(STACK, databases)
    return DeployedGuard(emulator, STACK, outputs, databases.values())


@pytest.fixture(scope="session")
def orders(guard: DeployedGuard) -> DeployedDatabase:
    return guard.databases[ORDERS]


@pytest.fixture(scope="session")
def payments(guard: DeployedGuard) -> DeployedDatabase:
    return guard.databases[PAYMENTS]


@pytest.fixture(scope="session")
def billing(guard: DeployedGuard) -> DeployedDatabase:
    return guard.databases[BILLING]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what happened on the other side where a test fails."""
    report = yield
    if report.failed:
        stage: Mapping[str, Any] = item.funcargs
        if "emulator" in stage:
            report.sections.append(("AWS and the functions", stage["emulator"].log))
        for database in stage.get("databases", {}).values():
            if database.pooler is not None:
                report.sections.append(("PgBouncer", database.pooler.log))
            for door, gate in database.gates.items():
                report.sections.append(
                    (
                        f"logins at the {door} door of {database.name}",
                        "\n".join(gate.logins + gate.refusals),
                    )
                )
    return report
