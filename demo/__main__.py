"""An outage and its end, live: `make demo`.

A real PostgreSQL is filled to its last usable slot by real clients. The demo writes down who must
go, delivers an alarm to the responder's handler, has the reporter tell of it in a Slack on this
machine, and then looks for itself, as the superuser, whether exactly those are gone. It exits
non-zero, and says what was not true, unless they are and everything else that it claims is true.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pg8000.native
import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812
from rich.text import Text

from connection_guard.configuration.policy.policy_file import parse_policy
from connection_guard.core.database.door import Door, DoorName
from connection_guard.core.database.session import SessionState
from connection_guard.core.deployment.alarm import AlarmState
from connection_guard.core.deployment.responder_settings import Settings
from connection_guard.core.notification.slack_message import GREEN
from connection_guard.core.policy import Policy, Tier
from connection_guard.errors import ConnectionGuardError
from demo.conversation import LocalReporter, show_message
from demo.quick import DIVIDED_BY, quick_diagnosis_times, quick_policy
from demo.slack_page import conversation_page
from demo.terminal import Terminal, captured_output, show_report
from doubles.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError, packaged_postgres
from responder.respond import Responder

ROOT = Path(__file__).parent.parent
ALARM = ROOT / "tests" / "events" / "alarm-critical-metric-math.json"
POLICY = ROOT / "policy.toml"
PAGE = ROOT / ".cache" / "demo" / "conversation.html"

DATABASE = "shop-production"
CHANNEL = "database-incidents"
MADE_UP = (
    "The links and the usage of the last hours are made up: there is no AWS here. All else "
    f"happened in make demo, where every time that the guard goes by is divided by {DIVIDED_BY}."
)

# Of what the clients in demo/leaky_clients.py run last: as they run it, and as it may be shown.
MASKED = {
    "pg_sleep(600)": "pg_sleep(?)",
    "total / 0": "total / ?",
    "total + 1": "total + ?",
    "id = 42": "id = ?",
}
# What exhausts the connections here, and by which application; the first takes the most of them.
CAUSES = [("leak", "checkout"), ("idle in transaction", "invoices")]
# The headline, the overview, and what was done.
PARTS_OF_EMAIL = 3

WAIT_SECONDS = 60
LAMBDA_SECONDS = 60

SERVER_SETTINGS: dict[str, str | int] = {
    "max_connections": 105,
    "superuser_reserved_connections": 3,
    "reserved_connections": 5,
}
USABLE = 105 - 3 - 5

SETUP = """
CREATE TABLE orders (id int PRIMARY KEY, total numeric NOT NULL);
INSERT INTO orders SELECT id, 10 FROM generate_series(1, 100) AS id;
CREATE ROLE shop LOGIN;
CREATE ROLE backup LOGIN;
CREATE ROLE analyst LOGIN;
GRANT ALL ON orders TO shop, backup, analyst;
CREATE ROLE connection_guard LOGIN;
GRANT pg_monitor, pg_signal_backend, pg_use_reserved_connections TO connection_guard;
"""

LOOK = """
SELECT pid, backend_start, coalesce(state, ''),
       coalesce(extract(epoch FROM clock_timestamp() - state_change), 0)::float8
FROM pg_stat_activity
WHERE backend_type = 'client backend'
"""


class DemoError(Exception):
    """The demo cannot go on; the message is one line that says what was not true."""


@dataclass(frozen=True, slots=True)
class Application:
    """One application: how many sessions it opens, and how many of those, the least recently used
    first, must go.

    `client` names what it does in demo/leaky_clients.py. `state` is the one that its sessions stay
    in, None where they work.
    """

    name: str
    role: str
    client: str
    sessions: int
    state: SessionState | None
    must_go: int
    story: str


APPLICATIONS = (
    Application(
        *("checkout", "shop", "leaking_pool", 21, SessionState.IDLE, 20),
        story="SQLAlchemy pool that leaks (the last used stays)",
    ),
    Application(
        *("invoices", "shop", "idle_in_transaction", 7, SessionState.IDLE_IN_TRANSACTION, 7),
        story="begun and forgotten, each with a row locked",
    ),
    Application(
        *("import", "shop", "aborted", 4, SessionState.IDLE_IN_TRANSACTION_ABORTED, 4),
        story="failed and never rolled back",
    ),
    Application(
        *("mailer", "shop", "quiet_pool", 1, SessionState.IDLE, 0),
        story="its pool's only session: each pool keeps one",
    ),
    Application(
        *("scheduler", "shop", "advisory_lock", 2, SessionState.IDLE, 0),
        story="hold an advisory lock",
    ),
    Application(
        *("notifier", "shop", "listener", 2, SessionState.IDLE, 0),
        story="wait for LISTEN",
    ),
    Application(
        *("pg_dump", "backup", "backup", 2, SessionState.IDLE_IN_TRANSACTION, 0),
        story="backup, known by its application name",
    ),
    Application(
        *("monthly-report", "analyst", "long_query", 2, SessionState.ACTIVE, 0),
        story="run one long query each",
    ),
    Application(
        *("web", "shop", "healthy_pool", 55, None, 0),
        story="busy SQLAlchemy pool, never idle for long",
    ),
)


@dataclass(frozen=True, slots=True)
class Client:
    """A running application and the pids of its sessions as it knows them, the least recently used
    first.
    """

    application: Application
    process: subprocess.Popen[str]
    pids: tuple[int, ...]

    @property
    def must_go(self) -> tuple[int, ...]:
        return self.pids[: self.application.must_go]


class Seen(NamedTuple):
    """One session as the superuser sees it; pid and backend_start together are its identity."""

    pid: int
    backend_start: datetime
    state: str
    seconds_in_state: float


class Claim(NamedTuple):
    """What the demo says is so, whether it is, and what to say where it is not."""

    text: str
    is_true: bool
    otherwise: str


@dataclass(frozen=True, slots=True)
class LambdaContext:
    """What the handler needs of Lambda's context object; `deadline` is of time.monotonic."""

    deadline: float

    def get_remaining_time_in_millis(self) -> int:
        return int(1000 * (self.deadline - time.monotonic()))


def main() -> int:
    """The exit status: 0 where everything was true."""
    for variable in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[variable]  # libpq would take settings meant for another server
    terminal = Terminal()
    try:
        with ExitStack() as stack:
            claims = demonstrate(terminal, stack)
    except (DemoError, EmbeddedPostgresError, ConnectionGuardError, psycopg2.Error) as error:
        terminal.not_true(" ".join(str(error).split()))
        return 1
    except KeyboardInterrupt:
        terminal.say("\nStopped; everything that was started is gone.")
        return 130
    untrue = [claim.otherwise for claim in claims if not claim.is_true]
    if untrue:
        terminal.not_true("; ".join(untrue))
        return 1
    terminal.say("\n[bold green]Exactly those listed were terminated, and all the rest is true.[/]")
    return 0


def demonstrate(terminal: Terminal, stack: ExitStack) -> list[Claim]:
    """The story from the start of the server to the claims about it; `stack` ends what it
    starts.
    """
    policy = parse_policy(POLICY.read_text())
    quick = quick_policy(policy)

    terminal.step(f"Start a PostgreSQL 18 on which applications can get {USABLE} connections")
    postgres = stack.enter_context(EmbeddedPostgres(packaged_postgres(), SERVER_SETTINGS))
    observer = _observer(postgres)
    stack.callback(observer.close)
    terminal.say(
        "max_connections 105, less 3 that it reserves for superusers and 5 for roles such as the "
        f"guard's (127.0.0.1:{postgres.port})."
    )

    terminal.step("Let applications take them all")
    clients = _start_clients(terminal, stack, postgres, observer)
    terminal.table(("application", "sessions", "state", "what it is"), _application_rows())

    terminal.step("A new client comes")
    refusal = _refusal(postgres)
    terminal.say(f"Refused by the server, SQLSTATE [bold red]{refusal['C']}[/]: {refusal['M']}")

    terminal.step("Write down who must go, and wait until they are old enough")
    terminal.table(("application", "sessions", "pids that must go"), _must_go_rows(clients))
    terminal.say(
        f"The policy is the shipped policy.toml, its ages divided by {DIVIDED_BY}, as are the "
        "times of the diagnosis:"
    )
    for rule, quick_rule in zip(policy.rules, quick.rules, strict=True):
        terminal.say(
            f"  {rule.name}: {_in_words(quick_rule.older_than)} instead of "
            f"{_in_words(rule.older_than)}"
        )
    _wait_for_age(terminal, observer, clients, quick)
    before = _look(observer)

    terminal.step("Deliver CloudWatch's alarm to the responder")
    event, alarm = _alarm_event(AlarmState.ALARM)
    terminal.say(
        f"{alarm['AlarmName']}: {alarm['OldStateValue']} -> [bold red]{alarm['NewStateValue']}[/]"
    )
    responder = _responder(
        postgres, quick, alarm["AlarmArn"]
    )  # kept, as Lambda does: it holds the guard's seat
    report = _deliver(terminal, observer, responder, event)
    after = _look(observer)

    terminal.step("Read the responder's report")
    if report["kind"] != "remediation":
        raise DemoError(
            f"the report's kind is {report['kind']}, not remediation: {report['headline']}"
        )
    show_report(terminal, report)

    terminal.step("The same new client comes again")
    answer = _served(postgres)
    terminal.say(f"Served: SELECT 1 gives [bold green]{answer}[/].")

    terminal.step("Hand the report to the reporter, which tells people in Slack")
    reporter = LocalReporter(DATABASE)
    stack.enter_context(reporter.slack)
    reporter.deliver(event, report)
    if not reporter.slack.channel_view:
        raise DemoError("the reporter told Slack nothing")
    terminal.say(
        "Slack is a server on this machine. Of the message that it received, the beginning:\n"
    )
    show_message(terminal, reporter.posted.content, in_short=True)

    terminal.step(
        "The alarm is over: deliver that to the responder, and what it returns to the reporter"
    )
    event, alarm = _alarm_event(AlarmState.OK)
    terminal.say(
        f"{alarm['AlarmName']}: {alarm['OldStateValue']} -> [bold green]{alarm['NewStateValue']}[/]"
    )
    last_report = _deliver(terminal, observer, responder, event)
    recovered = _look(observer)
    reporter.deliver(event, last_report)

    terminal.step("Read what people are told now")
    _show_conversation(terminal, reporter)

    terminal.step("Check it all from outside, as the superuser")
    claims = [
        _refusal_claim(refusal),
        *_session_claims(clients, observer, before, after),
        *_report_claims(report, clients, before, after),
        _cause_claim(report),
        _target_claim(policy, after),
        _healthy_pool_claim(clients),
        Claim("the same new client was served", answer == 1, f"SELECT 1 gave {answer}"),
        *_conversation_claims(reporter, clients, before, recovered),
    ]
    for claim in claims:
        terminal.claim(claim.text, is_true=claim.is_true)
    return claims


def _observer(postgres: EmbeddedPostgres) -> Connection:
    """The demo's own session, a superuser's. It stays and is one of those that take the usable
    slots.
    """
    observer = psycopg2.connect(
        host=postgres.host,
        port=postgres.port,
        user=postgres.superuser,
        dbname="postgres",
        application_name="observer",
    )
    observer.autocommit = True  # pg_stat_activity is cached per transaction
    observer.cursor().execute(SETUP)
    return observer


def _look(observer: Connection) -> dict[int, Seen]:
    """Every session, by pid."""
    with observer.cursor() as cursor:
        cursor.execute(LOOK)
        return {row[0]: Seen(*row) for row in cursor.fetchall()}


def _start_clients(
    terminal: Terminal, stack: ExitStack, postgres: EmbeddedPostgres, observer: Connection
) -> list[Client]:
    """Every application in a process of its own, all of their sessions open."""
    processes = [_start(stack, application, postgres) for application in APPLICATIONS]
    started = list(zip(APPLICATIONS, processes, strict=True))

    def opened() -> int:
        for application, process in started:
            if process.poll() is not None:
                raise DemoError(
                    f"application {application.name} ended before it had opened its sessions"
                )
        return len(_look(observer))

    _wait_for(terminal, "sessions are open, this demo's own among them", USABLE, opened)
    return [
        Client(application, process, tuple(_message(application, process)))
        for application, process in started
    ]


def _start(
    stack: ExitStack, application: Application, postgres: EmbeddedPostgres
) -> subprocess.Popen[str]:
    dsn = f"host={postgres.host} port={postgres.port} dbname=postgres user={application.role}"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "demo.leaky_clients", application.client),
            *(f"{dsn} application_name={application.name}", str(application.sessions)),
        ],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is the demo's to handle
    )
    stack.enter_context(process)
    stack.callback(process.kill)
    return process


def _message(application: Application, process: subprocess.Popen[str]) -> Any:
    """The next of the messages that a client prints, each a line of JSON."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise DemoError(f"application {application.name} ended before its time")
    return json.loads(line)


def _refusal(postgres: EmbeddedPostgres) -> dict[str, str]:
    """The fields of the server's error (PostgreSQL manual, "Error and Notice Message Fields")."""
    try:
        _new_client(postgres).close()
    except pg8000.native.DatabaseError as error:
        fields: dict[str, str] = error.args[0]
        return fields
    raise DemoError("a new client was let in although every usable slot should be taken")


def _served(postgres: EmbeddedPostgres) -> int:
    try:
        client = _new_client(postgres)
    except pg8000.native.DatabaseError as error:
        raise DemoError(f"the new client is still refused: {error.args[0]['M']}") from None
    [[answer]] = client.run("SELECT 1")
    client.close()
    return int(answer)


def _new_client(postgres: EmbeddedPostgres) -> pg8000.native.Connection:
    """pg8000, because psycopg2 hides the SQLSTATE of a refused login."""
    return pg8000.native.Connection(
        "shop", host=postgres.host, port=postgres.port, database="postgres"
    )


def _wait_for_age(
    terminal: Terminal, observer: Connection, clients: Sequence[Client], policy: Policy
) -> None:
    """Until each session that stays in its state is older there than any rule asks: those that must
    not go, too.
    """
    states = {
        pid: state
        for client in clients
        if (state := client.application.state)
        for pid in client.pids
    }
    ages = {
        state: max(
            (rule.older_than.total_seconds() for rule in policy.rules if state in rule.states),
            default=0,
        )
        for state in SessionState
    }

    def old_enough() -> int:
        seen = _look(observer)
        return sum(
            pid in seen and seen[pid].state == state and seen[pid].seconds_in_state > ages[state]
            for pid, state in states.items()
        )

    _wait_for(
        terminal, "sessions that do not work are old enough for every rule", len(states), old_enough
    )


def _wait_for(terminal: Terminal, what: str, total: int, count: Callable[[], int]) -> None:
    """Until the count is the total; raises DemoError where that takes too long."""
    deadline = time.monotonic() + WAIT_SECONDS
    with terminal.progress(what, total) as show:
        while (reached := count()) < total:
            if time.monotonic() > deadline:
                raise DemoError(f"after {WAIT_SECONDS} s only {reached} of {total} {what}")
            show(reached)
            time.sleep(0.05)
    terminal.say(f"{total} {what}.")


def _alarm_event(state: AlarmState) -> tuple[dict[str, Any], dict[str, Any]]:
    """A notification as SNS delivers it, for a change to the state right now; and the alarm in
    it.
    """
    event: dict[str, Any] = json.loads(ALARM.read_text())
    notification = event["Records"][0]["Sns"]
    alarm: dict[str, Any] = json.loads(notification["Message"])
    alarm["StateChangeTime"] = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "+0000"
    if state is not AlarmState.ALARM:
        alarm |= {"OldStateValue": alarm["NewStateValue"], "NewStateValue": state.value}
        alarm["NewStateReason"] = (
            "Threshold Crossed: 1 datapoint was not greater than or equal to the threshold (90.0)."
        )
        notification["Subject"] = f'{state}: "{alarm["AlarmName"]}" in {alarm["Region"]}'
    notification["Message"] = json.dumps(alarm)
    return event, alarm


def _responder(postgres: EmbeddedPostgres, policy: Policy, alarm_arn: str) -> Responder:
    """The Lambda handler, handed a connection without TLS and IAM, which a database on this machine
    does not need.
    """
    settings = Settings(
        database=DATABASE,
        database_name="postgres",
        region="eu-central-1",
        proxy=None,
        direct=Door(DoorName.DIRECT, postgres.host, postgres.port, "connection_guard"),
        warning_percent=75,
        critical_percent=90,
        alarms={alarm_arn: Tier.CRITICAL},
    )

    def connect(door: Door) -> Connection:
        return psycopg2.connect(
            host=door.host,
            port=door.port,
            user=door.role,
            dbname=settings.database_name,
            async_=True,
        )

    return Responder(settings, policy, connect, quick_diagnosis_times())


def _deliver(
    terminal: Terminal, observer: Connection, responder: Responder, event: dict[str, Any]
) -> dict[str, Any]:
    """The Report on the event; sessions are counted meanwhile."""
    started = time.monotonic()
    with captured_output() as log, ThreadPoolExecutor(1) as runtime:
        answer = runtime.submit(responder, event, LambdaContext(started + LAMBDA_SECONDS))
        with terminal.progress("sessions in use", USABLE) as show:
            while not answer.done():
                show(len(_look(observer)))
                time.sleep(0.05)
    report = answer.result()
    metrics = sum('"_aws"' in line for line in log)
    terminal.say(
        f"Answered after {time.monotonic() - started:.1f} s, and wrote {len(log)} lines to its "
        f"log: {metrics} of metrics (EMF), {len(log) - metrics} of events."
    )
    return report


def _show_conversation(terminal: Terminal, reporter: LocalReporter) -> None:
    message = reporter.posted
    terminal.say(
        f"[bold]In Slack[/], the same message, edited in place (edit {len(message.edits)}):\n"
    )
    show_message(terminal, message.content)
    terminal.say("\n[bold]In its thread[/]")
    for reply in reporter.slack.thread_of(message):
        show_message(terminal, reply.content)
    emails = reporter.outbox.emails
    for number, (subject, _) in enumerate(emails, start=1):
        terminal.say(Text(f"\nE-mail {number}: {subject}", style="bold"))
    terminal.say(Text("\n\n".join(emails[-1][1].split("\n\n")[:PARTS_OF_EMAIL])))
    terminal.say("\n... and, as in Slack, what was spared, the cause, the timeline and the links.")
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(conversation_page(CHANNEL, reporter.slack.messages, MADE_UP), encoding="utf-8")
    terminal.say(f"\n{MADE_UP}\nAs it looks in Slack: [bold]{PAGE.relative_to(ROOT)}[/]")


def _refusal_claim(refusal: Mapping[str, str]) -> Claim:
    """https://www.postgresql.org/docs/current/errcodes-appendix.html: too_many_connections."""
    return Claim(
        "the full database refused a new client with SQLSTATE 53300",
        refusal["C"] == "53300",
        f"the full database refused a new client with SQLSTATE {refusal['C']}, not 53300",
    )


def _session_claims(
    clients: Sequence[Client],
    observer: Connection,
    before: Mapping[int, Seen],
    after: Mapping[int, Seen],
) -> Iterator[Claim]:
    """From the pids that the clients themselves know; a pid with another backend_start is another
    session.
    """
    opened = {pid for client in clients for pid in client.pids} | {observer.info.backend_pid}
    must_go = _must_go(clients)
    remaining = {
        pid
        for pid, seen in before.items()
        if pid in after and after[pid].backend_start == seen.backend_start
    }
    yield Claim(
        f"before, there were exactly the {len(opened)} sessions that were opened here",
        set(before) == opened,
        "before, other sessions were there than those opened here: "
        f"{_listed(set(before) ^ opened)}",
    )
    yield Claim(
        f"all {len(must_go)} that were listed are gone",
        not must_go & remaining,
        f"listed but still there: {_listed(must_go & remaining)}",
    )
    yield Claim(
        f"all {len(opened - must_go)} others are still there, each the very same session",
        opened - must_go <= remaining,
        f"not listed but gone: {_listed(opened - must_go - remaining)}",
    )


def _report_claims(
    report: Mapping[str, Any],
    clients: Sequence[Client],
    before: Mapping[int, Seen],
    after: Mapping[int, Seen],
) -> Iterator[Claim]:
    must_go = _must_go(clients)
    terminated = {row["pid"] for row in report["terminated"]}
    yield Claim(
        "the report names exactly those that were listed as terminated",
        terminated == must_go,
        f"the report's terminated sessions and the list differ by {_listed(terminated ^ must_go)}",
    )
    counted = report["before"]["used"], report["after"]["used"]
    seen = len(before) + 1, len(after)
    yield Claim(
        f"the report counts as is seen from here: {seen[0]} sessions before, with the guard's own, "
        f"and {seen[1]} after",
        counted == seen,
        f"the report counts {counted[0]} sessions before and {counted[1]} after; {seen[0]} and "
        f"{seen[1]} were seen",
    )


def _cause_claim(report: Mapping[str, Any]) -> Claim:
    named = [
        (diagnosis["cause"], diagnosis["evidence"].get("application"))
        for diagnosis in report["diagnoses"]
    ]
    return Claim(
        "the report names the causes that were made here, the main one first: "
        f"{_causes_in_words(CAUSES)}",
        named == CAUSES,
        f"the report names these causes: {_causes_in_words(named)}; those made here are "
        f"{_causes_in_words(CAUSES)}",
    )


def _conversation_claims(
    reporter: LocalReporter,
    clients: Sequence[Client],
    before: Mapping[int, Seen],
    recovered: Mapping[int, Seen],
) -> Iterator[Claim]:
    """What people are told, against what was seen from here."""
    message = reporter.posted
    attachment = message.content["attachments"][0]
    texts = [
        text["text"]
        for block in attachment["blocks"]
        for text in (block.get("text"), *block.get("fields", ()))
        if text
    ]
    in_channel, replies = len(reporter.slack.channel_view), len(reporter.slack.thread_of(message))
    yield Claim(
        f"Slack has one message, edited in place, {replies} replies in its thread, and its bar is "
        "green in the end",
        in_channel == 1 and bool(message.edits) and replies > 0 and attachment["color"] == GREEN,
        f"Slack has {in_channel} messages; the first was edited {len(message.edits)} times, has "
        f"{replies} replies and is {attachment['color']}",
    )
    told = [
        tuple(map(int, usage))
        for text in texts
        if text.startswith("*Connections")
        for usage in re.findall(r"(\d+) of (\d+)", text)
    ]
    seen = [(len(before) + 1, USABLE), (len(recovered), USABLE)]
    yield Claim(
        f"it tells of {seen[0][0]} and now {seen[1][0]} of {USABLE} connections in use, as is seen "
        "from here",
        told == seen,
        f"the message tells of {told} connections, used and usable; {seen} were seen",
    )
    gone = {
        client.application.name: len(set(client.must_go) - set(recovered)) for client in clients
    }
    told_gone = {
        application: int(count)
        for text in texts
        if text.startswith("*Terminated*")
        for count, application in re.findall(r"^• (\d+) of `[^`]+` / `([^`]+)`", text, re.MULTILINE)
    }
    yield Claim(
        f"it says of which applications {sum(gone.values())} sessions were terminated, and of no "
        "others",
        told_gone == {application: count for application, count in gone.items() if count},
        f"the message says that {told_gone} were terminated; {gone} are gone",
    )
    subjects = [subject for subject, _ in reporter.outbox.emails]
    yield Claim(
        "there were two e-mails: one when it began, one when it had recovered",
        [subject.startswith("[recovered]") for subject in subjects] == [False, True],
        f"the e-mails were {subjects}",
    )
    everything = PAGE.read_text(encoding="utf-8") + reporter.everything_told
    exposed = [text for text in (reporter.token, *MASKED) if text in everything]
    missing = [text for text in MASKED.values() if text not in everything]
    yield Claim(
        "the page, the messages, the evidence and the log show queries without their literals, and "
        "no token",
        not exposed and not missing,
        f"people are shown what they must not be: {exposed}; what they may be is missing: "
        f"{missing}",
    )


def _target_claim(policy: Policy, after: Mapping[int, Seen]) -> Claim:
    target = policy.limits.target_percent
    share = 100 * len(after) / USABLE
    return Claim(
        f"{len(after)} of {USABLE} connections are in use ({share:.1f} %), below the policy's "
        f"target of {target:g} %",
        share < target,
        f"{len(after)} of {USABLE} connections are still in use, not below {target:g} %",
    )


def _healthy_pool_claim(clients: Sequence[Client]) -> Claim:
    [healthy] = [client for client in clients if client.application.state is None]
    assert healthy.process.stdin is not None
    healthy.process.stdin.close()
    work = _message(healthy.application, healthy.process)
    return Claim(
        f"the busy pool ran {work['statements']:,} statements meanwhile without an error",
        work["statements"] > 0 and not work["errors"],
        f"the busy pool ran {work['statements']} statements and met errors: {work['errors'][:1]}",
    )


def _application_rows() -> Iterator[tuple[str, ...]]:
    for application in APPLICATIONS:
        state = application.state or "working"
        yield application.name, str(application.sessions), state, application.story
    yield "observer", "1", "working", "this demo, looking on as the superuser"


def _must_go_rows(clients: Sequence[Client]) -> Iterator[tuple[str, ...]]:
    for client in clients:
        if client.must_go:
            yield client.application.name, str(len(client.must_go)), _listed(client.must_go)
    yield "", str(len(_must_go(clients))), ""


def _must_go(clients: Sequence[Client]) -> set[int]:
    return {pid for client in clients for pid in client.must_go}


def _listed(pids: Iterable[int]) -> str:
    return " ".join(str(pid) for pid in sorted(pids))


def _causes_in_words(causes: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{cause} ({application})" for cause, application in causes) or "none"


def _in_words(duration: timedelta) -> str:
    seconds = duration.total_seconds()
    return f"{seconds:g} s" if seconds < 60 else f"{seconds / 60:g} min"


if __name__ == "__main__":
    sys.exit(main())
