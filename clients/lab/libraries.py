"""The client libraries of the lab: how each is run, what it does, and what its users should set."""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path

from clients.lab.lab_errors import UnavailableError

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / "clients" / "applications"
INSTALLED = ROOT / ".cache" / "clients"
PYTHON = INSTALLED / "python" / "bin" / "python"
NODE_MODULES = INSTALLED / "node" / "node_modules"
JAVA_CLASSES = INSTALLED / "java"
JARS = (
    "HikariCP",
    "slf4j-api",
    "slf4j-nop",
    "commons-dbcp2",
    "commons-pool2",
    "commons-logging",
    "postgresql",
)


class Check(StrEnum):
    """How a library avoids lending a session that has ended, in the words of the page.

    A library that is notified has dropped the session before it would be lent, unless it ends just
    then.
    """

    ASKS = "yes"
    HEARS = "no, but it hears of the end"
    NOTHING = "no"


@dataclass(frozen=True)
class Library:
    """One library in one configuration, and what its users should set (`advice`).

    With `in_turn`, it lends the session that was unused for longest. With `crashes`, its process
    dies of a session that ends while unused. With `backs_off`, replacing ended sessions can take
    longer than its users wait.
    """

    name: str
    program: str
    advice: str
    check: Check = Check.NOTHING
    in_turn: bool = False
    crashes: bool = False
    backs_off: bool = False
    arguments: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def command(self) -> tuple[str, ...]:
        path = str(PROGRAMS / self.program)
        match self.program.rpartition(".")[2]:
            case "py":
                return (
                    str(PYTHON),
                    "-m",
                    f"clients.applications.{self.program.removesuffix('.py')}",
                )
            case "js":
                return ("node", path)
            case "rb":
                return ("ruby", path)
            case _:
                jars = ":".join(
                    [str(JAVA_CLASSES), *(f"/usr/share/java/{jar}.jar" for jar in JARS)]
                )
                return (
                    "java",
                    "-Xshare:auto",
                    "-XX:TieredStopAtLevel=1",
                    "-cp",
                    jars,
                    self.program,
                    *self.arguments,
                )

    @property
    def environment(self) -> dict[str, str]:
        return {
            "POOL_CHECK": "1" if self.check is Check.ASKS else "0",
            "NODE_PATH": str(NODE_MODULES),
            "PYTHONPATH": str(ROOT),
            **self.settings,
        }


SQLALCHEMY = Library(
    "SQLAlchemy",
    "uses_sqlalchemy.py",
    "`pool_pre_ping=True`",
    in_turn=True,
)
SPECIAL = Library("psycopg2", "special_sessions.py", "")

LIBRARIES = (
    SQLALCHEMY,
    Library(
        "SQLAlchemy, pre-ping",
        "uses_sqlalchemy.py",
        "nothing",
        check=Check.ASKS,
        in_turn=True,
    ),
    Library(
        "psycopg2", "uses_psycopg2.py", "catch `OperationalError`, connect again", in_turn=True
    ),
    Library("psycopg2.pool", "uses_psycopg2_pool.py", "try `SELECT 1` after `getconn()`"),
    Library(
        "psycopg_pool",
        "uses_psycopg_pool.py",
        "`check=ConnectionPool.check_connection`",
        in_turn=True,
    ),
    Library(
        "psycopg_pool, check",
        "uses_psycopg_pool.py",
        "a `timeout` that its back-off fits in",
        check=Check.ASKS,
        in_turn=True,
        backs_off=True,
    ),
    Library(
        "Django, CONN_MAX_AGE",
        "uses_django.py",
        "`CONN_HEALTH_CHECKS = True`",
        in_turn=True,
        settings={"DJANGO": "max age"},
    ),
    Library(
        "Django, health checks",
        "uses_django.py",
        "nothing",
        check=Check.ASKS,
        in_turn=True,
        settings={"DJANGO": "max age"},
    ),
    Library(
        "Django, pool",
        "uses_django.py",
        "`CONN_HEALTH_CHECKS = True`",
        in_turn=True,
        settings={"DJANGO": "pool"},
    ),
    Library("asyncpg", "uses_asyncpg.py", "`min_size` below `max_size`", check=Check.HEARS),
    Library(
        "node-postgres, listener",
        "uses_pg.js",
        "`client.on('error', ...)` on what it borrows, too",
        check=Check.HEARS,
        settings={"ERROR_LISTENER": "1"},
    ),
    Library("node-postgres", "uses_pg.js", "`pool.on('error', ...)`", crashes=True),
    Library("knex", "uses_knex.js", "nothing", check=Check.HEARS),
    Library("Sequelize", "uses_sequelize.js", "nothing", check=Check.HEARS),
    Library(
        "HikariCP",
        "Application",
        "nothing; `minimumIdle` below `maximumPoolSize`",
        check=Check.ASKS,
        arguments=("HikariCP", "2.7.9"),
    ),
    Library(
        "Commons DBCP 2",
        "Application",
        "nothing",
        check=Check.ASKS,
        arguments=("DBCP", "2.9.0"),
    ),
    Library("ActiveRecord", "uses_active_record.rb", "nothing", check=Check.ASKS),
)

# One of each kind: checks, checks nothing, crashes, refills; in Python, Node.js and Java.
SHORT = ("SQLAlchemy", "psycopg_pool, check", "node-postgres", "HikariCP")


def missing(library: Library) -> str | None:
    """Return what has to be installed before the library can be used, None where nothing has to."""
    try:
        match library.program.rpartition(".")[2]:
            case "py":
                _needs(PYTHON.is_file(), f"{PYTHON.relative_to(ROOT)}: run `make clients`")
            case "js":
                _needs(shutil.which("node") is not None, "Node.js (node)")
                _needs(
                    NODE_MODULES.is_dir(), f"{NODE_MODULES.relative_to(ROOT)}: run `make clients`"
                )
            case "rb":
                _ruby_has_active_record()
            case _:
                _compile_java()
    except UnavailableError as error:
        return str(error)
    return None


def _needs(is_there: bool, what: str) -> None:
    if not is_there:
        raise UnavailableError(f"not installed: {what}")


@cache
def _ruby_has_active_record() -> None:
    _needs(shutil.which("ruby") is not None, "ruby (Debian: ruby ruby-activerecord ruby-pg)")
    found = subprocess.run(
        ["ruby", "-e", 'require "active_record"; require "pg"'], capture_output=True, check=False
    )
    _needs(found.returncode == 0, "ActiveRecord (Debian: ruby-activerecord ruby-pg)")


@cache
def _compile_java() -> None:
    """Compile into .cache where the program is newer than its class. Raise UnavailableError."""
    _needs(shutil.which("javac") is not None, "javac (Debian: default-jdk-headless)")
    absent = [jar for jar in JARS if not Path(f"/usr/share/java/{jar}.jar").is_file()]
    _needs(
        not absent,
        f"{', '.join(absent)} (Debian: libhikaricp-java libcommons-dbcp2-java "
        "libpostgresql-jdbc-java)",
    )
    source, compiled = PROGRAMS / "Application.java", JAVA_CLASSES / "Application.class"
    if compiled.is_file() and compiled.stat().st_mtime >= source.stat().st_mtime:
        return
    JAVA_CLASSES.mkdir(parents=True, exist_ok=True)
    jars = ":".join(f"/usr/share/java/{jar}.jar" for jar in JARS)
    built = subprocess.run(
        ["javac", "-cp", jars, "-d", str(JAVA_CLASSES), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode != 0:
        raise UnavailableError(f"javac: {' '.join(built.stderr.split())[:300]}")
