"""Measuring rows, several at once: each worker process has one server per version."""

import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context

from clients.lab import libraries
from clients.lab.forwarder import Forwarders
from clients.lab.lab import lab_on
from clients.lab.lab_errors import LabError, UnavailableError
from clients.lab.libraries import LIBRARIES, SPECIAL, Library
from clients.lab.truth import Row, judge
from clients.lab.turned_server import Clock, turned_server
from clients.scenarios import SCENARIOS
from doubles.postgresql.postgres_server import PostgresServer


@dataclass(frozen=True, slots=True)
class Task:
    """A row to be measured."""

    scenario: str
    client: str
    version: int


class _Worker:
    """A worker process with its servers, each started when first needed."""

    def __init__(self) -> None:
        self._forwarders = Forwarders()
        self._servers: dict[int, tuple[PostgresServer, Clock]] = {}
        self._stacks: dict[int, ExitStack] = {}

    def measure(self, task: Task, *, may_try_again: bool = True) -> Row:
        """Return the row. Where the scenario could not be set up, which says nothing about the
        guard, try once more on a new server.
        """
        library = library_named(task.client)
        if problem := libraries.missing(library):
            return _row(task, problem=problem, is_unavailable=True)
        try:
            return self._measured(task, library)
        except UnavailableError as error:
            self._discard(task.version)
            return _row(task, problem=str(error), is_unavailable=True)
        except LabError as error:
            self._discard(task.version)
            if may_try_again:
                return self.measure(task, may_try_again=False)
            return _row(task, problem=str(error))
        except Exception as error:  # noqa: BLE001 - one row's failure must not end the others
            self._discard(task.version)
            traceback.print_exc(file=sys.stderr)
            return _row(
                task, problem=f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
            )

    def _measured(self, task: Task, library: Library) -> Row:
        server, clock = self._server(task.version)
        scenario = next(each for each in SCENARIOS if each.name == task.scenario)
        with lab_on(server, clock, self._forwarders) as lab:
            truth = scenario.build(lab, library)
            findings = lab.findings()
        server.clean()
        return _row(task, findings=findings, claims=judge(truth, findings))

    def _server(self, version: int) -> tuple[PostgresServer, Clock]:
        if version not in self._servers:
            stack = ExitStack()
            self._servers[version] = stack.enter_context(turned_server(version))
            self._stacks[version] = stack
        return self._servers[version]

    def _discard(self, version: int) -> None:
        """Discard the server with all that a failed row has left on it."""
        if version in self._servers:
            del self._servers[version]
            self._stacks.pop(version).close()


_workers: list[_Worker] = []


def _begin() -> None:
    """Begin a worker process; the responder's log lines are not the lab's output."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    _workers.append(_Worker())


def _measure(task: Task) -> Row:
    return _workers[0].measure(task)


def measured(tasks: Sequence[Task], at_once: int) -> Iterator[Row]:
    """Yield each row as soon as it is measured."""
    with ProcessPoolExecutor(at_once, get_context("spawn"), _begin) as executor:
        futures = [executor.submit(_measure, task) for task in tasks]
        for future in as_completed(futures):
            yield future.result()


def library_named(name: str) -> Library:
    """Return the library of this name."""
    return next(each for each in (*LIBRARIES, SPECIAL) if each.name == name)


def _row(task: Task, **found: object) -> Row:
    return Row(task.scenario, task.client, task.version, **found)  # type: ignore[arg-type]
