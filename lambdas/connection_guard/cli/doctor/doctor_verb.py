"""The verb `doctor`: does the guard have all that it needs?"""

import sys
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from threading import Thread

import click

from connection_guard.cli.access.aws_session import aws_session
from connection_guard.cli.access.database_access import DatabaseAccess, database_access_options
from connection_guard.cli.doctor.deployed.ask_aws import ask, proxy_endpoint
from connection_guard.cli.doctor.deployed.notification_checks import check_notifications
from connection_guard.cli.doctor.deployed.stack_checks import check_deployment
from connection_guard.cli.doctor.doctor_page import Groups, show_checks
from connection_guard.cli.doctor.doors.door_visit import visit
from connection_guard.cli.doctor.doors.login_checks import (
    check_guard,
    check_login,
    check_same_server,
    check_writer,
    login_to_look_from,
)
from connection_guard.cli.doctor.doors.network_checks import check_network
from connection_guard.cli.doctor.doors.server_checks import check_server
from connection_guard.cli.doctor.facts.aws_facts import AwsFacts
from connection_guard.cli.doctor.facts.check import Unknown, has_finding, unchecked
from connection_guard.cli.doctor.facts.door_facts import DoorFacts
from connection_guard.cli.terminal.mistakes import FINDING_STATUS, UserMistakeError
from connection_guard.cli.terminal.output import json_option
from connection_guard.configuration.guard.guard_configuration import ExistingProxy
from connection_guard.core.database.capacity import Capacity
from connection_guard.core.database.door import Door, DoorName

AWS_SECONDS = 30.0
"""For all of AWS, while the doors are tried. What is not known by then could not be checked."""

PROXY_PORT = 5432
"""That of a proxy that the stack makes."""


@click.command("doctor")
@database_access_options
@click.option("--no-aws", is_flag=True, help="Ask nothing of AWS but to sign an IAM token.")
@json_option
def doctor(access: DatabaseAccess, no_aws: bool) -> None:
    """Check all that the guard will need of a database, and show how to mend what is missing.

    Goes the responder's way through each door, RDS Proxy and then directly: name, port, TLS, login,
    privileges, reserve. Then it looks at the database's limits, settings and clock, and, where a
    stack is deployed, at the stack: heartbeat, alarms, functions, queues, subscriptions and
    secrets. It changes and terminates nothing.

    There is one line per check: ok, FINDING, or ? where it could not be checked. Below a finding is
    the statement or command that mends it.

    It works before anything is deployed, also through a bastion or a tunnel: --host connects there,
    and the certificate still has to be that of the database. The proxy's door is then left out.

    The exit status is 0 where nothing was found, 1 where something was, and 2 where guard.toml or
    the call has a mistake.

    \b
    Examples:
      connection-guard doctor orders
      connection-guard doctor orders --host localhost:15432
      PGPASSWORD=... connection-guard doctor orders --user master --no-aws
      connection-guard doctor --host localhost:5432 --user postgres
      connection-guard doctor orders --json | jq '.checks[] | select(.result == "finding")'
    """
    facts, asking = AwsFacts(), None
    if no_aws:
        facts.account = Unknown("AWS was not asked: --no-aws")
    elif access.configuration is not None:
        asking = _begin_to_ask(facts, access)
    direct = visit(access, access.door)
    if asking is not None:
        asking.join(AWS_SECONDS)
    facts = replace(facts)  # what comes later is not seen in one check and missed in another
    groups = _checks(access, direct, facts)
    show_checks(access.name, groups)
    sys.exit(FINDING_STATUS if has_finding(chain(*groups.values())) else 0)


def _begin_to_ask(facts: AwsFacts, access: DatabaseAccess) -> Thread | None:
    """Start asking AWS, unless there are no credentials: the facts then say so."""
    assert access.configuration is not None
    assert access.configured is not None
    try:
        session = aws_session(access.login.profile, access.login.region)
    except UserMistakeError as mistake:
        facts.account = Unknown(mistake.message)
        return None
    # Nothing waits for it at the end: a service that hangs does not keep the command from ending.
    thread = Thread(
        target=ask, args=(facts, session, access.configuration, access.configured), daemon=True
    )
    thread.start()
    return thread


def _checks(access: DatabaseAccess, direct: DoorFacts, facts: AwsFacts) -> Groups:
    proxy, why_not = _proxy(access, facts)
    doors = [*([visit(access, proxy)] if proxy is not None else []), direct]
    logins = [door.login for door in doors]
    login = login_to_look_from(doors)
    measurement = login.measurement
    return {
        "Network": [check for door in doors for check in check_network(door, access.configured)],
        "Login": [
            *([unchecked("login (proxy)", why_not)] if why_not else []),
            *(check_login(each, access) for each in logins),
            *(
                check_writer(each, access.configured)
                for each in logins
                if each.measurement is not None
            ),
            *([check_same_server(logins[0], logins[1])] if len(logins) > 1 else []),
            *check_guard(login, access),
        ],
        "Database": check_server(login, access),
        **_aws_checks(access, facts, measurement.capacity if measurement else None),
    }


def _proxy(access: DatabaseAccess, facts: AwsFacts) -> tuple[Door | None, str | None]:
    """Return the proxy's door; where it is not tried, why, and None for both where there is no
    proxy.
    """
    configured = access.configured
    if configured is None or configured.proxy is None:
        return None, None
    if access.tunnel is not None:
        return None, "--host leads to the database, past the proxy"
    if not access.login.iam:
        return None, "a proxy lets in only IAM tokens: leave out --user and PGPASSWORD"
    host = proxy_endpoint(configured, facts.responder)
    if host is None:
        return None, "the stack, which makes the proxy, is not deployed yet, or not known"
    port = configured.proxy.port if isinstance(configured.proxy, ExistingProxy) else PROXY_PORT
    return Door(DoorName.PROXY, host, port, configured.proxy.role), None


def _aws_checks(access: DatabaseAccess, facts: AwsFacts, capacity: Capacity | None) -> Groups:
    configuration, database = access.configuration, access.configured
    if configuration is None or database is None:
        why = "there is no guard.toml, which names the stack"
        return {"Deployment": [unchecked("AWS", why)]}
    deployment = check_deployment(facts, configuration, database, capacity, datetime.now(UTC))
    is_known = facts.account == configuration.target.account
    notifications = check_notifications(facts, configuration) if is_known else []
    return {"Deployment": deployment, "Notification": notifications}
