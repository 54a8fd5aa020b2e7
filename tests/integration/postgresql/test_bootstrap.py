"""The roles' bootstrap, run by psql as an operator runs it, on servers with the role rds_iam and
without.
"""

import psycopg2
import pytest

from connection_guard.adapters.postgresql.names import identifier
from doubles.postgresql.postgres_server import PostgresServer
from tests.support.bootstrapping import assert_silent_success, bootstrap

ROLES = "SELECT oid, rolname, rolcanlogin, rolsuper, rolcreaterole FROM pg_roles ORDER BY oid"
MEMBERSHIPS = (
    "SELECT role.rolname, member.rolname FROM pg_auth_members JOIN pg_roles AS role ON role.oid = "
    "roleid JOIN pg_roles AS member ON member.oid = pg_auth_members.member ORDER BY 1, 2"
)


def granted_to(server: PostgresServer, role: str) -> set[str]:
    """Return the roles that were granted to this one directly."""
    return {granted for granted, member in server.execute(MEMBERSHIPS) if member == role}


def version_of(server: PostgresServer) -> int:
    return server.connect().info.server_version // 10_000


def what_a_guard_needs(server: PostgresServer) -> set[str]:
    needs = {"pg_monitor", "pg_signal_backend"}
    return needs | {"pg_use_reserved_connections"} if version_of(server) >= 16 else needs


def test_the_guard_gets_one_role_with_all_it_needs_and_the_switch_to_pause_it(
    server: PostgresServer,
) -> None:
    assert_silent_success(bootstrap(server))

    assert granted_to(server, "connection_guard") == what_a_guard_needs(server)
    assert server.execute(
        "SELECT rolname, rolcanlogin, rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication "
        "OR rolbypassrls"
        r" FROM pg_roles WHERE rolname NOT LIKE 'pg\_%' AND rolname <> 'postgres' ORDER BY 1"
    ) == [("connection_guard", True, False), ("connection_guard_paused", False, False)]
    assert granted_to(server, "connection_guard_paused") == set()


def test_the_guard_can_log_in_see_a_stranger_and_end_its_session(server: PostgresServer) -> None:
    server.execute("CREATE ROLE app LOGIN")
    stranger = server.connect(role="app").info.backend_pid
    bootstrap(server)

    with server.connect(role="connection_guard").cursor() as cursor:
        cursor.execute(
            "SELECT state, pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s",
            (stranger,),
        )
        assert cursor.fetchall() == [("idle", True)]
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute("CREATE ROLE mine")


def test_on_rds_it_logs_in_by_iam_and_the_proxys_role_by_password(server: PostgresServer) -> None:
    server.execute("CREATE ROLE rds_iam NOLOGIN")

    assert_silent_success(bootstrap(server, proxy_role="connection_guard_proxy"))

    assert granted_to(server, "connection_guard") == what_a_guard_needs(server) | {"rds_iam"}
    assert granted_to(server, "connection_guard_proxy") == what_a_guard_needs(server)
    assert server.connect(role="connection_guard_proxy").info.user == "connection_guard_proxy"


def test_both_may_log_in_where_not_everybody_may(server: PostgresServer) -> None:
    server.execute("CREATE ROLE app LOGIN")
    server.execute("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC")
    try:
        assert_silent_success(bootstrap(server, proxy_role="connection_guard_proxy"))

        for role in ("connection_guard", "connection_guard_proxy"):
            assert server.connect(role=role).info.user == role
        with pytest.raises(psycopg2.OperationalError, match="permission denied"):
            server.connect(role="app")
    finally:
        server.execute("GRANT CONNECT ON DATABASE postgres TO PUBLIC")


def test_run_again_it_changes_nothing(server: PostgresServer) -> None:
    server.execute("CREATE ROLE rds_iam NOLOGIN")
    bootstrap(server, proxy_role="connection_guard_proxy")
    server.execute("GRANT connection_guard_paused TO connection_guard")
    before = server.execute(ROLES), server.execute(MEMBERSHIPS)

    assert_silent_success(bootstrap(server, proxy_role="connection_guard_proxy"))

    assert (server.execute(ROLES), server.execute(MEMBERSHIPS)) == before


def test_it_grants_what_is_missing_to_a_role_that_is_there(server: PostgresServer) -> None:
    server.execute("CREATE ROLE connection_guard LOGIN; GRANT pg_monitor TO connection_guard")

    assert_silent_success(bootstrap(server))

    assert granted_to(server, "connection_guard") == what_a_guard_needs(server)


@pytest.mark.parametrize("name", ["Guard 'n' \"Co\"", "guard; DROP ROLE app", "select"])
def test_roles_may_have_any_name(server: PostgresServer, name: str) -> None:
    server.execute("CREATE ROLE app")

    assert_silent_success(bootstrap(server, guard_role=name, proxy_role=f"{name} proxy"))

    assert (
        granted_to(server, name)
        == granted_to(server, f"{name} proxy")
        == what_a_guard_needs(server)
    )
    assert server.execute(
        "SELECT count(*) FROM pg_roles WHERE rolname IN ('app', 'connection_guard')"
    ) == [(1,)]


def test_a_user_who_may_not_grant_it_all_changes_nothing_and_gets_an_error(
    server: PostgresServer,
) -> None:
    server.execute("CREATE ROLE developer LOGIN CREATEROLE")
    if version_of(server) < 16:
        server.execute("ALTER ROLE developer NOCREATEROLE")  # with it, it could grant anything

    run = bootstrap(server, user="developer")

    assert run.returncode != 0
    assert "ERROR" in run.stderr
    assert server.execute("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'connection%'") == [
        (0,)
    ]


@pytest.mark.parametrize("postgres", [16, 18], indirect=True)
def test_a_master_user_needs_no_superuser(server: PostgresServer) -> None:
    """As rds_superuser: it may create roles, and has the predefined ones with the right to grant
    them.
    """
    server.execute("CREATE ROLE master LOGIN CREATEROLE")
    server.execute(
        "GRANT pg_monitor, pg_signal_backend, pg_use_reserved_connections TO master WITH ADMIN "
        "OPTION"
    )

    assert_silent_success(bootstrap(server, user="master"))
    assert_silent_success(bootstrap(server, user="master"))

    assert granted_to(server, "connection_guard") == what_a_guard_needs(server)


def test_advice_about_a_role_that_no_terminal_can_show_can_be_run(server: PostgresServer) -> None:
    role = identifier('\x1b[2J"\\\u202epp 😀')
    server.execute(f"CREATE ROLE {role}")
    assert server.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE '%😀'") == [
        ('\x1b[2J"\\\u202epp 😀',)
    ]
