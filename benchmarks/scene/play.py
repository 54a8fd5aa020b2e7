"""One play in real time: clients come to a guarded server until the guard has made room."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psycopg2

from benchmarks.scene.execution_environments import Environments
from benchmarks.scene.signals import MINUTE, Signals
from doubles.postgresql import postgres_binaries
from doubles.postgresql.embedded_postgres import EmbeddedPostgres
from doubles.postgresql.postgres_server import PostgresServer
from tests.support.builders import a_heartbeat_event
from tests.support.guarded import create_guard_role

USABLE = 50
# The two are for the guard: docs/deploying.md has them set.
RESERVED = {"superuser_reserved_connections": 3, "reserved_connections": 2}
CRITICAL_PERCENT = 90
# After a step, clients wait in addition to those that fill the server.
WAITING = 3
SECONDS_BETWEEN_LOOKS = 0.2
MOST_SECONDS_TO_RELIEF = 300.0

IN_USE = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"


@dataclass(frozen=True, slots=True)
class Play:
    """`percent` of the usable connections are in use before clients begin to come at second
    `begins`: `per_minute` percent in a minute, or all at once where it is None.
    """

    signals: Signals
    percent: float
    begins: float
    per_minute: float | None = None

    @property
    def seconds_to_full(self) -> float:
        """How long it takes until the server is full, unless the guard makes room before."""
        if self.per_minute is None:
            return self.begins
        return self.begins + MINUTE * (100 - self.percent) / self.per_minute

    def arrived(self, seconds: float) -> int:
        """Return how many clients have come since the beginning."""
        if seconds < self.begins:
            return 0
        if self.per_minute is None:
            return USABLE - _sessions(self.percent) + WAITING
        return 1 + int(USABLE * self.per_minute / 100 * (seconds - self.begins) / MINUTE)


@dataclass(frozen=True, slots=True)
class Relief:
    """How a play ended: the clients that were refused, the seconds from the first refused client to
    the first served one, and how full the server was.
    """

    refused: int
    seconds: float
    peak_percent: float


class Clients:
    """Clients that keep one connection each; one that is refused tries again until it is served."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._served = 0
        self._came = 0
        self._first_refused: float | None = None
        self._first_served: float | None = None
        self.refused = 0

    @property
    def are_waiting(self) -> bool:
        return self._served < self._came

    @property
    def seconds_to_relief(self) -> float:
        """The time from the first refused client to the first served one."""
        if self._first_refused is None or self._first_served is None:
            return 0.0
        return self._first_served - self._first_refused

    def come(self, arrived: int) -> None:
        """Let all that have arrived try, in the order of their arrival."""
        known, self._came = self._came, arrived
        while self._served < arrived:
            try:
                self._server.connect(role="app")
            except psycopg2.OperationalError:
                self._first_refused = self._first_refused or time.monotonic()
                self.refused += arrived - max(self._served, known)
                return
            self._served += 1
            if self._first_refused is not None and self._first_served is None:
                self._first_served = time.monotonic()


def relief(play: Play) -> Relief | None:
    """Return how the play ended, on a server of its own; None where the guard made no room."""
    settings: dict[str, str | int] = {
        "max_connections": USABLE + sum(RESERVED.values()),
        **RESERVED,
    }
    with (
        EmbeddedPostgres(postgres_binaries.installed(18), settings) as postgres,
        ThreadPoolExecutor() as threads,
    ):
        server = PostgresServer(postgres)
        create_guard_role(server)
        server.execute("CREATE ROLE app LOGIN")
        responder = Environments(server, threads)
        try:
            return _until_relief(play, server, responder)
        finally:
            responder.wait()
            server.close_connections()


def _until_relief(play: Play, server: PostgresServer, responder: Environments) -> Relief | None:
    responder.invoke(a_heartbeat_event())  # it takes its seat
    responder.wait()
    while _in_use(server) < _sessions(play.percent):
        server.connect(role="app")
    clients = Clients(server)
    peak = 0
    began = time.monotonic()
    critical = _sessions(CRITICAL_PERCENT)
    while (seconds := time.monotonic() - began) < play.seconds_to_full + MOST_SECONDS_TO_RELIEF:
        clients.come(play.arrived(seconds))
        in_use = _in_use(server)
        peak = max(peak, in_use)
        for event in play.signals(seconds, in_use):
            responder.invoke(event)
        if in_use < critical <= peak and not clients.are_waiting:
            return Relief(clients.refused, clients.seconds_to_relief, 100 * peak / USABLE)
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return None


def _sessions(percent: float) -> int:
    return round(USABLE * percent / 100)


def _in_use(server: PostgresServer) -> int:
    [(count,)] = server.execute(IN_USE)
    return int(count)
