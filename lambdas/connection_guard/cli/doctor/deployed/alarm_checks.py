"""The alarms of a deployed guard, as checks: that they exist, act, and have the thresholds of
guard.toml.
"""

import shlex
from collections.abc import Iterable

from connection_guard.cli.doctor.facts.aws_facts import (
    AwsFacts,
    DeployedAlarm,
    DeployedFunction,
    DescribedStack,
)
from connection_guard.cli.doctor.facts.check import Check, Unknown, finding, ok, unchecked
from connection_guard.configuration.guard.guard_configuration import Configuration, Database
from connection_guard.core.deployment.alarm_names import (
    LIMIT,
    UNGUARDED,
    database_alarm_name,
)
from connection_guard.core.deployment.responder_settings import ResponderSettings
from connection_guard.core.policy import Tier
from connection_guard.core.words import counted, shown


def expected_alarms(
    prefix: str,
    stack: DescribedStack,
    responder: DeployedFunction | Unknown | None,
    database: str,
    databases: Iterable[str],
) -> tuple[str, ...]:
    """Return the names of the alarms that ought to exist: the database's, and those that no other
    of `databases` has.

    CloudFormation lists those that it made. Those on the guard itself and on limits are named also
    where it lists none. `prefix` is what the names of the stack's alarms begin with.
    """
    named = [database_alarm_name(prefix, database, what) for what in (UNGUARDED, LIMIT)]
    names = list(databases)
    made = [
        alarm
        for alarm in stack.resources.get("AWS::CloudWatch::Alarm", ())
        if _database_of(prefix, alarm, names) in (database, None)
    ]
    return tuple(dict.fromkeys([*tiers_of(responder), *named, *made]))


def tiers_of(responder: DeployedFunction | Unknown | None) -> dict[str, Tier]:
    """Return the alarms that engage the responder, by their names."""
    settings = responder.settings if isinstance(responder, DeployedFunction) else None
    if not isinstance(settings, ResponderSettings):
        return {}
    return {arn.rpartition(":")[2]: tier for arn, tier in settings.alarms.items()}


def _database_of(prefix: str, alarm: str, databases: list[str]) -> str | None:
    """Return whose alarm it is: of two databases, one's identifier may begin with the other's."""
    named = (each for each in databases if alarm.startswith(database_alarm_name(prefix, each, "")))
    return max(named, key=len, default=None)


def check_alarms(
    facts: AwsFacts, stack: DescribedStack, configuration: Configuration, database: Database
) -> list[Check]:
    """Return the checks of the alarms."""
    alarms = facts.alarms
    if isinstance(alarms, Unknown):
        return [unchecked("alarms", alarms.why)]
    databases = [each.identifier for each in configuration.databases]
    name = configuration.target.stack_name
    expected = expected_alarms(name, stack, facts.responder, database.identifier, databases)
    return [
        check_existing_alarms(alarms, expected, name),
        check_alarm_actions(alarms),
        check_alarm_states(alarms),
        check_alarm_thresholds(alarms, tiers_of(facts.responder), database),
    ]


def check_existing_alarms(
    alarms: Iterable[DeployedAlarm], expected: Iterable[str], stack: str
) -> Check:
    """Check that each alarm exists that ought to."""
    existing = {alarm.name for alarm in alarms}
    missing = [name for name in expected if name not in existing]
    if missing:
        are = "is" if len(missing) == 1 else "are"
        return finding(
            "alarms",
            f"{counted(len(missing), 'alarm')} of the guard {are} missing: {_listed(missing)}",
            # CloudFormation does not make again by itself what somebody has deleted.
            f"aws cloudformation detect-stack-drift --stack-name {shlex.quote(stack)}",
            "make deploy",
        )
    return ok("alarms", f"all {len(existing)} exist")


def check_alarm_actions(alarms: Iterable[DeployedAlarm]) -> Check:
    """Check that each alarm notifies somebody."""
    mute = [alarm.name for alarm in alarms if not alarm.has_actions]
    if mute:
        return finding(
            "alarm actions",
            f"the actions of {counted(len(mute), 'alarm')} are disabled: {_listed(mute)}",
            f"aws cloudwatch enable-alarm-actions --alarm-names {shlex.join(mute)}",
        )
    return ok("alarm actions", "enabled")


def check_alarm_states(alarms: Iterable[DeployedAlarm]) -> Check:
    """Check that no alarm is on."""
    alarms = list(alarms)
    on = [alarm.name for alarm in alarms if alarm.state == "ALARM"]
    waiting = [alarm.name for alarm in alarms if alarm.state == "INSUFFICIENT_DATA"]
    if on:
        return finding(
            "alarm states",
            f"{counted(len(on), 'alarm')} on: {_listed(on)}",
            f"aws cloudwatch describe-alarms --alarm-names {shlex.join(on)} "
            "--query 'MetricAlarms[].[AlarmName,AlarmDescription,StateReason]'",
        )
    if waiting:
        what = f"no alarm is on; {len(waiting)} without data yet: {_listed(waiting)}"
        return ok("alarm states", what)
    return ok("alarm states", "no alarm is on")


def check_alarm_thresholds(
    alarms: Iterable[DeployedAlarm], tiers: dict[str, Tier], database: Database
) -> Check:
    """Check that the alarms fire where guard.toml says."""
    percent = {Tier.WARNING: database.warning_percent, Tier.CRITICAL: database.critical_percent}
    if not tiers:
        why = "the responder's settings, which name its alarms, are not known"
        return unchecked("alarm thresholds", why)
    others = [
        f"{shown(alarm.name)} at {alarm.threshold:g} %, guard.toml says {percent[tier]:g} %"
        for alarm in alarms
        if (tier := tiers.get(alarm.name)) is not None
        and alarm.threshold is not None
        and alarm.threshold != percent[tier]
    ]
    if others:
        return finding("alarm thresholds", "; ".join(others), "make deploy")
    return ok("alarm thresholds", "as guard.toml says")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(shown(name) for name in names)
