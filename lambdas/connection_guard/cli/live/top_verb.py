"""The verb `top`: the live database as the guard sees it, again and again."""

import signal
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import click
from rich.console import ConsoleDimensions, Group, RenderableType
from rich.live import Live
from rich.text import Text

from connection_guard.cli.access.database_access import DatabaseAccess, database_access_options
from connection_guard.cli.access.policy_option import policy_options
from connection_guard.cli.live.live_look import LiveLook
from connection_guard.cli.live.live_session import judgement_of
from connection_guard.cli.live.live_table import safe_text
from connection_guard.cli.live.plan_document import Document
from connection_guard.cli.live.quit_key import quit_key
from connection_guard.cli.live.top_screen import top_screen
from connection_guard.cli.live.watch import LiveWatch
from connection_guard.cli.terminal.output import is_json, json_option, terminal_console, write
from connection_guard.core.policy import Tier
from connection_guard.errors import DatabaseError

# Longer pauses would let the responder take the session for one that was left behind.
LONGEST_INTERVAL = 60
# How soon the screen follows a terminal whose size changes.
SECONDS_BETWEEN_SIZES = 0.2
SECONDS_TO_RECONNECT = 3.0


@click.command("top")
@database_access_options
@policy_options
@click.option(
    "--every",
    type=click.FloatRange(0.5, LONGEST_INTERVAL),
    default=2.0,
    show_default=True,
    help="Seconds between two looks.",
)
@json_option
def top(access: DatabaseAccess, policy_file: Path | None, tier: Tier, every: float) -> None:
    """Watch a database as the guard sees it: who uses it, who blocks whom, who would have to go.

    Shows usage against the target and the thresholds of both alarms, the pools by application,
    role and client with their states and ages, the sessions that block others, and the verdict of
    the policy on each session with its reason, those first that would go first. It terminates
    nothing. The screen is refreshed every two seconds; q or Ctrl-C leaves it. A connection that is
    lost is opened again.

    In a pipe, and with --json, it looks once and writes what `plan` writes, with the pools and
    blockers. The exit status is 0, also where sessions would be terminated.

    \b
    Examples:
      connection-guard top
      connection-guard top orders-prod --every 5
      connection-guard top orders-prod --policy policy.toml --tier warning
      connection-guard top orders-prod --json | jq '.pools[0]'
    """
    watch = LiveWatch(access, judgement_of(access, policy_file, tier))
    with closing(watch):
        look, document = watch.look()
        if is_json():
            write(document)
            return
        with suppress(KeyboardInterrupt):
            _show(watch, look, document, every)


def _show(watch: LiveWatch, look: LiveLook, document: Document, every: float) -> None:
    """Refresh the screen until somebody leaves it."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: sys.exit(128 + received))
    console = terminal_console()
    problem = ""
    with quit_key() as is_pressed, Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            next_look = time.monotonic() + every
            while (left := next_look - time.monotonic()) > 0:
                size = console.size
                live.update(_screen(look, document, every, problem, size), refresh=True)
                while size == console.size and left > 0:
                    if is_pressed(min(left, SECONDS_BETWEEN_SIZES)):
                        return
                    left = next_look - time.monotonic()
            try:
                look, document = watch.look(SECONDS_TO_RECONNECT)
                problem = ""
            except DatabaseError as error:
                watch.close()
                problem = str(error)


def _screen(
    look: LiveLook, document: Document, every: float, problem: str, size: ConsoleDimensions
) -> RenderableType:
    status = Text(f"{look.round.before.taken_at:%H:%M:%S} UTC, every {every:g} s; q leaves", "dim")
    if problem:
        status = Text.assemble(("connection lost, trying again: ", "bold red"), safe_text(problem))
    status.truncate(size.width, overflow="ellipsis")
    return Group(status, top_screen(look, document, size.width, size.height - 1))
