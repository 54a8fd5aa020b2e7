"""The command `connection-guard`."""

import sys

import click

from connection_guard import __version__

NAME = "connection-guard"


@click.command(NAME)
@click.version_option(__version__, message="%(prog)s %(version)s")
def _command() -> None:
    """Connection Guard keeps Amazon RDS and Aurora PostgreSQL reachable when connections run out.

    CloudWatch alarms invoke an AWS Lambda function that terminates the sessions that a policy
    permits, and reports what it did and why. This command has no verbs yet: the guard is deployed
    with `make deploy` in a copy of its source. Its documentation is README.md and the folder docs/
    there.
    """
    raise click.UsageError("no verb is available yet")


def main() -> None:
    """Run the command; exit with status 2 and one line where it is called in another way than its
    help describes.
    """
    try:
        sys.exit(_command.main(prog_name=NAME, standalone_mode=False))
    except click.ClickException as error:
        problem = error.format_message().rstrip(".")
        print(f"{NAME}: {problem}; see `{NAME} --help`", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
