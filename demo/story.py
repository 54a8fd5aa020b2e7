"""The demo's story: an outage of a real PostgreSQL and its end, from the start of the server to
what was observed.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

from psycopg2.extensions import connection as Connection  # noqa: N812

from connection_guard.configuration.policy.policy_file import SHIPPED_POLICY, parse_policy
from connection_guard.core.database.session import SessionState
from connection_guard.core.deployment.events import AlarmState
from connection_guard.core.policy import Policy
from demo.applications import (
    APPLICATIONS,
    ROOT,
    RunningApplication,
    must_go,
    next_message,
    start,
)
from demo.claims import Observations, listed
from demo.conversation import MADE_UP, show_conversation, show_message, write_page
from demo.database import (
    MAX_CONNECTIONS,
    RESERVED_FOR_ROLES,
    RESERVED_FOR_SUPERUSERS,
    SERVER_SETTINGS,
    USABLE,
    answer_to_new_client,
    connect_observer,
    refusal_of_new_client,
    sessions_seen_by,
)
from demo.demo_error import DemoError
from demo.local_reporter import LocalReporter
from demo.local_responder import alarm_event, lambda_context, local_responder
from demo.quick import DIVIDED_BY, quick_policy
from demo.show.terminal import Terminal, captured_output, show_report
from doubles.postgresql.embedded_postgres import EmbeddedPostgres
from doubles.postgresql.postgres_binaries import packaged_postgres
from responder.respond import Responder

DATABASE = "shop-production"
WAIT_SECONDS = 60
SECONDS_BETWEEN_LOOKS = 0.05


def play(terminal: Terminal, stack: ExitStack) -> Observations:
    """Play the story and return what was observed; `stack` ends what the story starts.

    Raise DemoError where the story cannot go on.
    """
    policy = parse_policy(SHIPPED_POLICY.read_text())
    quick = quick_policy(policy)

    terminal.step(f"Start a PostgreSQL 18 with {USABLE} connections for applications")
    postgres = stack.enter_context(EmbeddedPostgres(packaged_postgres(), SERVER_SETTINGS))
    observer = connect_observer(postgres)
    stack.callback(observer.close)
    terminal.say(
        f"max_connections is {MAX_CONNECTIONS}; {RESERVED_FOR_SUPERUSERS} are reserved for "
        f"superusers and {RESERVED_FOR_ROLES} for roles such as the guard's "
        f"(127.0.0.1:{postgres.port})."
    )

    terminal.step("Let applications take them all")
    running = _start_applications(terminal, stack, postgres, observer)
    terminal.table(("application", "sessions", "state", "what it is"), _application_rows())

    terminal.step("A new client tries to log in")
    refusal = refusal_of_new_client(postgres)
    terminal.say(f"Refused by the server, SQLSTATE [bold red]{refusal['C']}[/]: {refusal['M']}")

    terminal.step("List the sessions that must go, and wait until they are old enough")
    terminal.table(("application", "sessions", "pids that must go"), _must_go_rows(running))
    terminal.say(
        f"The policy is the shipped one with its ages divided by {DIVIDED_BY}, as are the "
        "times of the diagnosis:"
    )
    for rule, quick_rule in zip(policy.rules, quick.rules, strict=True):
        terminal.say(
            f"  {rule.name}: {_in_words(quick_rule.older_than)} instead of "
            f"{_in_words(rule.older_than)}"
        )
    _wait_for_age(terminal, observer, running, quick)
    before = sessions_seen_by(observer)

    terminal.step("Deliver CloudWatch's alarm to the responder")
    event, alarm = alarm_event(AlarmState.ALARM)
    terminal.say(
        f"{alarm['AlarmName']}: {alarm['OldStateValue']} -> [bold red]{alarm['NewStateValue']}[/]"
    )
    # Kept for the alarm's end, as Lambda keeps it: it holds the guard's seat.
    responder = local_responder(DATABASE, postgres, quick, alarm["AlarmArn"])
    report = _deliver(terminal, observer, responder, event)
    after = sessions_seen_by(observer)

    terminal.step("Read the responder's report")
    if report["kind"] != "remediation":
        raise DemoError(
            f"the report's kind is {report['kind']}, not remediation: {report['headline']}"
        )
    show_report(terminal, report)

    terminal.step("The same new client tries again")
    answer = answer_to_new_client(postgres)
    terminal.say(f"Served: SELECT 1 gives [bold green]{answer}[/].")

    terminal.step("Hand the report to the reporter, which notifies people in Slack")
    reporter = LocalReporter(DATABASE)
    stack.enter_context(reporter.slack)
    reporter.deliver(event, report)
    if not reporter.slack.channel_view:
        raise DemoError("the reporter posted nothing in Slack")
    terminal.say("Slack is a server on this machine. The message that it received:\n")
    show_message(terminal, reporter.posted.content)

    terminal.step("The alarm clears: hand this to the responder, and its report to the reporter")
    event, alarm = alarm_event(AlarmState.OK)
    terminal.say(
        f"{alarm['AlarmName']}: {alarm['OldStateValue']} -> [bold green]{alarm['NewStateValue']}[/]"
    )
    last_report = _deliver(terminal, observer, responder, event)
    recovered = sessions_seen_by(observer)
    reporter.deliver(event, last_report)

    terminal.step("Read what people see now")
    show_conversation(terminal, reporter)
    page = write_page(reporter)
    terminal.say(f"\n{MADE_UP}\nAs it looks in Slack: [bold]{page.relative_to(ROOT)}[/]")

    return Observations(
        policy=policy,
        running=running,
        observer_pid=observer.info.backend_pid,
        refusal=refusal,
        before=before,
        after=after,
        recovered=recovered,
        answer=answer,
        report=report,
        reporter=reporter,
        page=page.read_text(encoding="utf-8"),
    )


def _start_applications(
    terminal: Terminal, stack: ExitStack, postgres: EmbeddedPostgres, observer: Connection
) -> list[RunningApplication]:
    """Start every application and wait until all of their sessions are open."""
    processes = [start(stack, application, postgres) for application in APPLICATIONS]
    started = list(zip(APPLICATIONS, processes, strict=True))

    def opened() -> int:
        for application, process in started:
            if process.poll() is not None:
                raise DemoError(
                    f"application {application.name} ended before it had opened its sessions"
                )
        return len(sessions_seen_by(observer))

    _wait_for(terminal, "sessions are open, including this demo's own", USABLE, opened)
    return [
        RunningApplication(application, process, tuple(next_message(application, process)))
        for application, process in started
    ]


def _wait_for_age(
    terminal: Terminal,
    observer: Connection,
    running: Sequence[RunningApplication],
    policy: Policy,
) -> None:
    """Wait until each session that stays in its state is older there than any rule asks: the
    sessions that must not go, too.
    """
    states = {
        pid: state for each in running if (state := each.application.state) for pid in each.pids
    }
    ages = {
        state: max(
            (rule.older_than.total_seconds() for rule in policy.rules if state in rule.states),
            default=0,
        )
        for state in SessionState
    }

    def old_enough() -> int:
        seen = sessions_seen_by(observer)
        return sum(
            pid in seen and seen[pid].state == state and seen[pid].seconds_in_state > ages[state]
            for pid, state in states.items()
        )

    _wait_for(terminal, "unused sessions are old enough for every rule", len(states), old_enough)


def _wait_for(terminal: Terminal, what: str, total: int, count: Callable[[], int]) -> None:
    """Wait until the count is the total. Raise DemoError where that takes too long."""
    deadline = time.monotonic() + WAIT_SECONDS
    with terminal.progress(what, total) as show:
        while (reached := count()) < total:
            if time.monotonic() > deadline:
                raise DemoError(f"after {WAIT_SECONDS} s only {reached} of {total} {what}")
            show(reached)
            time.sleep(SECONDS_BETWEEN_LOOKS)
    terminal.say(f"{total} {what}.")


def _deliver(
    terminal: Terminal, observer: Connection, responder: Responder, event: dict[str, Any]
) -> dict[str, Any]:
    """Return the Report on the event; sessions are counted meanwhile."""
    started = time.monotonic()
    with captured_output() as log, ThreadPoolExecutor(1) as runtime:
        answer = runtime.submit(responder, event, lambda_context())
        with terminal.progress("sessions in use", USABLE) as show:
            while not answer.done():
                show(len(sessions_seen_by(observer)))
                time.sleep(SECONDS_BETWEEN_LOOKS)
    report = answer.result()
    metrics = sum('"_aws"' in line for line in log)
    terminal.say(
        f"It answered after {time.monotonic() - started:.1f} s and wrote {len(log)} lines to its "
        f"log: {metrics} of metrics (EMF), {len(log) - metrics} of events."
    )
    return report


def _application_rows() -> Iterator[tuple[str, ...]]:
    for application in APPLICATIONS:
        state = application.state or "working"
        yield application.name, str(application.sessions), state, application.story
    yield "observer", "1", "working", "this demo, observing as the superuser"


def _must_go_rows(running: Iterable[RunningApplication]) -> Iterator[tuple[str, ...]]:
    for each in running:
        if each.must_go:
            yield each.application.name, str(len(each.must_go)), listed(each.must_go)
    yield "", str(len(must_go(running))), ""


def _in_words(duration: timedelta) -> str:
    seconds = duration.total_seconds()
    return f"{seconds:g} s" if seconds < 60 else f"{seconds / 60:g} min"
