"""The stage of the end-to-end test: the doubles of AWS and RDS, and the guard deployed to them.

    responder -> proxy gate  -> PgBouncer -> PostgreSQL
    responder -> direct gate -> PostgreSQL

Everything is set up once, and torn down to the last process and port.
"""

import json
import shutil
import socket
import tempfile
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from connection_guard.core.database.door import DoorName
from doubles.certificates import Authority, create_authority
from doubles.postgresql import postgres_binaries
from doubles.postgresql.embedded_postgres import EmbeddedPostgres
from doubles.postgresql.pgbouncer import PgBouncer
from doubles.postgresql.postgres_server import PostgresServer
from doubles.slack_double import SlackDouble
from doubles.waiting import wait_until
from tests.e2e import filling_clients as clients
from tests.e2e.deployed_guard import DeployedGuard
from tests.e2e.deployment import Deployment
from tests.e2e.emulator import ACCOUNT, REGION, Emulator
from tests.e2e.iam_gate import Iam, IamGate, Signer, loopback, postgres_over_tls
from tests.support.bootstrapping import assert_silent_success, bootstrap
from tests.support.guarded import GUARD

SETTINGS = {"max_connections": 60, "superuser_reserved_connections": 3, "reserved_connections": 3}
POOL = 3  # server connections that the proxy may open
RESOURCES = {DoorName.PROXY: "prx-0123456789abcdef0", DoorName.DIRECT: "db-ORDERS"}
USERS = {
    door: f"arn:aws:rds-db:{REGION}:{ACCOUNT}:dbuser:{resource}"
    for door, resource in RESOURCES.items()
}


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
def server(authorities: Mapping[DoorName, Authority], ports: list[int]) -> Iterator[PostgresServer]:
    """Yield a server that takes clients over TLS only, with the guard's roles on it."""
    tls = authorities[DoorName.DIRECT].server
    hba = [f"hostssl all {user} 127.0.0.0/8 trust" for user in (GUARD, clients.ROLE)]
    with EmbeddedPostgres(postgres_binaries.installed(18), SETTINGS, hba=hba, tls=tls) as postgres:
        ports.append(postgres.port)
        server = PostgresServer(postgres)
        assert_silent_success(bootstrap(server))
        server.execute(f"CREATE ROLE {clients.ROLE} LOGIN")
        yield server
        server.close_connections()


@pytest.fixture(scope="session")
def pooler(
    server: PostgresServer, authorities: Mapping[DoorName, Authority]
) -> Iterator[PgBouncer]:
    """Yield PgBouncer in place of RDS Proxy. It lets the guard, which uses SET, keep its server
    connection, as RDS Proxy does, and gives up before the guard, which waits for 2 s.
    """
    with PgBouncer(
        server.port,
        (GUARD, clients.ROLE),
        {"pool_mode": "transaction", "max_db_connections": POOL, "query_wait_timeout": 1},
        pinned=GUARD,
        authority=authorities[DoorName.DIRECT].certificate,
    ) as pooler:
        yield pooler


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
def gates(
    iam: Iam,
    pooler: PgBouncer,
    server: PostgresServer,
    authorities: Mapping[DoorName, Authority],
    ports: list[int],
) -> Iterator[dict[DoorName, IamGate]]:
    """Yield the doors; RDS itself, too, checks a token before PostgreSQL sees the login."""
    to_server = postgres_over_tls(
        "localhost", server.port, authorities[DoorName.DIRECT].certificate
    )
    proxy = IamGate(
        loopback(pooler.host, pooler.port),
        USERS[DoorName.PROXY],
        iam,
        authorities[DoorName.PROXY].server,
    )
    direct = IamGate(to_server, USERS[DoorName.DIRECT], iam, authorities[DoorName.DIRECT].server)
    with proxy, direct:
        ports += [proxy.port, direct.port]
        yield {DoorName.PROXY: proxy, DoorName.DIRECT: direct}


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
    gates: Mapping[DoorName, IamGate],
    authorities: Mapping[DoorName, Authority],
    slack: SlackDouble,  # noqa: ARG001 - the stack is deployed with its secret's name
) -> Deployment:
    return Deployment(
        folder,
        emulator,
        {door: gate.port for door, gate in gates.items()},
        {door: authority.certificate for door, authority in authorities.items()},
    )


@pytest.fixture(scope="session")
def guard(deployment: Deployment, emulator: Emulator, server: PostgresServer) -> DeployedGuard:
    def count_connections() -> int:
        ((count,),) = server.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        )
        return int(count)

    return DeployedGuard(emulator, deployment.deploy(), count_connections)


@pytest.fixture
def applications(
    server: PostgresServer, authorities: Mapping[DoorName, Authority], pooler: PgBouncer
) -> Iterator[clients.Applications]:
    with clients.applications(
        server.port, authorities[DoorName.DIRECT].certificate, pooler.port
    ) as applications:
        yield applications


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
        if "pooler" in stage:
            report.sections.append(("PgBouncer", stage["pooler"].log))
        for door, gate in stage.get("gates", {}).items():
            report.sections.append(
                (f"logins at the {door} door", "\n".join(gate.logins + gate.refusals))
            )
    return report
