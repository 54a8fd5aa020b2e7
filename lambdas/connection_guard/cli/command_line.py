"""The command `connection-guard`: which verbs there are, and how they end."""

import errno
import signal
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from traceback import extract_tb
from typing import Any, NamedTuple

import click
from click.exceptions import Exit, NoSuchCommand
from click.shell_completion import CompletionItem

from connection_guard import __version__
from connection_guard.cli.terminal.mistakes import MISTAKE_STATUS, NAME
from connection_guard.cli.terminal.standard_streams import prepare_streams, write_last_lines
from connection_guard.core.words import printable, shown
from connection_guard.errors import ConnectionGuardError

# As a shell shows it for a program that Ctrl-C ended: 128 and the signal's number.
INTERRUPTED_STATUS = 130

_CANNOT_BE_WRITTEN = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


class Verb(NamedTuple):
    """Where a verb is, and the line by which the command's help lists it."""

    place: str
    summary: str


_CLI = "connection_guard.cli"

VERBS: Mapping[str, Verb] = {
    "discover": Verb(
        f"{_CLI}.discover.discover_verb:discover",
        "Describe the databases of an AWS account in guard.toml.",
    ),
    "doctor": Verb(
        f"{_CLI}.doctor.doctor_verb:doctor",
        "Check what the guard needs of a database; show how to mend it.",
    ),
    "top": Verb(
        f"{_CLI}.live.top_verb:top",
        "Watch a database as the guard sees it.",
    ),
    "plan": Verb(
        f"{_CLI}.live.plan_verb:plan",
        "Show who would be terminated now, who spared, and why.",
    ),
    "terminate": Verb(
        f"{_CLI}.live.by_hand.terminate_verb:terminate_by_hand",
        "Terminate sessions by hand, with the guard's own safety.",
    ),
    "replay": Verb(
        f"{_CLI}.replay.replay_verb:replay",
        "Judge saved evidence with a changed policy.",
    ),
    "budget": Verb(
        f"{_CLI}.budget.budget_verb:budget",
        "Compare the pools of all services with what databases have.",
    ),
    "audit": Verb(
        f"{_CLI}.audit.audit_verb:audit",
        "Report what to change before connections run out again.",
    ),
    "incidents": Verb(
        f"{_CLI}.incidents.incidents_verb:incidents",
        "List the incidents of a deployed stack, or show one.",
    ),
    "redrive": Verb(
        f"{_CLI}.incidents.redrive_verb:redrive",
        "Show what the reporter could not read, and send it again.",
    ),
    "drill": Verb(
        f"{_CLI}.drill.drill_verb:drill",
        "Fill a database to its critical line, and time the guard.",
    ),
    "pause": Verb(
        f"{_CLI}.pause.pause_verb:pause",
        "Let the guard of a database only observe.",
    ),
    "resume": Verb(
        f"{_CLI}.pause.resume_verb:resume",
        "End a pause, so that the guard acts again.",
    ),
    "notify-test": Verb(
        f"{_CLI}.incidents.notify_test_verb:notify_test",
        "Send a test incident through every channel of a stack.",
    ),
    "completion": Verb(
        f"{_CLI}.completion.completion_verb:completion",
        "Write the script that makes a shell complete the command.",
    ),
}
"""Only the verb that is called is imported, so that help and completion come at once."""


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in VERBS:
            return None
        module, _, verb = VERBS[cmd_name].place.partition(":")
        command: click.Command = getattr(import_module(module), verb)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except NoSuchCommand as error:
            raise NoSuchCommand(error.command_name, possibilities=VERBS, ctx=ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.summary) for name, verb in VERBS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        begun = [
            CompletionItem(name, help=verb.summary)
            for name, verb in VERBS.items()
            if name.startswith(incomplete)
        ]
        return begun + click.Command.shell_complete(self, ctx, incomplete)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            # The reader, such as `head`, has seen enough. Click would end with 1, a finding.
            raise Exit(0) from error
        except KeyboardInterrupt as interrupt:  # click would write an empty line, also in a pipe
            raise click.Abort(*interrupt.args) from interrupt


@click.group(NAME, cls=_Verbs, no_args_is_help=False)
@click.version_option(__version__, message="%(prog)s %(version)s")
def _command() -> None:
    """Connection Guard keeps Amazon RDS and Aurora PostgreSQL reachable when connections run out.

    CloudWatch alarms invoke an AWS Lambda function that terminates the sessions that a policy
    permits, and reports what it did and why. The guard is deployed with `make deploy` in a copy of
    its source. Its documentation is README.md and the folder docs/ there.

    The exit status of every verb is 0 where all is well, 1 where it found something, and 2 where it
    could not do what it was asked for.
    """


def main() -> None:
    """Run the command.

    Exit with status 2 and a line for each mistake where it is called in another way than its help
    describes, or cannot do what it is asked for.
    """
    prepare_streams()
    status, problem = _outcome()
    write_last_lines([f"{NAME}: {line}" for line in problem.splitlines()])
    sys.exit(status)


def _outcome() -> tuple[int, str]:
    """Return how the verb ended: the exit status, and a line for each problem."""
    try:
        status = _status()
        sys.stdout.flush()
    except click.ClickException as error:
        return error.exit_code, _mistake(error)
    except (KeyboardInterrupt, click.Abort) as interrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # an impatient second one is no traceback
        # A terminal has shown ^C, perhaps behind a question.
        sys.stderr.write("\n" if sys.stderr.isatty() else "")
        return INTERRUPTED_STATUS, ": ".join(["interrupted", *map(str, interrupt.args)])
    except BrokenPipeError:
        return 0, ""
    except Exception as error:  # noqa: BLE001 - a traceback helps nobody at 3 a.m.
        return MISTAKE_STATUS, _problem(error)
    return status, ""


def _status() -> int:
    try:
        status = _command.main(prog_name=NAME, standalone_mode=False)
    except SystemExit as ended:  # as verbs end that have a finding
        status = ended.code
    return status if isinstance(status, int) else 0


def _mistake(error: click.ClickException) -> str:
    problem = error.format_message().rstrip(".")
    if not isinstance(error, click.UsageError):
        return problem
    see = f"ee `{error.ctx.command_path if error.ctx else NAME} --help`"
    # Click writes a list of choices in lines of their own.
    problem = printable(problem)
    return f"{problem} S{see}" if problem.endswith("?") else f"{problem}; s{see}"


def _problem(error: Exception) -> str:
    """Return what went wrong outside the command, or where in it."""
    # AWS's library takes longer to import than all else together.
    from botocore.exceptions import BotoCoreError, ClientError

    from connection_guard.cli.access.aws_session import aws_problem, problem_behind

    if isinstance(error, BotoCoreError | ClientError):
        return aws_problem(error)
    if isinstance(error, ConnectionGuardError):
        return problem_behind(error)
    if isinstance(error, OSError) and error.errno in _CANNOT_BE_WRITTEN:
        where = shown(str(error.filename)) if error.filename else "the output"
        return f"{where} cannot be written: {error.strerror}; make room, or write elsewhere"
    place = extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}:{place.lineno}"
    return (
        f"a defect of this command, at {where}: {type(error).__name__}: {shown(str(error))}; "
        "please report it with what you called"
    )


if __name__ == "__main__":
    main()
