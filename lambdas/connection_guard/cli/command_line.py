"""The command `connection-guard`."""

import sys

import click

from connection_guard import __version__
from connection_guard.cli.notify_test_verb import notify_test

NAME = "connection-guard"


@click.group(NAME, no_args_is_help=False)
@click.version_option(__version__, message="%(prog)s %(version)s")
def _command() -> None:
    """Connection Guard keeps Amazon RDS and Aurora PostgreSQL reachable when connections run out.

    CloudWatch alarms invoke an AWS Lambda function that terminates the sessions that a policy
    permits, and reports what it did and why. The guard is deployed with `make deploy` in a copy of
    its source. Its documentation is README.md and the folder docs/ there.
    """


_command.add_command(notify_test)


def main() -> None:
    """Run the command; exit with status 2 and one line where it is called in another way than its
    help describes, or cannot do what it is asked for.
    """
    try:
        sys.exit(_command.main(prog_name=NAME, standalone_mode=False))
    except click.ClickException as error:
        problem = error.format_message().rstrip(".")
        if isinstance(error, click.UsageError):
            problem += f"; see `{error.ctx.command_path if error.ctx else NAME} --help`"
        print(f"{NAME}: {problem}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
