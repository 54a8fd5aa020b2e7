"""`connection-guard terminate` on real servers: what it ends, what it leaves, and how it asks."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import connection

from connection_guard.core.decision.engagement import Engagement, recalled
from doubles.postgresql.postgres_server import PostgresServer
from doubles.waiting import wait_until
from tests.integration.conftest import NEWEST
from tests.integration.responder.responder_actions import a_memory, hold_the_turn, is_gone, run
from tests.support.builders import a_policy
from tests.support.cli.live_database import (
    at,
    idle_for_a_second,
    policy_file,
    wait_until_gone,
)
from tests.support.cli.live_terminal import running_at_terminal
from tests.support.cli.running import Ran, at_a_terminal, in_a_pipe
from tests.support.guarded import GUARD, Guarded


@pytest.fixture
def clients(database: PostgresServer) -> list[connection]:
    """Return 28 sessions of one pool that have been idle for a second: more than the target."""
    clients = [database.connect("app", application_name="checkout") for _ in range(28)]
    idle_for_a_second(database)
    return clients


def by_script(database: PostgresServer, policy: Path, *options: str | Path) -> Ran:
    """Run the verb in a pipe, where it does not ask."""
    return in_a_pipe("terminate", *at(database, "--policy", policy, "--yes", *options))


def pids(rows: list[dict[str, Any]]) -> list[int]:
    return [row["pid"] for row in rows]


def pid_of(client: connection) -> int:
    return client.info.backend_pid


def memory_of_guard(database: PostgresServer) -> Engagement:
    """Return what the guard remembers in the database."""
    [(settings,)] = database.execute(
        "SELECT coalesce(rolconfig, '{}') FROM pg_roles WHERE rolname = %s", (GUARD,)
    )
    texts = [text.partition("=")[2].removeprefix("connection-guard ") for text in settings]
    return recalled(texts, datetime.now(UTC))


# The plan


def test_it_carries_out_what_plan_shows_and_the_hours_share_counts_it(
    database: PostgresServer, clients: list[connection], tmp_path: Path
) -> None:
    policy = policy_file(tmp_path)
    planned = in_a_pipe("plan", *at(database, "--policy", policy)).document
    wait_until_gone(database)

    ran = by_script(database, policy, "--plan")

    document = ran.document
    assert (ran.status, ran.errors) == (0, "")
    assert pids(document["terminated"]) == pids(planned["would_terminate"])
    gone = {pid_of(client) for client in clients if not database.has_session(pid_of(client))}
    assert gone == set(pids(planned["would_terminate"]))
    assert document["after"]["utilisation"] < 70
    assert document["outcomes"]["terminated"] == len(gone)
    wait_until_gone(database)
    remembered = memory_of_guard(database)
    assert remembered.terminated_within_the_hour(datetime.now(UTC)) == len(gone)
    assert remembered.attempts == 0
    later = in_a_pipe("plan", *at(database, "--policy", policy)).document
    assert later["terminated_within_the_hour"] == len(gone)
    assert later["restraint"] == "below target"


@NEWEST
@pytest.mark.usefixtures("clients")
def test_the_responder_counts_what_was_terminated_by_hand(
    database: PostgresServer, tmp_path: Path
) -> None:
    ended = len(by_script(database, policy_file(tmp_path), "--plan").document["terminated"])
    [database.connect("app", application_name="checkout") for _ in range(ended)]

    report = Guarded(database, a_policy(most_per_run=ended, most_per_hour=ended)).deliver()

    assert report["restraint"] == "hourly cap"


@NEWEST
@pytest.mark.parametrize("held_back_by", ["mode", "pause"])
def test_it_acts_where_the_guard_would_only_observe_and_says_so_before_it_asks(
    database: PostgresServer, clients: list[connection], tmp_path: Path, held_back_by: str
) -> None:
    policy = policy_file(tmp_path, critical="observe" if held_back_by == "mode" else "enforce")
    if held_back_by == "pause":
        database.execute("CREATE ROLE connection_guard_paused")
        database.execute(f"GRANT connection_guard_paused TO {GUARD}")

    ran = at_a_terminal(
        "terminate", *at(database, "--policy", policy, "--plan"), answers="yes\n", lines=100
    )

    before, asked, after = ran.output.partition("Type yes")
    assert ran.status == 0
    assert asked
    assert "The guard would not do this: " in before
    reason = "the policy only observes at critical" if held_back_by == "mode" else "paused: role"
    assert reason in before
    assert "batch: 5 terminated" in after
    assert "now: 23 of 3" in after
    assert sum(map(is_gone, clients)) > 0


@NEWEST
def test_no_other_bound_gives_way(
    database: PostgresServer, clients: list[connection], tmp_path: Path
) -> None:
    refused = by_script(database, policy_file(tmp_path, refuse_above=10), "--plan")
    memory = a_memory(
        datetime.now(UTC), terminations=((datetime.now(UTC) - timedelta(minutes=5), 300),)
    )
    database.execute(f"ALTER ROLE {GUARD} SET application_name = %s", (memory,))
    used_up = by_script(database, policy_file(tmp_path), "--plan")

    assert (refused.status, refused.document["restraint"]) == (1, "refused")
    assert (used_up.status, used_up.document["restraint"]) == (1, "hourly cap")
    assert refused.document["terminated"] == used_up.document["terminated"] == []
    assert not any(map(is_gone, clients))


@NEWEST
def test_below_the_target_there_is_nothing_to_do(database: PostgresServer, tmp_path: Path) -> None:
    ran = by_script(database, policy_file(tmp_path), "--plan")

    assert (ran.status, ran.document["restraint"]) == (1, "below target")


@NEWEST
def test_a_pool_that_reopens_what_it_loses_is_shown(
    database: PostgresServer, clients: list[connection], tmp_path: Path
) -> None:
    with running_at_terminal(
        "terminate",
        *at(database, "--policy", policy_file(tmp_path, watch="5s"), "--plan"),
    ) as terminal:
        terminal.wait_for("Type yes")
        terminal.type("yes\n")
        wait_until(lambda: sum(not database.has_session(pid_of(each)) for each in clients) > 4)
        [database.connect("app", application_name="checkout") for _ in range(4)]

        shown = terminal.wait_for("now: ")
        assert terminal.status() in (0, 1)

    assert "checkout (app): reopened 4 of" in shown
    assert memory_of_guard(database).reopening


# Single sessions


def test_it_terminates_a_session_that_the_policy_spares_and_shows_why_it_does(
    database: PostgresServer, tmp_path: Path
) -> None:
    spared, other = database.connect("app"), database.connect("app")
    run(spared, "LISTEN x")

    ran = at_a_terminal(
        "terminate",
        *at(database, "--policy", policy_file(tmp_path, older_than="1h"), "--pid"),
        str(pid_of(spared)),
        answers="yes\n",
    )

    assert ran.status == 0
    assert "no rule matched (idle for " in ran.output.partition("Type yes")[0]
    assert is_gone(spared)
    assert not is_gone(other)


@NEWEST
def test_what_nobody_may_end_by_hand_is_refused_with_its_reason(
    database: PostgresServer, tmp_path: Path
) -> None:
    database.execute("CREATE ROLE payments LOGIN; CREATE ROLE rdsadmin LOGIN")
    refused = {
        "its role is protected": database.connect("payments"),
        "a superuser's session": database.connect("postgres"),
        "a session of Amazon RDS itself": database.connect("rdsadmin"),
        "the guard's own session": database.connect(GUARD),
    }
    allowed = database.connect("app")
    asked = [*map(pid_of, refused.values()), pid_of(allowed), 2**31 - 1]

    ran = by_script(database, policy_file(tmp_path), "--pid", ",".join(map(str, asked)))

    assert ran.status == 1
    assert pids(ran.document["terminated"]) == [pid_of(allowed)]
    assert {row["pid"]: row["reason"] for row in ran.document["refused"]} == {
        **{pid_of(client): reason for reason, client in refused.items()},
        2**31 - 1: "there is no such session",
    }
    assert is_gone(allowed)
    assert not any(map(is_gone, refused.values()))


def test_a_session_that_begins_to_work_while_the_question_is_open_has_moved_on(
    database: PostgresServer, tmp_path: Path
) -> None:
    busy, idle = database.connect("app"), database.connect("app")
    policy = policy_file(tmp_path)
    with running_at_terminal(
        "terminate",
        *at(database, "--policy", policy, "--pid", str(pid_of(busy)), "--pid", str(pid_of(idle))),
    ) as terminal:
        terminal.wait_for("Type yes")
        run(busy, "BEGIN")
        terminal.type("yes\n")
        shown = terminal.wait_for("now: ")
        status = terminal.status()

    assert status == 1
    assert "batch: 1 terminated, 1 moved on" in shown
    assert f"{pid_of(busy)}  moved on" in shown
    assert is_gone(idle)
    run(busy, "COMMIT")


# The question


@NEWEST
def test_any_other_answer_terminates_nothing(
    database: PostgresServer, clients: list[connection], tmp_path: Path
) -> None:
    arguments = ("terminate", *at(database, "--policy", policy_file(tmp_path), "--plan"))

    declined = at_a_terminal(*arguments, answers="y\n")
    with running_at_terminal(*arguments) as terminal:
        terminal.wait_for("Type yes")
        terminal.type("\x03")
        interrupted = terminal.status()
        shown = terminal.text

    assert declined.status == 1
    assert declined.output.endswith("nothing was terminated")
    assert interrupted == 130
    assert shown.rstrip().endswith("connection-guard: interrupted: nothing was terminated")
    assert not any(map(is_gone, clients))
    wait_until_gone(database)
    assert memory_of_guard(database) == Engagement()


@NEWEST
@pytest.mark.usefixtures("clients")
def test_ctrl_c_between_two_batches_says_what_is_known(
    database: PostgresServer, tmp_path: Path
) -> None:
    policy = policy_file(tmp_path)
    text = policy.read_text().replace("most_per_run = 100", "most_per_run = 10")
    policy.write_text(text.replace('batches = "0s"', 'batches = "20s"'))
    with running_at_terminal(
        "terminate", *at(database, "--policy", policy, "--plan", "--yes")
    ) as terminal:
        terminal.wait_for("batch: 5 terminated")
        terminal.type("\x03")
        status = terminal.status()
        shown = " ".join(terminal.text.split())

    assert status == 130
    assert "connection-guard: interrupted: 5 terminated; of the other" in shown
    assert shown.endswith("may have been signalled: `connection-guard plan` shows who is left")
    wait_until_gone(database)


@NEWEST
def test_where_nobody_can_be_asked_it_has_to_be_said(
    database: PostgresServer, clients: list[connection]
) -> None:
    target = f"{database.host}:{database.port}"
    for arguments, problem in {
        ("--plan",): "add --yes",
        (): "name either --plan, or sessions with --pid",
        ("--plan", "--pid", "1"): "name either --plan, or sessions with --pid",
        ("--pid", "1,two"): "'two' is not the pid of a session",
        ("--pid", "0"): "'0' is not the pid of a session",
    }.items():
        ran = in_a_pipe("terminate", "--host", target, *arguments)

        assert (ran.status, ran.output) == (2, "")
        assert problem in ran.errors
        assert len(ran.errors.splitlines()) == 1
    assert not any(map(is_gone, clients))


@NEWEST
def test_a_session_that_was_ended_while_the_question_was_open_is_opened_again(
    database: PostgresServer, tmp_path: Path
) -> None:
    client = database.connect("app")
    with running_at_terminal(
        "terminate", *at(database, "--policy", policy_file(tmp_path), "--pid", str(pid_of(client)))
    ) as terminal:
        terminal.wait_for("Type yes")
        database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (GUARD,)
        )
        terminal.type("yes\n")
        assert terminal.status() == 0

    assert is_gone(client)


# Beside the responder


@NEWEST
def test_it_does_not_act_while_a_run_of_the_guard_does(
    database: PostgresServer, clients: list[connection], tmp_path: Path
) -> None:
    holder = hold_the_turn(database, GUARD)

    ran = by_script(database, policy_file(tmp_path), "--plan")

    assert (ran.status, ran.output) == (2, "")
    assert f"another run of the guard (pid {pid_of(holder)}) is working on this database" in (
        ran.errors
    )
    assert not any(map(is_gone, clients))
    assert memory_of_guard(database) == Engagement()


@NEWEST
@pytest.mark.usefixtures("clients")
def test_a_stranger_with_the_guards_lock_does_not_keep_it_from_acting(
    database: PostgresServer, tmp_path: Path
) -> None:
    hold_the_turn(database, "app")

    ran = by_script(database, policy_file(tmp_path), "--plan")

    assert ran.document["outcomes"]["terminated"] > 0
    assert 'role "app"' in ran.document["problems"][0]
    assert "holds the guard's own advisory lock" in ran.document["problems"][0]


# As a person


@NEWEST
def test_a_person_needs_the_privilege_and_is_not_counted(
    database: PostgresServer, clients: list[connection], tmp_path: Path
) -> None:
    database.execute("CREATE ROLE person LOGIN; GRANT pg_monitor TO person")
    policy = policy_file(tmp_path)

    powerless = by_script(database, policy, "--plan", "--user", "person")
    database.execute("GRANT pg_signal_backend TO person")
    allowed = by_script(database, policy, "--plan", "--user", "person")

    assert (powerless.status, powerless.output) == (2, "")
    assert 'GRANT pg_signal_backend TO "person";' in powerless.errors
    assert allowed.status == 0
    assert allowed.document["counted_by_guard"] is False
    assert sum(map(is_gone, clients)) == len(allowed.document["terminated"]) > 0
    assert memory_of_guard(database) == Engagement()
    with pytest.raises(psycopg2.Error):
        run(clients[0], "SELECT 1")
