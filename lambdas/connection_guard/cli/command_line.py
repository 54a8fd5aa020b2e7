"""The command `connection-guard`: which verbs there are, and how they end."""

import signal
import sys
from collections.abc import Mapping
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from traceback import extract_tb
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError

from connection_guard import __version__
from connection_guard.cli.access.aws_session import aws_problem
from connection_guard.cli.terminal.mistakes import MISTAKE_STATUS
from connection_guard.core.words import shown
from connection_guard.errors import ConnectionGuardError

NAME = "connection-guard"

# As a shell shows it for a program that Ctrl-C ended: 128 and the signal's number.
INTERRUPTED_STATUS = 130

VERBS: Mapping[str, str] = {
    "discover": "connection_guard.cli.discover.discover_verb:discover",
    "doctor": "connection_guard.cli.doctor.doctor_verb:doctor",
    "top": "connection_guard.cli.live.top_verb:top",
    "plan": "connection_guard.cli.live.plan_verb:plan",
    "terminate": "connection_guard.cli.live.by_hand.terminate_verb:terminate_by_hand",
    "replay": "connection_guard.cli.replay.replay_verb:replay",
    "budget": "connection_guard.cli.budget.budget_verb:budget",
    "audit": "connection_guard.cli.audit.audit_verb:audit",
    "incidents": "connection_guard.cli.incidents.incidents_verb:incidents",
    "redrive": "connection_guard.cli.incidents.redrive_verb:redrive",
    "drill": "connection_guard.cli.drill.drill_verb:drill",
    "pause": "connection_guard.cli.pause.pause_verb:pause",
    "resume": "connection_guard.cli.pause.resume_verb:resume",
    "notify-test": "connection_guard.cli.incidents.notify_test_verb:notify_test",
    "completion": "connection_guard.cli.completion.completion_verb:completion",
}
"""Where each verb is. Only what is called is imported, so that a shell completes at once."""


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in VERBS:
            return None
        module, _, verb = VERBS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), verb)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # it is another in a test
            stream.reconfigure(errors="backslashreplace")
    try:
        sys.exit(_command.main(prog_name=NAME, standalone_mode=False))
    except click.ClickException as error:
        problem = error.format_message().rstrip(".")
        if isinstance(error, click.UsageError):
            problem += f"; see `{error.ctx.command_path if error.ctx else NAME} --help`"
        _end(problem, error.exit_code)
    except ConnectionGuardError as error:
        _end(_explained(error), MISTAKE_STATUS)
    except (BotoCoreError, ClientError) as error:
        _end(aws_problem(error), MISTAKE_STATUS)
    except (KeyboardInterrupt, click.Abort) as interrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # an impatient second one is no traceback
        # A terminal has shown ^C, perhaps behind a question.
        sys.stderr.write("\n" if sys.stderr.isatty() else "")
        _end(": ".join(["interrupted", *map(str, interrupt.args)]), INTERRUPTED_STATUS)
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough. Python would write a traceback at its end.
        sys.stdout = None
        sys.exit(0)
    except Exception as error:  # noqa: BLE001 - a traceback helps nobody at 3 a.m.
        place = extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        _end(
            f"a defect of this command, at {where}: {type(error).__name__}: {shown(str(error))}; "
            "please report it with what you called",
            MISTAKE_STATUS,
        )


def _explained(error: ConnectionGuardError) -> str:
    """Return the problem, with what AWS refused as for AWS's own errors."""
    refused = error.__cause__
    if isinstance(refused, BotoCoreError | ClientError):
        return str(error).replace(str(refused), aws_problem(refused))
    return str(error)


def _end(problem: str, status: int) -> None:
    for line in problem.splitlines():
        print(f"{NAME}: {line}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
