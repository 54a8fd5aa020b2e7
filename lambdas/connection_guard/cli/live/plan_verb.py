"""The verb `plan`: what would the guard do now, and why?"""

import sys
from contextlib import closing
from pathlib import Path

import click

from connection_guard.cli.access.database_access import (
    DatabaseAccess,
    database_access_options,
    enter,
)
from connection_guard.cli.access.policy_option import policy_options
from connection_guard.cli.live.live_look import judged
from connection_guard.cli.live.live_session import judgement_of, look_around
from connection_guard.cli.live.plan_document import is_finding, plan_document
from connection_guard.cli.live.plan_tables import plan_tables
from connection_guard.cli.terminal.mistakes import FINDING_STATUS
from connection_guard.cli.terminal.output import json_option, terminal_console, write
from connection_guard.core.policy import Tier


@click.command("plan")
@database_access_options
@policy_options
@json_option
def plan(access: DatabaseAccess, policy_file: Path | None, tier: Tier) -> None:
    """Show who would be terminated now, who would be spared, and why.

    Looks at the database once, and decides as the first run of the responder would after an alarm:
    by the same policy, limits and memory of earlier runs. It also shows what holds the plan back,
    what usage would be afterwards, and why connections ran out. Nothing is terminated, and a
    responder that runs at the same time is not disturbed.

    The exit status is 0 where usage is below the policy's target, so that there is nothing to do,
    and 1 where it is not: sessions would be terminated, or somebody has to look.

    \b
    Examples:
      connection-guard plan
      connection-guard plan orders-prod --tier warning
      connection-guard plan orders-prod --policy policy.toml
      connection-guard plan orders-prod --json | jq '.would_terminate[].pid'
      connection-guard plan --host localhost:5432 --user postgres
    """
    judgement = judgement_of(access, policy_file, tier)
    session, measurement = enter(access)
    with closing(session):
        snapshot = look_around(access, session, measurement)
    look = judged(access.name, snapshot, judgement)
    document = plan_document(look)
    write(document, *plan_tables(document, terminal_console().width))
    sys.exit(FINDING_STATUS if is_finding(look) else 0)
