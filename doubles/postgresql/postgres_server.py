"""What a test does with a real server: open sessions, ask as the superuser, clean up."""

from typing import Any, Literal

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection  # noqa: N812

from doubles.postgresql.embedded_postgres import EmbeddedPostgres
from doubles.waiting import wait_until


class PostgresServer:
    """A running server, and every session that this test opened on it."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self.postgres = postgres
        self.host = postgres.host
        self.port = postgres.port
        self.superuser = postgres.superuser
        self._connections: list[Connection] = []
        self._superuser_connection: Connection | None = None

    def connect(
        self,
        role: str = "postgres",
        *,
        application_name: str = "",
        database: str = "postgres",
        **options: Any,
    ) -> Connection:
        """Return a session in autocommit mode, closed when the test ends; `options` are libpq's."""
        connection: Connection = psycopg2.connect(
            host=self.host,
            port=self.port,
            user=role,
            dbname=database,
            application_name=application_name,
            **options,
        )
        connection.autocommit = True
        self._connections.append(connection)
        return connection

    def execute(
        self, statement: str, parameters: tuple[Any, ...] | None = None
    ) -> list[tuple[Any, ...]]:
        """Return the statement's rows. All of a test's statements share one superuser session named
        `test observer`.
        """
        if self._superuser_connection is None:
            self._superuser_connection = self.connect(application_name="test observer")
        with self._superuser_connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def close_observer(self) -> None:
        """Close the session of `execute`, which opens another when it is called again."""
        if self._superuser_connection is not None:
            self._superuser_connection.close()
            self._superuser_connection = None

    def has_session(self, pid: int) -> bool:
        return self.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", (pid,)) == [
            (1,)
        ]

    def restart(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Restart the server, which ends every session; for servers that are the test's own."""
        self._superuser_connection = None
        self.postgres.restart(mode)

    def close_connections(self) -> None:
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        self._superuser_connection = None

    def clean(self) -> None:
        """Bring the server back to how it was, without the test's sessions, databases, roles,
        tables, limits and settings.
        """
        self.close_connections()
        wait_until(self._admits_superuser)
        wait_until(self._is_free_of_other_sessions)
        for (database,) in self.execute(
            "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'"
        ):
            self._execute_on("DROP DATABASE {}", database)
        for (table,) in self.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind "
            "= 'r'"
        ):
            self._execute_on("DROP TABLE public.{} CASCADE", table)
        for (role,) in self.execute(
            r"SELECT rolname FROM pg_roles WHERE rolname <> 'postgres' AND rolname NOT LIKE 'pg\_%'"
        ):
            self._execute_on("DROP OWNED BY {} CASCADE", role)
            self._execute_on("DROP ROLE {}", role)
        self.execute("ALTER DATABASE postgres CONNECTION LIMIT -1")
        self.execute("ALTER DATABASE postgres RESET ALL")
        self.execute("ALTER ROLE postgres RESET ALL")
        self.execute("ALTER SYSTEM RESET ALL")
        self.execute("SELECT pg_reload_conf()")
        self.close_connections()

    def _admits_superuser(self) -> bool:
        """Try: the slots of sessions that were just closed become free a moment later."""
        try:
            self.execute("SELECT 1")
        except psycopg2.OperationalError:
            return False
        return True

    def _is_free_of_other_sessions(self) -> bool:
        others = self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
            "AND backend_type IN ('client backend', 'walsender')"
        )
        return not others

    def _execute_on(self, statement: str, name: str) -> None:
        assert self._superuser_connection is not None
        self.execute(
            sql.SQL(statement).format(sql.Identifier(name)).as_string(self._superuser_connection)
        )
