"""What a scenario does: start applications, let time pass, call the guard, look at what became of
all.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg2

from clients.forwarder import Forwarder, Forwarders
from clients.lab_errors import LabError, UnavailableError
from clients.libraries import SQLALCHEMY, Library
from clients.served_application import Answer, Application
from clients.truth import Findings, Run, Uses, said
from clients.turned_server import USABLE, Clock
from connection_guard.configuration.policy.policy_file import parse_policy
from connection_guard.core.decision.decide import most_sessions_below_target
from doubles.pgbouncer import PgBouncer, PgBouncerError
from doubles.postgres_server import PostgresServer
from doubles.waiting import wait_until
from tests.support.builders import a_heartbeat_event, an_alarm_event
from tests.support.guarded import Guarded, create_guard_role

POLICY = Path(__file__).parent.parent / "policy.toml"
SCHEMA = """
CREATE TABLE orders (id int PRIMARY KEY, total numeric NOT NULL);
INSERT INTO orders SELECT id, 10 FROM generate_series(0, 999) AS id;
CREATE ROLE shop LOGIN;
CREATE ROLE newcomer LOGIN;
GRANT ALL ON orders TO shop;
"""
SESSIONS = """
SELECT pid::text || ' ' || backend_start, application_name, host(client_addr), client_port
FROM pg_stat_activity
WHERE backend_type = 'client backend' AND usename = 'shop'
"""
MOST_RUNS = 12
# Ending fifty takes milliseconds; the guard then watches for 3 s.
SETTLED_SECONDS = 0.3
FRESH = timedelta(seconds=45)


class Lab:
    """One row's: a guarded server, the applications on it, and what was seen of them."""

    def __init__(
        self, server: PostgresServer, clock: Clock, forwarders: Forwarders, stack: ExitStack
    ) -> None:
        self.server = server
        self._clock = clock
        self._forwarders = forwarders
        self._stack = stack
        self._addresses = (f"127.0.1.{number}" for number in range(1, 250))
        self._applications: list[Application] = []
        self._held: dict[str, tuple[str, str]] = {}
        self._ended: set[str] = set()
        self._lost: set[str] = set()
        self._runs: list[Run] = []
        self._alarmed_at: datetime | None = None
        self._healthy_after: float | None = None
        self._served = False
        self._first = self._later = self._at_work = Uses()
        self._restart: bool | None = None
        self._crashed: list[str] = []
        policy = parse_policy(POLICY.read_text())
        self._target = most_sessions_below_target(USABLE, policy.limits)
        self._guarded = Guarded(server, policy)
        # As in quiet times: from here on it has its seat.
        self._guarded.deliver(a_heartbeat_event(self.now()))

    def start(
        self,
        name: str,
        library: Library = SQLALCHEMY,
        *,
        size: int,
        address: str | None = None,
        **more: Any,
    ) -> Application:
        """A process of this application, at this address of 127.0.0.0/8 or at one of its own."""
        forwarder = self._forward(address)
        application = Application(name, library, forwarder, size=size, **more)
        self._stack.callback(application.stop)
        application.start()
        self._applications.append(application)
        return application

    def address(self) -> str:
        """One that nobody has yet."""
        return next(self._addresses)

    def start_pgbouncer(self, mode: str, pool_size: int) -> int:
        """Start a PgBouncer in front of the server, at an address of its own, and return its port.
        Raise UnavailableError where it is not installed.
        """
        self._bouncer = self._forward(None)
        settings: dict[str, str | int] = {
            "pool_mode": mode,
            "default_pool_size": pool_size,
            "max_client_conn": 500,
            "ignore_startup_parameters": "extra_float_digits",
        }
        try:
            pooler = PgBouncer(self._bouncer.port, ["shop"], settings)
        except PgBouncerError as error:
            raise UnavailableError(str(error)) from error
        return self._stack.enter_context(pooler).port

    def start_behind(self, port: int, name: str, library: Library, *, size: int) -> Application:
        """A process that logs in to a PgBouncer at this port."""
        application = Application(name, library, self._bouncer, size=size, connect_to=port)
        self._stack.callback(application.stop)
        application.start()
        self._applications.append(application)
        return application

    def _forward(self, address: str | None) -> Forwarder:
        forwarder = self._forwarders.open(address or self.address(), self.server.port)
        self._stack.callback(self._forwarders.close, forwarder)
        return forwarder

    def now(self) -> datetime:
        """The server's."""
        [(now,)] = self.server.execute("SELECT clock_timestamp()")
        assert isinstance(now, datetime)
        return now

    def let_pass(self, *, minutes: float) -> None:
        """Time, for the server."""
        self._clock.turn(timedelta(minutes=minutes))

    def await_fresh(self, name: str, count: int) -> None:
        """Until an application that works all the time has used so many sessions since time was let
        pass.
        """
        statement = (
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND "
            "clock_timestamp() - state_change < %s"
        )
        wait_until(lambda: self.server.execute(statement, (name, FRESH))[0][0] >= count)

    def await_sessions(self, name: str, count: int) -> None:
        """Until an application has opened this many."""
        statement = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
        wait_until(lambda: self.server.execute(statement, (name,))[0][0] >= count)

    def surplus(self) -> int:
        """How many sessions are above the policy's target."""
        return max(self._used() - self._target, 0)

    def guard(
        self, *, runs: int = MOST_RUNS, meanwhile: Callable[[], object] | None = None
    ) -> None:
        """An alarm, then a heartbeat each minute while the guard is engaged; at most so many runs.

        Called again it goes on with heartbeats. `meanwhile` happens once all that it ends are gone.
        """
        if self._alarmed_at is None:
            self._alarmed_at = self.now()
            event = an_alarm_event()
        else:
            event = a_heartbeat_event(self.now())
        for _ in range(runs):
            is_engaged = self._run(event, meanwhile)
            meanwhile = None
            if not is_engaged:
                break
            self.let_pass(minutes=1)
            event = a_heartbeat_event(self.now())
        self._served = self._serves_new_client()

    def _run(self, event: dict[str, Any], meanwhile: Callable[[], object] | None) -> bool:
        before = self._sessions()
        self._held |= before
        helper = Thread(target=self._once_they_are_gone, args=(before, meanwhile), daemon=True)
        if meanwhile is not None:
            helper.start()
        report = self._guarded.deliver(event)
        ended = {str(row["pid"]) for row in report["terminated"]}
        there = self._sessions()
        used = self._used()
        if meanwhile is not None:
            helper.join()
        gone = before.keys() - there.keys()
        self._ended |= {key for key in gone if key.split()[0] in ended}
        if meanwhile is None:
            self._lost |= gone - self._ended
        self._runs.append(
            Run(
                used=report["before"]["used"],
                ended=len(ended),
                used_afterwards=used,
                headline=report["headline"],
                explanation=report["explanation"],
                escalation=report["escalation"],
                diagnoses=tuple(map(said, report["diagnoses"])),
            )
        )
        if self._healthy_after is None and used <= self._target:
            assert self._alarmed_at is not None
            self._healthy_after = (self.now() - self._alarmed_at).total_seconds()
        return bool(report["engaged"])

    def _once_they_are_gone(
        self, before: dict[str, tuple[str, str]], meanwhile: Callable[[], object]
    ) -> None:
        """Once some of them are gone and no more of them go: the guard watches now what becomes of
        the rest.
        """

        def gone() -> int:
            return len(before.keys() - self._sessions().keys())

        def no_more_go() -> bool:
            first = gone()
            time.sleep(SETTLED_SECONDS)
            return 0 < first == gone()

        wait_until(no_more_go)
        meanwhile()

    def _sessions(self) -> dict[str, tuple[str, str]]:
        """Every session of an application, by pid and start: its application, and its process."""
        owners = {
            (each.forwarder.address, port): f"{each.name}@{place}"
            for place, each in enumerate(self._applications)
            for port in each.forwarder.client_ports
        }
        sessions = {}
        for key, name, *client in self.server.execute(SESSIONS):
            process = owners.get(tuple(client), f"{name}@elsewhere")
            sessions[key] = (name or process.partition("@")[0], process)
        return sessions

    def came_back(self) -> tuple[int, int]:
        """How many sessions above the target there were when the first run ended, and at most at a
        later one.
        """
        first, *later = self._runs
        later_used = max((run.used for run in later), default=first.used_afterwards)
        return max(first.used_afterwards - self._target, 0), max(later_used - self._target, 0)

    def _used(self) -> int:
        [(used,)] = self.server.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        )
        return int(used)

    def _serves_new_client(self) -> bool:
        with suppress(psycopg2.OperationalError):
            self.server.connect("newcomer", application_name="newcomer").close()
            return True
        return False

    def resume(self, application: Application, count: int) -> None:
        """Its traffic comes back: as many uses at once, and then again."""
        self.use_first(application, count)
        if application.is_running:
            self._later += self._use(application, count)

    def use_first(self, application: Application, count: int) -> None:
        """As many uses at once, and no more."""
        self._first += self._use(application, count)

    def resume_after_leak(self, application: Application) -> None:
        """Whether its pool lends once more, although it never got back what it had lent."""
        self._restart = self._use(application, 1).failed > 0 or not application.is_running

    def note_work(self, application: Application) -> None:
        """Ends its work, and counts what came of it."""
        if application.is_running:
            self._at_work += _uses(application.rest())

    def _use(self, application: Application, count: int) -> Uses:
        try:
            return _uses(application.try_to_use(count))
        except LabError as error:
            return Uses(count, count, str(error))

    def findings(self) -> Findings:
        """All that was seen."""
        for application in self._applications:
            if not application.is_running:
                self._crashed.append(application.name)
        processes = {process for _, process in self._held.values()}
        before = {key for key in self._held if key not in self._ended}
        left = Counter(self._held[key][1] for key in before)

        def by_application(keys: set[str] | dict[str, Any]) -> dict[str, int]:
            return dict(Counter(self._held[key][0] for key in keys))

        return Findings(
            held=by_application(self._held),
            ended=by_application(self._ended),
            lost=by_application(self._lost),
            left={each: left[each] for each in sorted(processes)},
            runs=tuple(self._runs),
            seconds=self._healthy_after,
            served=self._served,
            first=self._first,
            later=self._later,
            at_work=self._at_work,
            restart=self._restart,
            crashed=tuple(dict.fromkeys(self._crashed)),
            versions={each.library.name: each.version for each in self._applications},
        )


@contextmanager
def lab_on(server: PostgresServer, clock: Clock, forwarders: Forwarders) -> Iterator[Lab]:
    """A lab on a server that is empty before and after."""
    create_guard_role(server)
    server.execute(SCHEMA)
    with ExitStack() as stack:
        yield Lab(server, clock, forwarders, stack)


def _uses(answer: Answer) -> Uses:
    return Uses(answer.served + answer.failed, answer.failed, answer.error, answer.seconds)
