"""What a scenario does: start applications, let time pass, run the guard, and note the results."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from threading import Thread
from typing import Any

from clients.lab.forwarder import Forwarder, Forwarders
from clients.lab.lab_errors import LabError, UnavailableError
from clients.lab.libraries import SQLALCHEMY, Library
from clients.lab.observer import Observer
from clients.lab.served_application import Answer, Application
from clients.lab.truth import Findings, Run, Uses, said
from clients.lab.turned_server import USABLE, Clock
from connection_guard.configuration.policy.policy_file import SHIPPED_POLICY, parse_policy
from connection_guard.core.decision.decide import most_sessions_below_target
from doubles.postgresql.pgbouncer import PgBouncer, PgBouncerError
from doubles.postgresql.postgres_server import PostgresServer
from doubles.waiting import wait_until
from tests.support.builders import a_heartbeat_event, an_alarm_event
from tests.support.guarded import Guarded, create_guard_role

SCHEMA = """
CREATE TABLE orders (id int PRIMARY KEY, total numeric NOT NULL);
INSERT INTO orders SELECT id, 10 FROM generate_series(0, 999) AS id;
CREATE ROLE shop LOGIN;
CREATE ROLE newcomer LOGIN;
GRANT ALL ON orders TO shop;
"""
MOST_RUNS = 12
# Terminating fifty takes milliseconds; the guard then watches for 3 s.
SETTLED_SECONDS = 0.3


class Lab:
    """The lab of one row: a guarded server, the applications on it, and what was seen of them.

    `seen` is the superuser's view of the server.
    """

    def __init__(
        self, server: PostgresServer, clock: Clock, forwarders: Forwarders, stack: ExitStack
    ) -> None:
        self.server = server
        self.seen = Observer(server)
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
        policy = parse_policy(SHIPPED_POLICY.read_text())
        self._target = most_sessions_below_target(USABLE, policy.limits)
        self._guarded = Guarded(server, policy)
        # As in quiet times: from now on the guard has its seat.
        self._guarded.deliver(a_heartbeat_event(self.seen.now()))

    def start(
        self,
        name: str,
        library: Library = SQLALCHEMY,
        *,
        size: int,
        address: str | None = None,
        **more: Any,
    ) -> Application:
        """Start a process of this application, at this address of 127.0.0.0/8 or at a new one."""
        forwarder = self._forward(address)
        application = Application(name, library, forwarder, size=size, **more)
        self._stack.callback(application.stop)
        application.start()
        self._applications.append(application)
        return application

    def address(self) -> str:
        """Return an address that no application has yet."""
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
        """Start a process that logs in to a PgBouncer at this port."""
        application = Application(name, library, self._bouncer, size=size, connect_to=port)
        self._stack.callback(application.stop)
        application.start()
        self._applications.append(application)
        return application

    def _forward(self, address: str | None) -> Forwarder:
        forwarder = self._forwarders.open(address or self.address(), self.server.port)
        self._stack.callback(self._forwarders.close, forwarder)
        return forwarder

    def let_pass(self, *, minutes: float) -> None:
        """Let that much time pass for the server."""
        self._clock.turn(timedelta(minutes=minutes))

    def surplus(self) -> int:
        """Return how many sessions exceed the policy's target."""
        return max(self.seen.used() - self._target, 0)

    def guard(
        self, *, runs: int = MOST_RUNS, meanwhile: Callable[[], object] | None = None
    ) -> None:
        """Deliver an alarm, then a heartbeat per minute while the guard is engaged; at most so many
        runs.

        A second call goes on with heartbeats. `meanwhile` is called once all that the guard
        terminates are gone.
        """
        if self._alarmed_at is None:
            self._alarmed_at = self.seen.now()
            event = an_alarm_event()
        else:
            event = a_heartbeat_event(self.seen.now())
        for _ in range(runs):
            is_engaged = self._run(event, meanwhile)
            meanwhile = None
            if not is_engaged:
                break
            self.let_pass(minutes=1)
            event = a_heartbeat_event(self.seen.now())
        self._served = self.seen.serves_new_client()

    def _run(self, event: dict[str, Any], meanwhile: Callable[[], object] | None) -> bool:
        before = self.seen.sessions(self._applications)
        self._held |= before
        helper = Thread(target=self._once_they_are_gone, args=(before, meanwhile), daemon=True)
        if meanwhile is not None:
            helper.start()
        report = self._guarded.deliver(event)
        ended = {str(row["pid"]) for row in report["terminated"]}
        there = self.seen.sessions(self._applications)
        used = self.seen.used()
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
                restraint=report["restraint"],
                explanation=report["explanation"],
                escalation=report["escalation"],
                diagnoses=tuple(map(said, report["diagnoses"])),
            )
        )
        if self._healthy_after is None and used <= self._target:
            assert self._alarmed_at is not None
            self._healthy_after = (self.seen.now() - self._alarmed_at).total_seconds()
        return bool(report["engaged"])

    def _once_they_are_gone(
        self, before: dict[str, tuple[str, str]], meanwhile: Callable[[], object]
    ) -> None:
        """Call `meanwhile` once some sessions are gone and no more of them go: the guard then
        watches whether pools reopen them.
        """

        def gone() -> int:
            return len(before.keys() - self.seen.sessions(self._applications).keys())

        def no_more_go() -> bool:
            first = gone()
            time.sleep(SETTLED_SECONDS)
            return 0 < first == gone()

        wait_until(no_more_go)
        meanwhile()

    def came_back(self) -> tuple[int, int]:
        """Return how many sessions exceeded the target when the first run ended, and at most at a
        later run.
        """
        first, *later = self._runs
        later_used = max((run.used for run in later), default=first.used_afterwards)
        return max(first.used_afterwards - self._target, 0), max(later_used - self._target, 0)

    def resume(self, application: Application, count: int) -> None:
        """Let its traffic come back: that many uses at once, and then again."""
        self.use_first(application, count)
        if application.is_running:
            self._later += self._use(application, count)

    def use_first(self, application: Application, count: int) -> None:
        """Let an application use that many sessions at the same time, once."""
        self._first += self._use(application, count)

    def resume_after_leak(self, application: Application) -> None:
        """Note whether its pool lends again, although it never got back what it had lent."""
        self._restart = self._use(application, 1).failed > 0 or not application.is_running

    def note_work(self, application: Application) -> None:
        """End its work, and note the result."""
        if application.is_running:
            self._at_work += _uses(application.rest())

    def _use(self, application: Application, count: int) -> Uses:
        try:
            return _uses(application.try_to_use(count))
        except LabError as error:
            return Uses(count, count, str(error))

    def findings(self) -> Findings:
        """Return all that was seen."""
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
    """Yield a lab on a server that is empty before and after."""
    create_guard_role(server)
    server.execute(SCHEMA)
    with ExitStack() as stack:
        yield Lab(server, clock, forwarders, stack)


def _uses(answer: Answer) -> Uses:
    return Uses(answer.served + answer.failed, answer.failed, answer.error, answer.seconds)
