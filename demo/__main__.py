"""An outage and its end, live: `make demo`.

Real clients fill a real PostgreSQL to its last usable connection. The demo lists the sessions that
must go, delivers an alarm to the responder's handler, lets the reporter notify a Slack on this
machine, and then checks as the superuser that exactly those sessions are gone. It exits with
status 0 only if that and everything else that it claims is true; otherwise it says what is not.
"""

import os
import sys
from contextlib import ExitStack

import psycopg2

from connection_guard.errors import ConnectionGuardError
from demo.claims import Claim, claims_about
from demo.demo_error import DemoError
from demo.show.terminal import Terminal
from demo.story import play
from doubles.local_process import DoubleError


def main() -> int:
    """Return the exit status: 0 where everything was true."""
    for variable in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[variable]  # libpq would take settings meant for another server
    terminal = Terminal()
    try:
        with ExitStack() as stack:
            claims = _checked(terminal, stack)
    except (DemoError, DoubleError, ConnectionGuardError, psycopg2.Error) as error:
        terminal.not_true(" ".join(str(error).split()))
        return 1
    except KeyboardInterrupt:
        terminal.say("\nStopped; everything that was started is gone.")
        return 130
    untrue = [claim.otherwise for claim in claims if not claim.is_true]
    if untrue:
        terminal.not_true("; ".join(untrue))
        return 1
    terminal.say(
        "\n[bold green]Exactly the listed sessions were terminated; every claim is true.[/]"
    )
    return 0


def _checked(terminal: Terminal, stack: ExitStack) -> list[Claim]:
    """Play the story and check every claim about it."""
    observed = play(terminal, stack)
    terminal.step("Check it all from outside, as the superuser")
    claims = list(claims_about(observed))
    for claim in claims:
        terminal.claim(claim.text, is_true=claim.is_true)
    return claims


if __name__ == "__main__":
    sys.exit(main())
