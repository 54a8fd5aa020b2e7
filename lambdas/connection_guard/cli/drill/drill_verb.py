"""The verb `drill`: does the guard do what it promises, and how fast?"""

import functools
import signal
import sys
from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime, timedelta
from importlib import import_module
from types import FrameType
from typing import Any

import click
from click.core import ParameterSource
from rich.text import Text

from connection_guard.adapters.postgresql.guard_session import GuardSession
from connection_guard.adapters.postgresql.observe import take_snapshot
from connection_guard.cli.access.aws_session import aws_session
from connection_guard.cli.access.database_access import (
    DatabaseAccess,
    database_access_options,
    enter,
)
from connection_guard.cli.access.deployed_stack import deployed_stack
from connection_guard.cli.drill.conduct import Conductor, Drill, DrillResult
from connection_guard.cli.drill.deployed_watch import DeployedWatch, Watch
from connection_guard.cli.drill.drill_view import DrillView, announce, announcement, phase_table
from connection_guard.cli.drill.filling import WATCHER, expectation_of, filling_of
from connection_guard.cli.drill.last_drills import (
    DamagedDrillsError,
    LastDrill,
    drills_file,
    keep_drill,
    last_drill,
)
from connection_guard.cli.drill.marked_sessions import mark, permit_sockets
from connection_guard.cli.drill.phases import PhaseName, expected_phases
from connection_guard.cli.drill.preconditions import (
    refuse_another_drill,
    refuse_production,
    refuse_role,
    refuse_unrest,
    where_to_look,
)
from connection_guard.cli.terminal.durations import DurationType
from connection_guard.cli.terminal.mistakes import FINDING_STATUS, UserMistakeError
from connection_guard.cli.terminal.output import json_option, write
from connection_guard.core.database.snapshot import Measurement
from connection_guard.core.words import quoted, shown, spelled

GAME_DAY = "demo.game_day.local_drill"
LOCAL = "local"
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@database_access_options
def _on_deployed_guard(
    access: DatabaseAccess,
    *,
    exhaust: bool,
    limit: timedelta,
    yes: bool,
    yes_production: bool,
) -> None:
    if access.configuration is None:
        raise UserMistakeError(
            "a drill needs the guard.toml by which the database's guard was deployed: name it "
            "with --guard"
        )
    configuration = access.configuration
    if not yes_production:
        refuse_production(access, configuration, access.login.host)
    if access.door.role in access.guard_roles:
        raise UserMistakeError(
            f"the guard spares its own role {quoted(access.door.role)}: name another role with "
            "--user, with PGPASSWORD, ~/.pgpass or --iam"
        )
    session = aws_session(access.login.profile, access.login.region)
    stack = deployed_stack(session, configuration.target.stack_name, configuration)
    watch = DeployedWatch(stack, access.name)
    refuse_unrest(access.name, watch.alarms, watch.look(), datetime.now(UTC))
    finished = _conducted(access, watch, exhausts=exhaust, limit=limit, asks=not yes)
    _conclude(access.name, *finished, stack=stack.name)


@click.command("drill")
@click.option("--exhaust", is_flag=True, help="Go on to the last slot: applications are refused.")
@click.option(
    "--limit",
    default="30m",
    show_default=True,
    type=DurationType("1s", "1d"),
    help="End the drill after that time, such as 15m.",
)
@click.option("--yes", is_flag=True, help="Do not ask before sessions are opened.")
@click.option("--yes-production", is_flag=True, help="Drill on what looks like production, too.")
@json_option
@functools.wraps(_on_deployed_guard, assigned=())
def drill(*, exhaust: bool, limit: timedelta, **given: Any) -> None:
    """Hold a game day: fill a database to its critical line, and time what the guard does.

    The drill opens marked idle sessions, watches the responder, the alarm, relief, every channel's
    notification and the recovery, and shows how long each took, beside the last drill. Its sessions
    end with it, however it ends.

    Without a DATABASE, a PostgreSQL of its own on this machine is filled, with the real responder
    and reporter; it takes ten seconds and needs a copy of the source. With one, the
    deployed guard of that database is tested, under a role of yours that the guard does not spare.
    You are asked first, and what looks like production is refused.

    The exit status is 1 where something did not happen in time.

    \b
    Examples:
      connection-guard drill
      connection-guard drill orders-staging --user drill
      connection-guard drill orders-staging --user drill --iam --limit 20m
    """
    _end_once_on_signals()
    if not _is_local(given):
        _on_deployed_guard(exhaust=exhaust, limit=limit, **given)
        return
    with _game_day() as (access, watch):
        finished = _conducted(access, watch, exhausts=exhaust, limit=limit, asks=False)
    _conclude(LOCAL, *finished, stack=None)


def _end_once_on_signals() -> None:
    """Let Ctrl-C, SIGTERM and the closed terminal end the drill, and nothing interrupt the cleaning
    up after that.
    """
    # nohup ignores the end of its terminal.
    numbers = [each for each in ENDINGS if signal.getsignal(each) is not signal.SIG_IGN]

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    for each in numbers:
        signal.signal(each, interrupt)


def _is_local(given: dict[str, Any]) -> bool:
    source = click.get_current_context().get_parameter_source("guard_file")
    return (
        given["database"] is None
        and given["host"] is None
        and source is not ParameterSource.COMMANDLINE
    )


def _game_day() -> AbstractContextManager[tuple[DatabaseAccess, Watch]]:
    try:
        module = import_module(GAME_DAY)
    except ModuleNotFoundError as error:
        raise UserMistakeError(
            f"a local drill needs a copy of the source and its environment ({error}): run "
            "./connection-guard there, or name a DATABASE to drill its deployed guard"
        ) from error
    held: AbstractContextManager[tuple[DatabaseAccess, Watch]] = module.game_day()
    return held


def _conducted(
    access: DatabaseAccess, watch: Watch, *, exhausts: bool, limit: timedelta, asks: bool
) -> tuple[Drill, DrillResult]:
    session, measurement = enter(access)
    with closing(session):
        mark(session, WATCHER, limit)
        drill = _prepared(access, watch, session, measurement, exhausts=exhausts, limit=limit)
        announce(announcement(access.name, measurement, drill.filling, drill.expected))
        if asks:
            _ask()
        with DrillView(_names(drill)) as view:
            return drill, Conductor(drill, session, view).conduct()


def _prepared(
    access: DatabaseAccess,
    watch: Watch,
    session: GuardSession,
    measurement: Measurement,
    *,
    exhausts: bool,
    limit: timedelta,
) -> Drill:
    snapshot = take_snapshot(session, measurement)
    pid = session.connection.info.backend_pid
    own = next(each for each in snapshot.sessions if each.pid == pid)
    refuse_role(own, measurement)
    refuse_another_drill(own, snapshot)
    filling = filling_of(
        measurement,
        access.policy.limits,
        warning_percent=access.warning_percent,
        critical_percent=access.critical_percent,
        exhausts=exhausts,
    )
    permit_sockets(filling.total)
    expected = expectation_of(snapshot, own, filling, access.policy, access.guard_roles)
    if expected.wait >= limit:
        raise UserMistakeError(
            f"the policy asks sessions to be idle for {spelled(expected.wait)} first: add a "
            "--limit that is longer by ten minutes"
        )
    phases = expected_phases(watch.channels, acts=expected.why_not is None)
    return Drill(access, watch, filling, expected, phases, limit)


def _ask() -> None:
    if not sys.stdin.isatty():
        raise UserMistakeError("nobody can be asked whether to begin: add --yes")
    click.confirm("Begin?", abort=True, err=True)


def _conclude(key: str, drill: Drill, result: DrillResult, *, stack: str | None) -> None:
    """Show what happened, remember it, and end with the status that it deserves."""
    last = _remembered(key, LastDrill(result.began_at, result.seconds))
    advice = where_to_look(result.late, key, stack) if result.finding else None
    names = _names(drill)
    document = {
        "database": key,
        "began_at": result.began_at,
        "sessions": {
            "opened": result.opened,
            "ended": result.ended,
            "ended_as_the_incident_says": result.reported,
        },
        "expects_relief": drill.acts,
        "phases": [
            {
                "phase": name,
                "seconds": result.seconds.get(name),
                "last_seconds": last.seconds.get(name) if last else None,
            }
            for name in names
        ],
        "last_began_at": last.began_at if last else None,
        "finding": result.finding,
        "next": advice,
    }
    table = phase_table(names, result.seconds, last)
    counts = Text(
        f"{result.opened} sessions were opened; the server ended {result.ended} of them, and the "
        f"incident names {result.reported}. The others were closed."
    )
    if result.finding is not None:
        verdict = Text(f"Not as promised: {shown(result.finding)}.", style="bold red")
    elif PhaseName.ALARM in result.seconds:
        verdict = Text("All of it happened in time.", style="green")
    else:
        verdict = Text(
            "All of it happened in time; the heartbeat acted before an alarm fired.", style="green"
        )
    more = [Text(f"Look next: {advice}")] if advice else []
    write(document, table, counts, verdict, *more)
    if result.finding is not None:
        sys.exit(FINDING_STATUS)


def _names(drill: Drill) -> list[str]:
    """Return the phases in the order in which they are shown."""
    names = [phase.name for phase in drill.phases]
    place = names.index(PhaseName.RELIEF) + 1 if drill.acts else names.index(PhaseName.RESOLVED)
    return [PhaseName.FILLED, *names[:place], PhaseName.LET_GO, *names[place:]]


def _remembered(key: str, drill: LastDrill) -> LastDrill | None:
    """Return the last drill, in whose place this one is kept."""
    last = None
    try:
        file = drills_file()
        last = last_drill(file, key)
    except DamagedDrillsError as damaged:
        print(damaged, file=sys.stderr)
    except RuntimeError as error:  # of a user without a home
        print(f"this drill cannot be kept for the next one: {error}", file=sys.stderr)
        return None
    if PhaseName.FILLED in drill.seconds:
        try:
            keep_drill(file, key, drill)
        except OSError as error:
            print(f"this drill cannot be kept for the next one: {error}", file=sys.stderr)
    return last
