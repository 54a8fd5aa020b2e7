"""The guard is paused and resumed by real roles, as the master user of Amazon RDS has them."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest

from connection_guard.adapters.postgresql.administration.pausing import (
    pause_guard,
    paused_roles,
    pausing_statement,
    resume_guard,
)
from connection_guard.adapters.postgresql.examination.examine import examine
from connection_guard.adapters.postgresql.guard_session import GuardSession, open_session
from connection_guard.adapters.postgresql.observe import measure
from connection_guard.core.database.door import Door, DoorName
from connection_guard.core.database.pause import Pause
from connection_guard.errors import StatementError
from doubles.postgresql.postgres_server import PostgresServer
from tests.integration.conftest import NEWEST, WITH_RESERVED_CONNECTIONS
from tests.support.bootstrapping import bootstrap
from tests.support.cli.running import ROOT
from tests.support.guarded import GUARD, Guarded

HOSTILE = "it's $$; DROP ROLE app; $$ %s %(note)s \\ \" \x1b[2J\n{} Prüfung 😀"
COMMENT = "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = %s"

EnterAs = Callable[[str], GuardSession]


@pytest.fixture
def enter_as(server: PostgresServer) -> Iterator[EnterAs]:
    opened = []

    def enter(role: str) -> GuardSession:
        door = Door(DoorName.DIRECT, server.host, server.port, role)
        opened.append(open_session(Guarded(server).connect, door, monotonic() + 30))
        return opened[-1]

    yield enter
    for session in opened:
        session.close()


@pytest.fixture
def master(server: PostgresServer, enter_as: EnterAs) -> GuardSession:
    """Return a session of one who is no superuser, may create roles, and ran bootstrap.sql."""
    server.execute("CREATE ROLE master LOGIN CREATEROLE")
    server.execute("GRANT pg_monitor, pg_signal_backend TO master WITH ADMIN OPTION")
    if server.execute("SELECT 1 FROM pg_roles WHERE rolname = 'pg_use_reserved_connections'"):
        server.execute("GRANT pg_use_reserved_connections TO master WITH ADMIN OPTION")
    assert bootstrap(server, user="master").returncode == 0
    return enter_as("master")


def pause_seen_by(session: GuardSession, *roles: str) -> Pause | None:
    return measure(session, roles or (GUARD,)).pause


def test_a_master_user_pauses_and_resumes(
    server: PostgresServer, master: GuardSession, enter_as: EnterAs
) -> None:
    guard = enter_as(GUARD)
    began = measure(guard, (GUARD,)).taken_at

    pause_guard(master, (GUARD,), timedelta(hours=2), "alice: load test")

    (pause,) = [pause_seen_by(guard)]
    assert pause is not None
    assert pause.note == "alice: load test"
    assert pause.until is not None
    assert timedelta() <= pause.until - began - timedelta(hours=2) < timedelta(minutes=1)
    assert paused_roles(guard) == (GUARD,)

    resume_guard(master, (GUARD,))

    assert pause_seen_by(guard) is None
    assert paused_roles(guard) == ()
    assert server.execute(COMMENT, ("connection_guard_paused",)) == [(None,)]


def test_it_ends_by_the_databases_clock(server: PostgresServer, master: GuardSession) -> None:
    pause_guard(master, (GUARD,), timedelta(hours=2), "alice")
    server.execute("ALTER ROLE connection_guard_paused VALID UNTIL '2020-01-01 00:00 UTC'")
    assert pause_seen_by(master) is None
    assert paused_roles(master) == (GUARD,)

    resume_guard(master, (GUARD,))
    server.execute(f"GRANT connection_guard_paused TO {GUARD}")

    assert pause_seen_by(master) == Pause()


@pytest.mark.parametrize("source", ["docs/operating.md", "docs/commands/pause.md", "message"])
def test_what_is_written_to_run_by_hand_pauses_also_after_a_pause_that_has_expired(
    server: PostgresServer, master: GuardSession, source: str
) -> None:
    pause_guard(master, (GUARD,), timedelta(hours=2), "alice")
    server.execute("ALTER ROLE connection_guard_paused VALID UNTIL '2020-01-01 00:00 UTC'")
    (role,) = examine(master, (GUARD,), monotonic() + 30).roles
    assert (pause_seen_by(master), role.was_paused) == (None, True)

    if source == "message":
        statements = pausing_statement("pause", (GUARD,))
    else:
        [statements] = re.findall(
            r"```sql\n([^`]*?GRANT connection_guard_paused[^`]*)```", (ROOT / source).read_text()
        )
    server.execute(statements)

    assert pause_seen_by(master) == Pause(None, "alice")


def test_a_second_pause_replaces_the_first(master: GuardSession) -> None:
    pause_guard(master, (GUARD,), timedelta(hours=2), "alice: load test")
    pause_guard(master, (GUARD,), None, "bob")
    assert pause_seen_by(master) == Pause(None, "bob")


def test_what_is_not_paused_can_be_resumed(master: GuardSession) -> None:
    resume_guard(master, (GUARD,))
    assert pause_seen_by(master) is None


def test_a_server_without_the_switch_gets_it(server: PostgresServer, master: GuardSession) -> None:
    server.execute("DROP ROLE connection_guard_paused")
    resume_guard(master, (GUARD,))
    pause_guard(master, (GUARD,), None, "alice")
    assert pause_seen_by(master) == Pause(None, "alice")
    resume_guard(master, (GUARD,))
    assert pause_seen_by(master) is None


def test_any_text_is_kept_on_one_line_and_obeyed_by_nobody(
    server: PostgresServer, master: GuardSession
) -> None:
    server.execute("CREATE ROLE app LOGIN")

    pause_guard(master, (GUARD,), None, HOSTILE)

    shown = "it's $$; DROP ROLE app; $$ %s %(note)s \\ \" \ufffd[2J {} Prüfung 😀"
    assert pause_seen_by(master) == Pause(None, shown)
    assert server.execute(COMMENT, ("connection_guard_paused",)) == [(shown,)]
    assert server.execute("SELECT count(*) FROM pg_roles WHERE rolname = 'app'") == [(1,)]


def test_roles_may_have_any_name(server: PostgresServer, master: GuardSession) -> None:
    names = ('Guard "Co", {x}', "guard'\\; DROP")
    for name in names:
        assert bootstrap(server, user="master", guard_role=name).returncode == 0

    pause_guard(master, names, None, "alice")

    assert pause_seen_by(master, names[1]) == Pause(None, "alice")
    assert pause_seen_by(master, GUARD) is None
    resume_guard(master, names)
    assert paused_roles(master) == ()


def test_a_pause_of_another_guard_of_the_server_survives_a_resume(
    server: PostgresServer, master: GuardSession
) -> None:
    assert bootstrap(server, user="master", guard_role="other_guard").returncode == 0
    pause_guard(master, (GUARD, "other_guard"), None, "alice")
    assert paused_roles(master) == (GUARD, "other_guard")

    resume_guard(master, (GUARD,))

    assert pause_seen_by(master) is None
    assert pause_seen_by(master, "other_guard") == Pause(None, "alice")


def test_it_holds_in_every_database_of_the_server(
    server: PostgresServer, master: GuardSession
) -> None:
    server.execute("CREATE DATABASE shop")
    pause_guard(master, (GUARD,), None, "alice")
    guarded = Guarded(server, database_name="shop")
    session = open_session(guarded.connect, guarded.settings.direct, monotonic() + 30)
    assert pause_seen_by(session) == Pause(None, "alice")
    session.close()


@pytest.mark.parametrize("change", [pause_guard, resume_guard])
def test_who_may_not_changes_nothing_and_gets_the_statement(
    master: GuardSession,
    enter_as: EnterAs,
    change: Callable[..., None],
) -> None:
    pause_guard(master, (GUARD,), None, "alice")
    guard = enter_as(GUARD)
    more = (timedelta(hours=1), "mallory") if change is pause_guard else ()
    verb = "GRANT connection_guard_paused TO" if more else "REVOKE connection_guard_paused FROM"

    with pytest.raises(StatementError) as refused:
        change(guard, (GUARD,), *more)

    assert f'{verb} "connection_guard";' in str(refused.value)
    assert 'role "connection_guard" may not' in str(refused.value)
    assert pause_seen_by(guard) == Pause(None, "alice")


@WITH_RESERVED_CONNECTIONS
def test_a_grant_of_the_superusers_own_is_not_the_masters_to_revoke(
    server: PostgresServer, master: GuardSession
) -> None:
    server.execute(f"GRANT connection_guard_paused TO {GUARD}")

    with pytest.raises(StatementError, match="REVOKE connection_guard_paused FROM"):
        resume_guard(master, (GUARD,))

    assert pause_seen_by(master) == Pause()


@WITH_RESERVED_CONNECTIONS
def test_another_who_may_create_roles_is_not_the_one_who_ran_the_bootstrap(
    server: PostgresServer, master: GuardSession, enter_as: EnterAs
) -> None:
    server.execute("CREATE ROLE developer LOGIN CREATEROLE")

    with pytest.raises(StatementError, match='role "developer" may not pause the guard'):
        pause_guard(enter_as("developer"), (GUARD,), None, "developer")

    assert pause_seen_by(master) is None


def test_a_superuser_ends_every_pause(
    server: PostgresServer, master: GuardSession, enter_as: EnterAs
) -> None:
    pause_guard(master, (GUARD,), None, "alice")
    server.execute(f"GRANT connection_guard_paused TO {GUARD}")
    resume_guard(enter_as("postgres"), (GUARD,))
    assert pause_seen_by(master) is None


@NEWEST
def test_a_guard_that_does_not_exist_is_named(master: GuardSession) -> None:
    with pytest.raises(StatementError, match=r"does not exist on this server \(my_guard\)"):
        pause_guard(master, ("my_guard",), None, "alice")
    assert pause_seen_by(master, "my_guard") is None


@pytest.mark.parametrize("ends_at", ["infinity", "294000-01-01", "9999-12-31 23:59:59+14"])
def test_a_pause_that_no_calendar_ends_has_no_end(
    server: PostgresServer, master: GuardSession, ends_at: str
) -> None:
    pause_guard(master, (GUARD,), None, "alice")
    server.execute(f"ALTER ROLE connection_guard_paused VALID UNTIL '{ends_at}'")
    assert pause_seen_by(master) == Pause(None, "alice")


@pytest.mark.parametrize("ended_at", ["-infinity", "4713-01-01 BC", "epoch"])
def test_a_pause_that_ended_before_all_calendars_has_ended(
    server: PostgresServer, master: GuardSession, ended_at: str
) -> None:
    pause_guard(master, (GUARD,), None, "alice")
    server.execute(f"ALTER ROLE connection_guard_paused VALID UNTIL '{ended_at}'")
    assert pause_seen_by(master) is None


@NEWEST
def test_a_note_of_another_databases_encoding_is_read(
    server: PostgresServer, master: GuardSession
) -> None:
    server.execute(
        "CREATE DATABASE old ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    )
    guarded = Guarded(server, direct_role="master", database_name="old")
    old = open_session(guarded.connect, guarded.settings.direct, monotonic() + 30)

    pause_guard(old, (GUARD,), None, "Jürgen")
    assert pause_seen_by(master) == Pause(None, "Jürgen")

    with pytest.raises(StatementError, match="write it in ASCII"):
        pause_guard(old, (GUARD,), None, "😀")
    old.close()


@NEWEST
def test_the_time_is_in_utc_wherever_the_server_is(
    server: PostgresServer, master: GuardSession
) -> None:
    server.execute("ALTER DATABASE postgres SET timezone = 'Asia/Kolkata'")
    pause_guard(master, (GUARD,), None, "alice")
    server.execute("ALTER ROLE connection_guard_paused VALID UNTIL '2099-01-01 05:30 Asia/Kolkata'")
    assert pause_seen_by(master) == Pause(datetime(2099, 1, 1, tzinfo=UTC), "alice")
