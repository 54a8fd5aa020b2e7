"""`connection-guard plan` on real servers: what it shows, and that the responder then does it."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg2.extensions import connection

from connection_guard.adapters.postgresql.turn import MEMORY
from connection_guard.cli.access.database_access import enter
from connection_guard.cli.live.live_look import Judgement, judged
from connection_guard.cli.live.live_session import judgement_of, look_around
from connection_guard.cli.live.plan_document import Document, plan_document
from connection_guard.configuration.guard.guard_configuration import (
    ExistingProxy,
    ProxyAuthentication,
)
from connection_guard.core.database.door import Door
from connection_guard.core.database.session import Pool, SessionState
from connection_guard.core.policy import Mode, Policy, Tier
from doubles.postgresql.postgres_server import PostgresServer
from tests.integration.conftest import (
    NEWEST,
    OLDEST,
    WITH_RESERVED_CONNECTIONS,
    OwnPostgres,
)
from tests.integration.responder.responder_actions import a_memory, run
from tests.support.builders import a_heartbeat_event, a_policy, a_rule
from tests.support.cli.live_database import (
    an_access,
    at,
    idle_for_a_second,
    policy_file,
    wait_until_gone,
)
from tests.support.cli.running import at_a_terminal, in_a_pipe, raw_terminal
from tests.support.configurations import EXAMPLE_FILE, a_database
from tests.support.guarded import GUARD, Guarded, create_guard_role, fill


def planned_now(server: PostgresServer, policy: Policy, tier: Tier = Tier.CRITICAL) -> Document:
    """Return the document of the verb, whose session has ended."""
    access = an_access(server, policy)
    session, measurement = enter(access)
    snapshot = look_around(access, session, measurement)
    pid = session.connection.info.backend_pid
    session.close()
    while server.has_session(pid):
        pass
    return plan_document(judged("orders-prod", snapshot, Judgement(policy, tier, 75, 90, (GUARD,))))


# What it says is what the responder does


@pytest.mark.parametrize("seed", range(12))
@NEWEST
def test_what_it_says_is_what_the_responder_then_does(database: PostgresServer, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same database every time
    clients = open_anything(database, chance)
    policy = any_policy(chance)
    remember_anything(database, chance, clients)
    guarded = Guarded(database, policy)
    if chance.random() < 0.5:  # a warm environment, which has its seat
        guarded.deliver(a_heartbeat_event())

    document = planned_now(database, policy)
    report = guarded.deliver()

    done = report["terminated"] or report["would_terminate"]
    assert decided(document["would_terminate"]) == decided(done)
    assert grouped(document["spared"]) == grouped(report["spared"])
    assert document["restraint"] == report["restraint"]
    assert document["usage"]["used"] == report["before"]["used"]
    assert document["explanation"] == report["explanation"]
    assert [each["cause"] for each in document["diagnoses"]] == [
        each["cause"] for each in report["diagnoses"]
    ]
    if document["restraint"]:
        assert document["action_required"] == report["escalation"]
    else:
        assert report["after"]["used"] == document["usage_after"]["used"]


def decided(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(row["pid"], row["rule"], row["reason_code"]) for row in rows]


def grouped(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return the groups but the guard's own: its session works while it looks."""
    keys = ("rule", "reason_code", "role", "application", "state", "sessions")
    return sorted(tuple(str(row[key]) for key in keys) for row in rows if row["role"] != GUARD)


def open_anything(server: PostgresServer, chance: random.Random) -> list[connection]:
    """Open sessions of a few applications, in several states."""
    server.execute("CREATE ROLE payments LOGIN")
    clients = []
    for _ in range(chance.choice([5, 24, 27, 31])):
        role, application = chance.choice(
            [("app", "checkout"), ("app", "search"), ("payments", "ledger")]
        )
        client = server.connect(role, application_name=application)
        for statement in chance.choice(
            [[], [], ["SELECT 1"], ["BEGIN"], ["LISTEN x"], ["SELECT pg_advisory_lock_shared(1)"]]
        ):
            run(client, statement)
        clients.append(client)
    return clients


def any_policy(chance: random.Random) -> Policy:
    states = [SessionState.IDLE, SessionState.IDLE_IN_TRANSACTION]
    rules = [
        a_rule(f"rule {n}", states=frozenset({state}), even_if_listening=chance.random() < 0.5)
        for n, state in enumerate(chance.sample(states, chance.choice([1, 2])))
    ]
    return a_policy(
        *rules,
        modes={Tier.WARNING: Mode.OBSERVE, Tier.CRITICAL: chance.choice([*Mode, Mode.ENFORCE])},
        protect_roles=chance.choice([(), ("payments",)]),
        most_per_run=chance.choice([3, 1000]),
        most_per_hour=chance.choice([6, 10_000]),
        refuse_above_percent=chance.choice([20, 100]),
        keep_per_pool=chance.choice([0, 3]),
    )


def remember_anything(
    server: PostgresServer, chance: random.Random, clients: list[connection]
) -> None:
    """Leave what an earlier run of the responder may have remembered."""
    now = datetime.now(UTC)
    pids = [client.info.backend_pid for client in chance.sample(clients, 3)]
    starts = server.execute(
        "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = ANY (%s)", (pids,)
    )
    memory = a_memory(
        now - timedelta(minutes=chance.choice([2, 90])),
        tier=chance.choice([None, Tier.CRITICAL]),
        terminations=((now - timedelta(minutes=chance.choice([3, 70])), chance.choice([4, 6])),),
        reopening={Pool("app", "search", "127.0.0.1"): now} if chance.random() < 0.3 else {},
        unmoved=frozenset(starts),
    )
    assert memory.startswith(MEMORY)
    if chance.random() < 0.7:
        server.execute(f"ALTER ROLE {GUARD} SET application_name = %s", (memory,))
    if chance.random() < 0.2:
        server.execute(
            f"CREATE ROLE connection_guard_paused; GRANT connection_guard_paused TO {GUARD}"
        )


# What it shows


@WITH_RESERVED_CONNECTIONS
def test_on_a_full_server_it_gets_in_and_shows_who_would_go(
    database: PostgresServer, tmp_path: Path
) -> None:
    clients = fill(database, role="app", application_name="checkout")
    idle_for_a_second(database)

    ran = in_a_pipe("plan", *at(database, "--policy", policy_file(tmp_path)))

    assert (ran.status, ran.errors) == (1, "")
    document = ran.document
    going = [row["pid"] for row in document["would_terminate"]]
    assert going[0] == clients[0].info.backend_pid, "the one that is idle longest goes first"
    assert document["usage_after"]["utilisation"] < 70 <= document["usage"]["utilisation"]
    assert all(
        not client.closed and database.has_session(client.info.backend_pid) for client in clients
    )
    wait_until_gone(database)


@OLDEST
def test_a_full_server_without_a_reserve_is_a_mistake_in_one_line(database: PostgresServer) -> None:
    fill(database, role="app")

    ran = in_a_pipe("plan", *at(database))

    assert ran.status == 2
    assert "too many clients" in ran.errors or "remaining connection slots" in ran.errors
    assert len(ran.errors.splitlines()) == 1


@OLDEST
def test_a_server_that_refused_the_login_counts_as_full(database: PostgresServer) -> None:
    clients = fill(database, role="app")
    access = an_access(database, a_policy())

    def connect_as_soon_as_others_leave(door: Door) -> connection:
        if logins:
            clients.pop().close()
        logins.append(door)
        return access.connect(door)

    logins: list[Door] = []
    session, measurement = enter(replace(access, connect=connect_as_soon_as_others_leave))
    session.close()

    assert len(logins) > 1
    assert measurement.refused_a_login
    assert measurement.utilisation >= 100


def test_a_person_sees_who_goes_and_who_stays_and_why_at_any_width(
    database: PostgresServer, tmp_path: Path
) -> None:
    clients = [database.connect("app", application_name="checkout") for _ in range(24)]
    database.execute("CREATE ROLE payments LOGIN")
    database.connect("payments", application_name="ledger")
    idle_for_a_second(database)
    policy = policy_file(tmp_path)

    screens = {
        columns: at_a_terminal(
            "plan", *at(database, "--policy", policy), columns=columns, lines=200
        )
        for columns in (120, 80, 50)
    }

    for columns, ran in screens.items():
        words = " ".join(ran.output.split())
        assert ran.status == 1
        assert all(len(line) <= columns for line in ran.output.splitlines())
        assert "27 of 3" in words
        assert "connections in use" in words
        assert "target 70 %, warning 75 %, critical 90 %" in words
        assert "critical: " in words
        assert "candidates are to be terminated" in words
        assert str(clients[0].info.backend_pid) in words
        assert "These are spared:" in words
        assert "its role is protected" in words
        assert "advice:" in words


@NEWEST
def test_it_says_what_holds_the_plan_back(database: PostgresServer, tmp_path: Path) -> None:
    calm = in_a_pipe("plan", *at(database))
    [database.connect("app") for _ in range(30)]
    idle_for_a_second(database)
    observing = in_a_pipe(
        "plan", *at(database, "--policy", policy_file(tmp_path, critical="observe"))
    )
    refused = in_a_pipe("plan", *at(database, "--policy", policy_file(tmp_path, refuse_above=10)))
    database.execute(
        f"CREATE ROLE connection_guard_paused; GRANT connection_guard_paused TO {GUARD}"
    )
    shown = at_a_terminal("plan", *at(database, "--policy", policy_file(tmp_path)), columns=100)

    assert (calm.status, calm.document["restraint"]) == (0, "below target")
    assert calm.document["would_terminate"] == []
    assert (observing.status, observing.document["restraint"]) == (1, "observing")
    assert observing.document["would_terminate"]
    assert (refused.status, refused.document["restraint"]) == (1, "refused")
    assert "limits.refuse_above is 10 %" in refused.document["action_required"]
    assert "critical: nothing is terminated (paused)" in shown.output
    assert "if nothing held the plan back" in shown.output


@NEWEST
def test_a_warning_decides_by_its_own_mode(database: PostgresServer) -> None:
    fill(database, role="app")

    document = in_a_pipe("plan", *at(database, "--tier", "warning")).document

    assert (document["tier"], document["restraint"]) == ("warning", "observing")


@NEWEST
def test_names_that_clients_chose_are_shown_as_text_only(
    database: PostgresServer, tmp_path: Path
) -> None:
    role = "\x1b[2J[red]漢字\u202e"
    database.execute(f'CREATE ROLE "{role}" LOGIN')
    [database.connect(role, application_name="[bold]x") for _ in range(28)]
    idle_for_a_second(database, role)

    status, written = raw_terminal(
        "plan", *at(database, "--policy", policy_file(tmp_path)), columns=100
    )

    assert status == 1
    assert b"\x1b[2J" not in written
    assert "\u202e".encode() not in written
    assert "[red]漢字".encode() in written
    assert b"[bold]x" in written


@NEWEST
def test_a_person_without_the_guards_role_gets_the_same_plan(
    database: PostgresServer, tmp_path: Path
) -> None:
    fill(database, role="app")
    idle_for_a_second(database)
    policy = policy_file(tmp_path)

    as_guard = in_a_pipe("plan", *at(database, "--policy", policy)).document
    wait_until_gone(database)
    as_person = in_a_pipe("plan", *at(database, "--policy", policy, "--user", "postgres")).document

    for same in ("restraint", "usage_after", "explanation"):
        assert as_person[same] == as_guard[same]
    assert decided(as_person["would_terminate"]) == decided(as_guard["would_terminate"])


@NEWEST
def test_sessions_of_the_proxy_in_guard_toml_are_spared(database: PostgresServer) -> None:
    fill(database, role="app")
    for host, address_is_proxys in (("127.0.0.1", True), ("127.0.0.9", False)):
        proxy = ExistingProxy(host, 5432, "prx-1", (), ProxyAuthentication.IAM, GUARD)
        access = replace(
            an_access(database, a_policy()), configured=a_database(proxy=proxy), name="orders"
        )
        session, measurement = enter(access)
        snapshot = look_around(access, session, measurement)
        session.close()
        document = plan_document(
            judged("orders", snapshot, judgement_of(access, None, Tier.CRITICAL))
        )

        assert bool(document["spared_of_proxy"]) is address_is_proxys
        assert bool(document["would_terminate"]) is not address_is_proxys


# What can go wrong


@NEWEST
def test_what_keeps_it_from_looking_is_one_line(server: PostgresServer, tmp_path: Path) -> None:
    server.execute(f"CREATE ROLE {GUARD} LOGIN")
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(policy_file(tmp_path).read_text().replace("target = 70", "target = 76"))
    guard_file = tmp_path / "guard.toml"
    guard_file.write_text(EXAMPLE_FILE.read_text())

    for arguments, problem in {
        at(server): 'GRANT pg_read_all_stats TO "connection_guard";',
        at(server, "--user", "nobody"): 'role "nobody" does not exist',
        at(server, "--user", "postgres", "--dbname", "nowhere"): '"nowhere" does not exist',
        ("--host", "localhost:1"): "Connection refused: no login as",
        ("--host", "no.such.host.invalid"): "no.such.host.invalid",
        at(server, "--user", "postgres", "--policy", wrong): "76 is not below the warning alarm",
        at(server, "--policy", tmp_path / "none.toml"): "none.toml does not exist",
        at(server, "--policy", tmp_path): "is a folder",
        ("order", "--guard", guard_file): 'did you mean "orders"?',
    }.items():
        ran = in_a_pipe("plan", *arguments)

        assert (ran.status, ran.output) == (2, ""), arguments
        assert problem in ran.errors
        assert len(ran.errors.splitlines()) == 1, ran.errors
        assert "Traceback" not in ran.errors


@NEWEST
def test_each_mistake_of_a_policy_is_a_line(database: PostgresServer, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    text = policy_file(tmp_path).read_text()
    wrong.write_text(text.replace("target = 70", "targt = 70").replace('"stale idle"', "3"))

    ran = in_a_pipe("plan", *at(database, "--policy", wrong))

    assert ran.status == 2
    lines = ran.errors.splitlines()
    assert len(lines) > 1
    assert all(line.startswith(f"connection-guard: {wrong}: ") for line in lines)


def test_a_reader_is_refused(own_postgres: OwnPostgres) -> None:
    server = own_postgres()
    create_guard_role(server)
    (server.postgres.folder / "data" / "standby.signal").touch()
    server.restart()

    ran = in_a_pipe("plan", *at(server))

    assert ran.status == 2
    assert "is in recovery: not the writer" in ran.errors


@NEWEST
def test_who_can_see_but_not_signal_may_look(database: PostgresServer) -> None:
    database.execute("CREATE ROLE person LOGIN; GRANT pg_monitor TO person")

    assert in_a_pipe("plan", *at(database, "--user", "person")).status == 0
    assert "GRANT pg_read_all_stats" in in_a_pipe("plan", *at(database, "--user", "app")).errors
