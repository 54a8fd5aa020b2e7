"""The responder as Lambda runs it: an event that comes while a run lasts gets an execution
environment of its own.
"""

from collections.abc import Mapping
from concurrent.futures import Executor, Future
from dataclasses import replace
from datetime import timedelta
from typing import Any

from connection_guard.configuration.policy.policy_file import SHIPPED_POLICY, parse_policy
from connection_guard.core.decision.heartbeat_watch import WATCH_TIMES
from doubles.postgresql.postgres_server import PostgresServer
from tests.support.builders import a_rule
from tests.support.guarded import Guarded

# The shipped limits and tiers. Only the age is another: nobody waits ten minutes for stale sessions
# here.
POLICY = replace(
    parse_policy(SHIPPED_POLICY.read_text()), rules=(a_rule(older_than=timedelta(seconds=1)),)
)


class Environments:
    """The execution environments of one responder. Each of them keeps its seat between runs."""

    def __init__(self, server: PostgresServer, threads: Executor) -> None:
        self._server = server
        self._threads = threads
        self._idle: list[Guarded] = []
        self._runs: list[Future[None]] = []

    def invoke(self, event: Mapping[str, Any]) -> None:
        """Begin a run, without waiting for its end."""
        environment = (
            self._idle.pop()
            if self._idle
            else Guarded(self._server, POLICY, watch_times=WATCH_TIMES)
        )
        self._runs.append(self._threads.submit(self._run, environment, event))

    def wait(self) -> None:
        """Wait until every run has ended. Raise what a run raised."""
        for run in self._runs:
            run.result()

    def _run(self, environment: Guarded, event: Mapping[str, Any]) -> None:
        environment.deliver(event)
        self._idle.append(environment)
