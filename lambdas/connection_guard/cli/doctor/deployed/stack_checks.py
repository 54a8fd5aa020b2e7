"""A deployed guard, as checks: its stack, its functions, its heartbeat and its queues."""

import shlex
from collections.abc import Iterator
from datetime import datetime, timedelta

from connection_guard.cli.doctor.deployed.alarm_checks import check_alarms
from connection_guard.cli.doctor.deployed.rds_checks import check_proxy, check_rds
from connection_guard.cli.doctor.facts.aws_facts import (
    AwsFacts,
    DeadLetterCount,
    DeployedFunction,
    DescribedStack,
)
from connection_guard.cli.doctor.facts.check import Check, Unknown, finding, ok, unchecked
from connection_guard.configuration.guard.guard_configuration import (
    Configuration,
    Database,
    ExistingProxy,
)
from connection_guard.core.database.capacity import Capacity
from connection_guard.core.database.door import Door, DoorName
from connection_guard.core.deployment.reporter_settings import ReporterSettings
from connection_guard.core.deployment.responder_settings import ResponderSettings
from connection_guard.core.words import counted, quoted, shown, spelled

OLDEST_HEARTBEAT = timedelta(minutes=4)
"""One per minute, which CloudWatch shows a minute or two later."""

DEPLOY = "make deploy"


def check_account(facts: AwsFacts, configuration: Configuration) -> Check:
    """Check that the credentials are of the account that guard.toml names."""
    account = configuration.target.account
    if isinstance(facts.account, Unknown):
        return unchecked("AWS", facts.account.why)
    if facts.account != account:
        return finding(
            "AWS",
            f"your credentials are of account {shown(facts.account)}, guard.toml names {account}: "
            "nothing further was asked",
            "export AWS_PROFILE=NAME  # one of `aws configure list-profiles`",
        )
    return ok("AWS", f"account {account}, {configuration.target.region}")


def check_deployment(
    facts: AwsFacts,
    configuration: Configuration,
    database: Database,
    capacity: Capacity | None,
    now: datetime,
) -> list[Check]:
    """Return the checks of what AWS shows. `capacity` is the server's, None where nobody got in."""
    account = check_account(facts, configuration)
    if facts.account != configuration.target.account:
        return [account]
    checks = [
        account,
        check_rds(facts.server, database),
        *([check_proxy(facts, database, capacity)] if database.proxy else []),
    ]
    stack, name = facts.stack, configuration.target.stack_name
    if stack is None:
        checks.append(unchecked("stack", f"{quoted(name)} is not deployed yet", DEPLOY))
    elif isinstance(stack, Unknown):
        checks.append(unchecked("stack", stack.why))
    else:
        checks += [
            check_stack(stack, name),
            *check_function("responder", facts.responder),
            *check_responder_settings(facts.responder, database, configuration.target.region),
            *check_function("reporter", facts.reporter),
            check_heartbeat(facts.heartbeat, facts.responder, now),
            *check_alarms(facts, stack, configuration, database),
            check_queues(facts.queues, facts.reporter),
        ]
    return checks


def check_stack(stack: DescribedStack, name: str) -> Check:
    """Check that the last deployment ended well."""
    status = shown(stack.status)
    if stack.status.endswith("_IN_PROGRESS"):
        return unchecked("stack", f"{quoted(name)} is being changed: {status}")
    if "ROLLBACK" in stack.status or "FAILED" in stack.status:
        return finding(
            "stack",
            f"{quoted(name)} is {status}",
            f"aws cloudformation describe-stack-events --stack-name {shlex.quote(name)}",
            DEPLOY,
        )
    return ok("stack", f"{quoted(name)} is {status}")


def check_function(what: str, function: DeployedFunction | Unknown | None) -> Iterator[Check]:
    """Yield the check of a function: that it can be invoked."""
    if isinstance(function, Unknown):
        yield unchecked(what, function.why)
        return
    if function is None:
        yield finding(what, "the stack has none for this database", DEPLOY)
        return
    states = f"{shown(function.state)}, last update {shown(function.last_update)}"
    is_well = function.state in ("Active", "Inactive") and function.last_update != "Failed"
    if not is_well:
        reason = f": {shown(function.reason)}" if function.reason else ""
        yield finding(what, f"{states}{reason}", DEPLOY)
        return
    yield ok(what, f"{shown(function.name)} is {states}")


def check_responder_settings(
    responder: DeployedFunction | Unknown | None, database: Database, region: str
) -> Iterator[Check]:
    """Yield the check that the responder was deployed with what guard.toml says now."""
    if not isinstance(responder, DeployedFunction):
        return
    settings = responder.settings
    if not isinstance(settings, ResponderSettings):
        older = "another version wrote the responder's settings"
        yield finding("settings of the responder", older, DEPLOY)
        return
    differences = [
        f"{what} is {deployed}, guard.toml says {written}"
        for what, deployed, written in _compared(settings, database, region)
        if deployed != written
    ]
    if differences:
        detail = f"deploy again: {'; '.join(differences)}"
        yield finding("settings of the responder", detail, DEPLOY)
        return
    yield ok("settings of the responder", "as guard.toml says")


def _compared(
    settings: ResponderSettings, database: Database, region: str
) -> Iterator[tuple[str, str, str]]:
    """Yield what can differ: its name, as it is deployed, as it is written."""
    direct = Door(DoorName.DIRECT, database.host, database.port, database.role)
    yield "database_name", quoted(settings.database_name), quoted(database.database_name)
    yield "region", shown(settings.region), region
    yield "the direct door", _place(settings.direct), _place(direct)
    proxy = database.proxy
    if isinstance(proxy, ExistingProxy):
        written = _place(Door(DoorName.PROXY, proxy.host, proxy.port, proxy.role))
        yield "the proxy", _place(settings.proxy), written
    elif proxy is None:
        yield "the proxy", _place(settings.proxy), "none"
    else:
        role = settings.proxy.role if settings.proxy else "none"
        yield "the proxy's role", quoted(role), quoted(proxy.role)
    yield "warning", f"{settings.warning_percent:g}", f"{database.warning_percent:g}"
    yield "critical", f"{settings.critical_percent:g}", f"{database.critical_percent:g}"


def _place(door: Door | None) -> str:
    return "none" if door is None else shown(f"{door.host}:{door.port} as {door.role}")


def check_heartbeat(
    heartbeat: datetime | Unknown | None,
    responder: DeployedFunction | Unknown | None,
    now: datetime,
) -> Check:
    """Check that the responder has looked at the database in the last minutes."""
    if isinstance(heartbeat, Unknown):
        return unchecked("heartbeat", heartbeat.why)
    log = [_log_command(responder)] if isinstance(responder, DeployedFunction) else []
    if heartbeat is None:
        return finding("heartbeat", "none in the last 3 h", *log)
    age = now - heartbeat
    if age > OLDEST_HEARTBEAT:
        return finding("heartbeat", f"the last one is {spelled(age)} old", *log)
    return ok("heartbeat", f"the last one is {spelled(age)} old")


def _log_command(responder: DeployedFunction) -> str:
    """Return what shows the latest lines of the responder. All responders write to one log, each to
    streams that are named after it, and Lambda's own lines have no other name.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-loggroups.html
    """
    group, stream = shlex.quote(responder.log_group), shlex.quote(f"{responder.name}[")
    return f"aws logs tail {group} --since 15m | grep -F {stream}"


def check_queues(
    queues: tuple[DeadLetterCount, ...] | Unknown, reporter: DeployedFunction | Unknown | None
) -> Check:
    """Check that nothing waits that could not be delivered."""
    if isinstance(queues, Unknown):
        return unchecked("dead-letter queues", queues.why)
    waiting = [queue for queue in queues if queue.messages]
    if not waiting:
        return ok("dead-letter queues", f"nothing waits in {counted(len(queues), 'queue')}")
    settings = reporter.settings if isinstance(reporter, DeployedFunction) else None
    unreadable = settings.unreadable_queue if isinstance(settings, ReporterSettings) else None
    what = ", ".join(
        f"{counted(queue.messages, 'message')} in {shown(queue.url.rpartition('/')[2])}"
        for queue in waiting
    )
    commands = [
        "connection-guard redrive"
        if queue.url == unreadable
        else f"aws sqs receive-message --queue-url {shlex.quote(queue.url)}"
        for queue in waiting
    ]
    return finding("dead-letter queues", what, *commands)
