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
from connection_guard.core.deployment.alarm_names import alarms_on_same_database
from connection_guard.core.deployment.responder_settings import ResponderSettings
from connection_guard.core.policy import Tier
from connection_guard.core.words import counted, shown


def expected_alarms(
    stack: DescribedStack, responder: DeployedFunction | Unknown | None
) -> tuple[str, ...]:
    """Return the names of the alarms that ought to exist: those on the responder's database, and
    those on no database that CloudFormation lists.
    """
    engaging = tiers_of(responder)
    on_database = (name for each in engaging for name in alarms_on_same_database(each))
    listed = stack.resources.get("AWS::CloudWatch::Alarm", ())
    shared = (name for name in listed if not alarms_on_same_database(name))
    return tuple(dict.fromkeys([*engaging, *on_database, *shared]))


def tiers_of(responder: DeployedFunction | Unknown | None) -> dict[str, Tier]:
    """Return the alarms that engage the responder, by their names."""
    settings = responder.settings if isinstance(responder, DeployedFunction) else None
    return settings.alarm_tiers if isinstance(settings, ResponderSettings) else {}


def check_alarms(
    facts: AwsFacts, stack: DescribedStack, configuration: Configuration, database: Database
) -> list[Check]:
    """Return the checks of the alarms."""
    alarms = facts.alarms
    if isinstance(alarms, Unknown):
        return [unchecked("alarms", alarms.why)]
    expected = expected_alarms(stack, facts.responder)
    return [
        check_existing_alarms(alarms, expected, configuration.target.stack_name),
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
