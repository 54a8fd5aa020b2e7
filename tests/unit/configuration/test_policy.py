"""The policy file: what the shipped one says, how each mistake is refused, and that a refused rule
really is dead.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import timedelta
from ipaddress import ip_network
from itertools import product
from json import dumps
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connection_guard.configuration.policy.consistency import rules_that_never_match
from connection_guard.configuration.policy.policy_file import parse_policy
from connection_guard.core.database.session import Session, SessionState
from connection_guard.core.decision.decide import decide
from connection_guard.core.policy import Action, Limits, Mode, Policy, Protection, Rule, Tier
from connection_guard.errors import ConfigurationError
from tests.support.builders import a_session, a_snapshot

T = TypeVar("T")

SHIPPED = (Path(__file__).parents[3] / "policy.toml").read_text(encoding="utf-8")

TIERS = 'warning = "observe"\ncritical = "enforce"'
STALE_IDLE = 'name = "stale idle"\naction = "terminate"\nstates = ["idle"]\nolder_than = "10m"'
LIMITS = {
    "target": 70,
    "most_per_run": 100,
    "most_per_hour": 300,
    "refuse_above": 50,
    "keep_per_pool": 1,
    "batch_size": 50,
    "pause_between_batches": "1s",
    "watch_for_reconnects": "3s",
    "attempts": 10,
}


def policy(
    *rules: str, tiers: str = TIERS, protect: str = "", limits: Mapping[str, object] = LIMITS
) -> str:
    """A policy in TOML, right but for what a test puts into it."""
    lines = ["[tiers]", tiers, "[protect]", protect, "[limits]"]
    lines += [f"{key} = {dumps(value)}" for key, value in limits.items()]
    for rule in rules or (STALE_IDLE,):
        lines += ["[[rules]]", rule]
    return "\n".join(lines)


def terminating(
    name: str, more: str = "", states: str = '["idle"]', older_than: str = "10m"
) -> str:
    return f'name = "{name}"\naction = "terminate"\nstates = {states}\nolder_than = "{older_than}"\n{more}'


def refusal(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        parse_policy(text)
    return str(refused.value).split("\n")


# What is right


def test_the_shipped_policy_ends_idle_sessions_at_critical_and_only_looks_on_at_warning() -> None:
    shipped = parse_policy(SHIPPED)

    assert shipped.modes == {Tier.WARNING: Mode.OBSERVE, Tier.CRITICAL: Mode.ENFORCE}
    assert [
        (rule.name, rule.action, set(rule.states), rule.older_than) for rule in shipped.rules
    ] == [
        (
            "aborted transactions",
            Action.TERMINATE,
            {SessionState.IDLE_IN_TRANSACTION_ABORTED},
            timedelta(minutes=1),
        ),
        (
            "idle in transaction",
            Action.TERMINATE,
            {SessionState.IDLE_IN_TRANSACTION},
            timedelta(minutes=5),
        ),
        ("stale idle", Action.TERMINATE, {SessionState.IDLE}, timedelta(minutes=10)),
    ]
    for rule in shipped.rules:
        assert rule.tiers == set(Tier)
        assert (rule.roles, rule.databases, rule.applications, rule.clients) == ((), (), (), ())
        assert (rule.even_with_advisory_lock, rule.even_if_listening) == (False, False)
    assert shipped.limits == Limits(
        target_percent=70,
        most_per_run=100,
        most_per_hour=300,
        refuse_above_percent=50,
        keep_per_pool=1,
        batch_size=50,
        pause_between_batches=timedelta(seconds=1),
        watch_for_reconnects=timedelta(seconds=3),
        attempts=10,
    )


@pytest.mark.parametrize(
    "application", ["pg_dump", "pg_dumpall", "pg_restore", "Debezium General", "dba"]
)
def test_the_shipped_policy_spares_backups_replication_and_the_dba_at_work(
    application: str,
) -> None:
    session = a_session(
        application=application, state=SessionState.IDLE_IN_TRANSACTION, idle_for=timedelta(hours=1)
    )

    plan = decide(a_snapshot(session, usable=1), parse_policy(SHIPPED), Tier.CRITICAL)

    assert [(verdict.action, verdict.rule) for verdict in plan.verdicts] == [
        (Action.SPARE, "protect")
    ]


def test_the_examples_in_the_shipped_policys_comments_can_be_used_as_they_stand() -> None:
    lines = [line.removeprefix("# ") for line in SHIPPED.splitlines()]
    examples = [
        "\n".join(lines[start : lines.index("#", start + 1)])
        for start, line in enumerate(lines)
        if line == "[[rules]]" and SHIPPED.splitlines()[start].startswith("#")
    ]

    spared, ended = parse_policy("\n".join([policy(), *examples])).rules[1:]

    assert spared.action is Action.SPARE
    assert SessionState.STARTING not in spared.states
    assert spared.states > {
        SessionState.ACTIVE,
        SessionState.IDLE,
        SessionState.IDLE_IN_TRANSACTION,
    }
    assert spared.older_than == timedelta()
    assert spared.clients == (ip_network("10.0.12.0/24"),)
    assert ended.states == {SessionState.ACTIVE}
    assert ended.tiers == {Tier.CRITICAL}


def test_a_rule_may_name_everything() -> None:
    text = policy(
        terminating(
            "narrow",
            'roles = ["app_*"]\ndatabases = ["shop"]\napplications = ["check?ut", "[ab]*"]\n'
            'clients = ["10.0.0.1", "fd00::/8"]\ntiers = ["warning"]\n'
            "even_with_advisory_lock = true\neven_if_listening = true",
            older_than="1.5h",
        ),
        tiers='warning = "enforce"\ncritical = "observe"',
    )

    (rule,) = parse_policy(text).rules

    assert rule == Rule(
        name="narrow",
        action=Action.TERMINATE,
        states=frozenset({SessionState.IDLE}),
        older_than=timedelta(minutes=90),
        roles=("app_*",),
        databases=("shop",),
        applications=("check?ut", "[ab]*"),
        clients=(ip_network("10.0.0.1/32"), ip_network("fd00::/8")),
        tiers=frozenset({Tier.WARNING}),
        even_with_advisory_lock=True,
        even_if_listening=True,
    )


def test_values_may_go_to_the_very_bounds() -> None:
    longest_name = f'applications = ["{"a" * 63}*", "[]a]", "[!]]"]'
    twenty_pauses = {"most_per_run": 105, "most_per_hour": 105, "batch_size": 5}
    text = policy(
        terminating("x", longest_name, older_than="1s"),
        limits=LIMITS
        | twenty_pauses
        | {"refuse_above": 100, "keep_per_pool": 0, "watch_for_reconnects": "10s"},
    )

    assert parse_policy(text).limits.refuse_above_percent == 100


def test_a_policy_that_observes_everywhere_needs_no_rules() -> None:
    text = policy(tiers='warning = "observe"\ncritical = "observe"').partition("[[rules]]")[0]

    assert parse_policy(text).rules == ()


# What is wrong

IDLE = 'rules[0] "stale idle"'
ADDRESS = 'is not an address or network; write one such as "10.1.2.3", "10.1.0.0/16" or "fd00::/8"'
DURATION = 'is not a duration; write a number and a unit, such as "90s", "10m" or "2h"'
EMPTY = "[] is empty, so the rule could never match; name at least one"
FALLS_TO = "can never match: every session that it names falls to"
RULE_KEYS = (
    "name, action, roles, databases, applications, clients, tiers, states, older_than, "
    "even_with_advisory_lock, even_if_listening"
)
SPARE_CHECKOUT = 'name = "first"\naction = "spare"\napplications = ["check*"]'
STATES = '"active", "idle", "idle in transaction", "idle in transaction (aborted)", "fastpath function call"'

MISTAKES = {
    # the tables
    "TOML": (
        policy().replace('states = ["idle"]', "states = [idle]"),
        (
            'not valid TOML: Invalid value (at line 19, column 11); each key occurs once, to the left of "="; '
            "text is in double quotes, a list in [ ], and each rule begins with [[rules]]"
        ),
    ),
    "unknown table": (policy() + "\n[limit]", 'unknown key "limit"; did you mean "limits"?'),
    "unknown table like none": (
        policy() + "\n[slack]",
        'unknown key "slack"; the keys here are tiers, protect, rules, limits',
    ),
    "table is no table": (
        "protect = 3\n" + policy().replace("[protect]", ""),
        "protect: 3 is not a table; its keys are roles, databases, applications, clients",
    ),
    "rules is one table": (
        policy(tiers='warning = "observe"\ncritical = "observe"').replace("[[rules]]", "[rules]"),
        "rules: a table is not a list of tables; write [[rules]], in two brackets, above each rule",
    ),
    "rule is no table": (
        "rules = [3]\n" + policy().partition("[[rules]]")[0],
        f"rules[0] (counted from 0): 3 is not a table; its keys are {RULE_KEYS}",
    ),
    # tiers
    "missing tier": (
        policy(tiers='critical = "enforce"'),
        'tiers: warning: is missing; write, for example, warning = "observe"',
    ),
    "unknown tier": (
        policy(tiers=TIERS + '\ncritcal = "observe"'),
        'tiers: unknown key "critcal"; did you mean "critical"?',
    ),
    "unknown mode": (
        policy(tiers='warning = "watch"\ncritical = "enforce"'),
        'tiers: warning: "watch" is not one of "observe", "enforce"',
    ),
    "tier enforces nothing": (
        policy(
            terminating("x", 'tiers = ["critical"]'),
            tiers='warning = "enforce"\ncritical = "enforce"',
        ),
        'tiers: warning: "enforce", but no rule terminates at warning; add one, or write "observe"',
    ),
    "no rules at all": (
        policy().partition("[[rules]]")[0],
        (
            'tiers: critical: "enforce", but no rule terminates at critical; add one, or write '
            '"observe"'
        ),
    ),
    # protect
    "unknown protection": (
        policy(protect='application = ["pg_dump"]'),
        'protect: unknown key "application"; did you mean "applications"?',
    ),
    "bad protected client": (
        policy(protect='clients = ["bastion"]'),
        f'protect: clients: "bastion" {ADDRESS}',
    ),
    # rules: what each needs
    "no name": (
        policy(STALE_IDLE.replace('name = "stale idle"', "")),
        'rules[0] (counted from 0): name: is missing; write, for example, name = "stale idle"',
    ),
    "blank name": (
        policy(terminating(" ")),
        'rules[0] " ": name: " " is not a name; write a line of text that reports can show',
    ),
    "name of two lines": (
        policy(terminating("a\\nb")),
        'rules[0] "a\\nb": name: "a\\nb" is not a name; write a line of text that reports can show',
    ),
    "name twice": (
        policy(STALE_IDLE, terminating("stale idle", states='["active"]')),
        (
            'rules[1] "stale idle": name: rules[0] "stale idle" has it as well, and reports tell '
            "rules by name; change one"
        ),
    ),
    "no action": (
        policy(STALE_IDLE.replace('action = "terminate"', "")),
        f'{IDLE}: action: is missing; write, for example, action = "terminate"',
    ),
    "value that goes on and on": (
        policy(STALE_IDLE.replace("terminate", "x" * 200)),
        f'{IDLE}: action: "{"x" * 76}... is not one of "terminate", "spare"',
    ),
    "unknown action": (
        policy(STALE_IDLE.replace('"terminate"', '"kill"')),
        f'{IDLE}: action: "kill" is not one of "terminate", "spare"',
    ),
    "no states": (
        policy(STALE_IDLE.replace('states = ["idle"]', "")),
        f'{IDLE}: states: is missing; write, for example, states = ["idle"]',
    ),
    "no age": (
        policy(STALE_IDLE.replace('older_than = "10m"', "")),
        f'{IDLE}: older_than: is missing; write, for example, older_than = "10m"',
    ),
    # rules: states and ages
    "unknown state": (
        policy(terminating("x", states='["idel"]')),
        f'rules[0] "x": states: "idel" is not one of {STATES}; did you mean "idle"?',
    ),
    "state that is never a victim's": (
        policy(terminating("x", states='["idle", "disabled"]')),
        (
            'rules[0] "x": states: "disabled" sessions are never terminated: what they do cannot be '
            "told; leave it out"
        ),
    ),
    "no state named": (
        policy(terminating("x", states="[]")),
        f'rules[0] "x": states: {EMPTY}, such as "idle"',
    ),
    "state without a list": (
        policy(terminating("x", states='"idle"')),
        'rules[0] "x": states: "idle" is not a list; write ["idle"]',
    ),
    "state in two lists": (
        policy(terminating("x", states='[["idle"]]')),
        f'rules[0] "x": states: a list is not one of {STATES}',
    ),
    "bad duration": (
        policy(terminating("x", older_than="10 minuts")),
        f'rules[0] "x": older_than: "10 minuts" {DURATION}',
    ),
    "duration without a unit": (
        policy(STALE_IDLE.replace('"10m"', "600")),
        f"{IDLE}: older_than: 600 {DURATION}",
    ),
    "negative duration": (
        policy(terminating("x", older_than="-5m")),
        'rules[0] "x": older_than: "-5m" is out of range; write a duration from "1s" to "365d"',
    ),
    "no age to speak of": (
        policy(terminating("x", states='["active"]', older_than="0s")),
        'rules[0] "x": older_than: "0s" is out of range; write a duration from "1s" to "365d"',
    ),
    "age beyond all bounds": (
        policy(terminating("x", older_than="9" * 70 + "d")),
        (
            f'rules[0] "x": older_than: "{"9" * 70}d" is out of range; write a duration from "1s" to '
            f'"365d"'
        ),
    ),
    # rules: whom they match
    "unknown matcher": (
        policy(terminating("x", 'role = ["app"]')),
        'rules[0] "x": unknown key "role"; did you mean "roles"?',
    ),
    "empty list": (
        policy(terminating("x", "databases = []")),
        f'rules[0] "x": databases: {EMPTY}, or leave the key out to match any',
    ),
    "list of numbers": (
        policy(terminating("x", "roles = [3]")),
        'rules[0] "x": roles: 3 is not a name or glob; write one such as "batch" or "batch_*"',
    ),
    "number for a list": (
        policy(terminating("x", "roles = 3")),
        'rules[0] "x": roles: 3 is not a list; write one in [ ]',
    ),
    "empty glob": (
        policy(terminating("x", 'applications = ["a", ""]')),
        (
            'rules[0] "x": applications: "" is not a name or glob; write one such as "batch" or '
            '"batch_*"'
        ),
    ),
    "LIKE pattern for a glob": (
        policy(terminating("x", 'roles = ["batch_%"]')),
        (
            'rules[0] "x": roles: "batch_%" looks like a LIKE pattern or a regular expression; a '
            'glob is "batch_*"'
        ),
    ),
    "regular expression for a glob": (
        policy(terminating("x", 'roles = ["batch_.*"]')),
        (
            'rules[0] "x": roles: "batch_.*" looks like a LIKE pattern or a regular expression; a '
            'glob is "batch_*"'
        ),
    ),
    "an exception below what it is to be an exception from": (
        policy(terminating("x"), 'name = "y"\naction = "spare"\nroles = ["batch"]'),
        (
            'rules[1] "y": spares nobody, since no rule below it terminates; move it above the '
            "rules that it makes an exception from, or remove it"
        ),
    ),
    "open bracket": (
        policy(terminating("x", 'applications = ["web[12"]')),
        (
            'rules[0] "x": applications: "web[12" has a "[" that is never closed; write "[[]" for '
            "the character itself"
        ),
    ),
    "open bracket that looks closed": (
        policy(terminating("x", 'applications = ["web[]"]')),
        (
            'rules[0] "x": applications: "web[]" has a "[" that is never closed; write "[[]" for the '
            "character itself"
        ),
    ),
    "range that runs backwards": (
        policy(terminating("x", 'applications = ["web[9-1]"]')),
        (
            'rules[0] "x": applications: "web[9-1]" has a range that runs backwards and can never '
            "match; turn it round"
        ),
    ),
    "protected application that PostgreSQL stores otherwise": (
        policy(protect='applications = ["Büro*"]'),
        (
            'protect: applications: "Büro*" is not plain ASCII, and PostgreSQL stores other '
            "characters "
            'of an application_name as "?" (14 and 15) or as "\\xNN" (16 and later); write '
            '"B*ro*", which may match '
            "other names, too"
        ),
    ),
    "rule for an application that PostgreSQL stores otherwise": (
        policy(terminating("x", 'applications = ["[äö]ß*-[ab]-\\u0007"]')),
        (
            'rules[0] "x": applications: "[äö]ß*-[ab]-\\u0007" is not plain ASCII, and '
            "PostgreSQL stores "
            'other characters of an application_name as "?" (14 and 15) or as "\\xNN" (16 and '
            "later); write "
            '"*-[ab]-*", which may match other names, too'
        ),
    ),
    "name longer than PostgreSQL keeps": (
        policy(terminating("x", f'applications = ["{"a" * 64}*"]')),
        (
            f'rules[0] "x": applications: "{"a" * 64}*" can never match, since PostgreSQL cuts '
            f"names to 63 bytes; "
            'write a shorter beginning and "*"'
        ),
    ),
    "name whose letters take two bytes each": (
        policy(terminating("x", f'databases = ["{"é" * 32}"]')),
        (
            f'rules[0] "x": databases: "{"é" * 32}" can never match, since PostgreSQL cuts names '
            f"to 63 bytes; "
            'write a shorter beginning and "*"'
        ),
    ),
    "bad client": (
        policy(terminating("x", 'clients = ["10.0.0"]')),
        f'rules[0] "x": clients: "10.0.0" {ADDRESS}',
    ),
    "client is a number": (
        policy(terminating("x", "clients = [10]")),
        f'rules[0] "x": clients: 10 {ADDRESS}',
    ),
    "host bits": (
        policy(terminating("x", 'clients = ["10.0.1.9/16"]')),
        (
            'rules[0] "x": clients: "10.0.1.9/16" has host bits set; '
            'write "10.0.0.0/16", or "10.0.1.9" for that client alone'
        ),
    ),
    "unknown tier in a rule": (
        policy(terminating("x", 'tiers = ["critical", "urgent"]')),
        'rules[0] "x": tiers: "urgent" is not one of "warning", "critical"',
    ),
    "text for a truth": (
        policy(terminating("x", 'even_if_listening = "yes"')),
        (
            'rules[0] "x": even_if_listening: "yes" is neither true nor false; write one of them, '
            "without quotes"
        ),
    ),
    "spare although it listens": (
        policy(STALE_IDLE, f"{SPARE_CHECKOUT}\neven_if_listening = true"),
        (
            'rules[1] "first": even_if_listening: has no meaning where action is "spare", '
            "which spares such sessions as well; leave it out"
        ),
    ),
    # rules that can never match
    "same rule twice": (
        policy(STALE_IDLE, terminating("again")),
        f'rules[1] "again": {FALLS_TO} {IDLE}; move, change or remove it',
    ),
    "exception below its rule": (
        policy(
            STALE_IDLE, terminating("older, and of one role", 'roles = ["app"]', older_than="1h")
        ),
        f'rules[1] "older, and of one role": {FALLS_TO} {IDLE}; move, change or remove it',
    ),
    "locks let go too late": (
        policy(STALE_IDLE, terminating("even with locks", "even_with_advisory_lock = true")),
        f'rules[1] "even with locks": {FALLS_TO} {IDLE}; move, change or remove it',
    ),
    "glob within a glob": (
        policy(SPARE_CHECKOUT, terminating("x", 'applications = ["checkout-?"]')),
        f'rules[1] "x": {FALLS_TO} rules[0] "first"; move, change or remove it',
    ),
    "network within a network": (
        policy(
            STALE_IDLE.replace("10m", "30m") + '\nclients = ["10.0.0.0/8"]',
            terminating("x", 'clients = ["10.9.0.0/16", "10.1.1.1"]', older_than="30m"),
        ),
        f'rules[1] "x": {FALLS_TO} {IDLE}; move, change or remove it',
    ),
    "two rules leave nothing": (
        policy(
            STALE_IDLE,
            terminating("working", states='["active"]'),
            terminating("both", states='["active", "idle"]', older_than="1h"),
        ),
        f'rules[2] "both": {FALLS_TO} {IDLE} and rules[1] "working"; move, change or remove it',
    ),
    "protected role": (
        policy(terminating("x", 'roles = ["batch_1", "batch_2"]'), protect='roles = ["batch_*"]'),
        f'rules[0] "x": {FALLS_TO} [protect]; move, change or remove it',
    ),
    "protected application": (
        policy(terminating("x", 'applications = ["pg_dump"]'), protect='applications = ["pg_*"]'),
        f'rules[0] "x": {FALLS_TO} [protect]; move, change or remove it',
    ),
    "everything protected": (
        policy(protect='databases = ["*"]'),
        f"{IDLE}: {FALLS_TO} [protect]; move, change or remove it",
    ),
    "protected clients": (
        policy(terminating("x", 'clients = ["10.0.0.7"]'), protect='clients = ["10.0.0.0/24"]'),
        f'rules[0] "x": {FALLS_TO} [protect]; move, change or remove it',
    ),
    "Amazon's role": (
        policy(terminating("x", 'roles = ["rdsadmin"]')),
        (
            f'rules[0] "x": {FALLS_TO} the built-in sparing of rdsadmin, rdsproxyadmin, '
            "rdsrepladmin; move, change or remove it"
        ),
    ),
    # limits
    "missing limit": (
        policy(limits={key: value for key, value in LIMITS.items() if key != "batch_size"}),
        "limits: batch_size: is missing; write, for example, batch_size = 50",
    ),
    "unknown limit": (
        policy(limits=LIMITS | {"batchsize": 10}),
        'limits: unknown key "batchsize"; did you mean "batch_size"?',
    ),
    "percentage as text": (
        policy(limits=LIMITS | {"target": "70 %"}),
        'limits: target: "70 %" is not a percentage; write a number from 1 to 100, such as 70',
    ),
    "fraction for a percentage": (
        policy(limits=LIMITS | {"target": 0.7}),
        "limits: target: 0.7 is not a percentage; write a number from 1 to 100, such as 70",
    ),
    "target of nothing": (
        policy(limits=LIMITS | {"target": 0}),
        "limits: target: 0 is not a percentage; write a number from 1 to 100, such as 70",
    ),
    "target of all": (
        policy(limits=LIMITS | {"target": 100}),
        "limits: target: 100 is not below 100; write a number from 1 to below 100",
    ),
    "refusal beyond all": (
        policy(limits=LIMITS | {"refuse_above": 100.5}),
        "limits: refuse_above: 100.5 is not a percentage; write a number from 1 to 100, such as 70",
    ),
    "truth for a percentage": (
        policy(limits=LIMITS | {"refuse_above": True}),
        "limits: refuse_above: true is not a percentage; write a number from 1 to 100, such as 70",
    ),
    "percentage that is no number": (
        policy().replace("target = 70", "target = nan"),
        "limits: target: nan is not a percentage; write a number from 1 to 100, such as 70",
    ),
    "truth for a number": (
        policy(limits=LIMITS | {"keep_per_pool": True}),
        "limits: keep_per_pool: true is not a whole number from 0 to 262143",
    ),
    "negative number": (
        policy(limits=LIMITS | {"keep_per_pool": -1}),
        "limits: keep_per_pool: -1 is not a whole number from 0 to 262143",
    ),
    "fraction": (
        policy(limits=LIMITS | {"attempts": 2.5}),
        "limits: attempts: 2.5 is not a whole number from 1 to 1440",
    ),
    "no attempts": (
        policy(limits=LIMITS | {"attempts": 0}),
        "limits: attempts: 0 is not a whole number from 1 to 1440",
    ),
    "batch too large": (
        policy(limits=LIMITS | {"batch_size": 51}),
        "limits: batch_size: 51 is not a whole number from 1 to 50",
    ),
    "more a run than an hour": (
        policy(limits=LIMITS | {"most_per_run": 301}),
        (
            "limits: most_per_run: 301 is more than most_per_hour allows, 300; lower it, or raise "
            "most_per_hour"
        ),
    ),
    "pauses longer than the run": (
        policy(limits=LIMITS | {"pause_between_batches": "5s", "batch_size": 10}),
        (
            "limits: pause_between_batches: 100 sessions in batches of 10 make 9 pauses, and a run "
            "has 20 s for all of "
            'them; write at most "2222ms", or lower most_per_run'
        ),
    ),
    "pauses just longer than the run": (
        policy(limits=LIMITS | {"most_per_run": 106, "batch_size": 5}),
        (
            "limits: pause_between_batches: 106 sessions in batches of 5 make 21 pauses, and a run "
            "has 20 s for all of "
            'them; write at most "952ms", or lower most_per_run'
        ),
    ),
    "watch too long": (
        policy(limits=LIMITS | {"watch_for_reconnects": "1m"}),
        'limits: watch_for_reconnects: "1m" is out of range; write a duration from "0s" to "10s"',
    ),
    "number too long to write": (
        policy().replace("attempts = 10", f"attempts = 0x{'f' * 5000}"),
        "limits: attempts: a number of thousands of digits is not a whole number from 1 to 1440",
    ),
}


@pytest.mark.parametrize(("text", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_refused_with_its_place_and_what_would_be_right(
    text: str, expected: str
) -> None:
    assert refusal(text) == [f"policy.toml: {expected}"]


def test_every_mistake_is_told_at_once_under_the_name_of_the_file() -> None:
    text = policy(
        terminating("a", 'clients = ["10.0.0.1/8", "nowhere"]', older_than="10 minuts"),
        terminating("b"),
        terminating("c", older_than="20m"),
        tiers='warning = "observe"',
        protect='roles = [""]',
        limits=LIMITS | {"target": 700, "most_per_run": 0},
    )

    with pytest.raises(ConfigurationError) as refused:
        parse_policy(text, source="etc/guard.toml")

    assert [line.partition(": ")[0] for line in str(refused.value).split("\n")] == [
        "etc/guard.toml"
    ] * 8
    assert [line.split(": ")[1:3] for line in str(refused.value).split("\n")] == [
        ["tiers", "critical"],
        ["protect", "roles"],
        ['rules[0] "a"', "clients"],
        ['rules[0] "a"', "clients"],
        ['rules[0] "a"', "older_than"],
        ["limits", "target"],
        ["limits", "most_per_run"],
        ['rules[2] "c"', "can never match"],
    ]


def test_of_a_rule_with_an_unknown_action_nothing_is_said_that_may_not_hold_for_the_right_one() -> (
    None
):
    might_spare = 'name = "a"\naction = "spair"\nroles = ["app"]'
    might_terminate = terminating("b", "even_if_listening = true").replace("terminate", "terminat")

    assert [
        line.split(": ")[2] for line in refusal(policy(STALE_IDLE, might_spare, might_terminate))
    ] == [
        "action",
        "action",
    ]


@given(st.text() | st.text(alphabet="[]{}=\"'.,# \n0x1_eTZ-:abinftrueroleslimits", max_size=60))
@example("[" * 5000)
@example("a = " + "[" * 5000)
@example("[limits.target." + ".".join("a" * 5000) + "]")
@example("a = " + "9" * 5000)
@example("[limits]\nmost_per_run = 0x" + "f" * 5000)
def test_whatever_is_written_is_refused_in_one_line_a_mistake(text: str) -> None:
    assert all(line.startswith("policy.toml: ") for line in refusal(text))


VALUES = st.recursive(
    st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        ["idle", "spare", "terminate", "5m", "-5m", "10.0.0.1/8", "::/0", "a*", "[a", ""]
    ),
    lambda inner: st.lists(inner, max_size=3),
)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "name",
                "action",
                "states",
                "older_than",
                "roles",
                "clients",
                "tiers",
                "even_if_listening",
            ]
        ),
        VALUES,
    ),
    st.dictionaries(st.sampled_from(sorted(LIMITS)), VALUES),
)
def test_whatever_stands_where_a_value_belongs_is_read_or_refused(
    rule: dict[str, object], limits: dict[str, object]
) -> None:
    text = policy(
        "\n".join(f"{key} = {dumps(value)}" for key, value in rule.items()), limits=LIMITS | limits
    )

    try:
        assert isinstance(parse_policy(text), Policy)
    except ConfigurationError as refused:
        assert all(line.startswith("policy.toml: ") for line in str(refused).split("\n"))  # noqa: PT017


# A rule that is refused as one that can never match really is dead

ALL = Limits(1e-9, 262_143, 262_143, 100, 0, 50, timedelta(), timedelta(), 1)
NOTHING = Protection((), (), (), ())
GLOBS = st.sampled_from(
    ["a", "b", "ab", "a*", "*b", "*", "?", "a?", "[ab]", "*[ab]", "[!a]*", "rdsadmin", "rds*"]
)
NETWORKS = st.sampled_from(
    ["10.0.0.0/8", "10.0.0.0/16", "10.0.1.0/24", "10.0.1.10", "::/0", "fd00::1"]
).map(ip_network)
COMMON_STATES = (SessionState.ACTIVE, SessionState.IDLE, SessionState.IDLE_IN_TRANSACTION)


def some(values: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[T, ...]]:
    return st.just(()) | st.lists(values, min_size=1, max_size=2, unique=True).map(tuple)


RULES = st.builds(
    Rule,
    name=st.just("given its name below"),
    action=st.sampled_from(Action),
    states=st.frozensets(st.sampled_from(COMMON_STATES), min_size=1),
    older_than=st.integers(1, 4).map(lambda minutes: timedelta(minutes=minutes)),
    roles=some(GLOBS),
    databases=some(GLOBS),
    applications=some(GLOBS),
    clients=some(NETWORKS),
    tiers=st.frozensets(st.sampled_from(Tier), min_size=1),
    even_with_advisory_lock=st.booleans(),
    even_if_listening=st.booleans(),
)
PROTECTIONS = st.just(NOTHING) | st.builds(
    Protection,
    roles=some(GLOBS),
    databases=some(GLOBS),
    applications=some(GLOBS),
    clients=some(NETWORKS),
)
SESSIONS = [
    a_session(
        state=state,
        idle_for=idle_for,
        role=role,
        database=database,
        application=application,
        client=client,
    )
    for state, idle_for, role, database, application, client in product(
        COMMON_STATES,
        (timedelta(minutes=1), timedelta(minutes=3)),
        ("a", "ab", "rdsadmin"),
        ("b", "ab"),
        ("", "a", "b"),
        ("10.0.1.10", "10.9.9.9", "fd00::1", ""),
    )
]


@st.composite
def alike(draw: st.DrawFn) -> list[Rule]:
    """Rules that differ here and there: rules drawn by themselves seldom cover one another."""
    rules = [draw(RULES)]
    for other in draw(st.lists(RULES, min_size=1, max_size=3)):
        changed = draw(st.sets(st.sampled_from([field.name for field in fields(Rule)]), max_size=3))
        rules.append(replace(rules[0], **{name: getattr(other, name) for name in changed}))
    return rules


def numbered(rules: list[Rule]) -> dict[str, Rule]:
    return {
        f"rules[{place}]": replace(rule, name=f"rules[{place}]") for place, rule in enumerate(rules)
    }


def rules_that_decide(
    rules: dict[str, Rule], protection: Protection, sessions: list[Session], tier: Tier
) -> set[str]:
    enforced = Policy(dict.fromkeys(Tier, Mode.ENFORCE), protection, tuple(rules.values()), ALL)
    return {verdict.rule for verdict in decide(a_snapshot(*sessions), enforced, tier).verdicts}


def refused_as_dead(rules: dict[str, Rule], protection: Protection = NOTHING) -> set[str]:
    return {mistake.partition(": ")[0] for mistake in rules_that_never_match(rules, protection)}


@settings(max_examples=200, deadline=None)
@given(alike(), PROTECTIONS)
def test_a_rule_refused_as_dead_decides_about_no_session(
    rules: list[Rule], protection: Protection
) -> None:
    places = numbered(rules)
    dead = refused_as_dead(places, protection)

    for tier in Tier:
        assert not rules_that_decide(places, protection, SESSIONS, tier) & dead


NAMES = ["".join(letters) for length in range(4) for letters in product("ab-]!", repeat=length)]
TRICKY_GLOBS = st.lists(
    st.sampled_from(["a", "b", "*", "?", "[ab]", "[!a]", "[]a]", "[a-b]", "]", "!", "-"]),
    max_size=4,
)


@given(TRICKY_GLOBS.map("".join).filter(bool), TRICKY_GLOBS.map("".join).filter(bool))
@example("*a*", "[ab]")
@example("[!a]", "?")
@example("[!a]*", "*")
@example("*]", "[]]")
def test_a_glob_refused_as_covered_matches_no_name_of_its_own(covering: str, covered: str) -> None:
    anything = parse_policy(policy()).rules[0]
    places = numbered([replace(anything, applications=(glob,)) for glob in (covering, covered)])
    sessions = [a_session(application=name, idle_for=timedelta(hours=1)) for name in NAMES]

    assert not rules_that_decide(places, NOTHING, sessions, Tier.CRITICAL) & refused_as_dead(places)


@given(RULES, st.data())
def test_a_rule_that_only_narrows_an_earlier_one_is_refused(
    rule: Rule, data: st.DataObject
) -> None:
    narrower = replace(
        rule,
        states=frozenset({min(rule.states)}),
        older_than=rule.older_than + timedelta(minutes=data.draw(st.integers(0, 3))),
        roles=rule.roles[:1] or data.draw(some(GLOBS)),
        applications=rule.applications[:1] or data.draw(some(GLOBS)),
        clients=rule.clients[:1] or data.draw(some(NETWORKS)),
        tiers=frozenset({min(rule.tiers)}),
    )

    assert "rules[1]" in refused_as_dead(numbered([rule, narrower]))


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ('applications = ["check*"]', 'applications = ["check*", "cart"]'),
        (
            'applications = ["web?"]',
            'applications = ["web1"]',
        ),  # covered in truth, but not looked for
        ('applications = ["web-[ab]"]', 'applications = ["web-*"]'),
        ('roles = ["app"]', 'databases = ["shop"]'),
        ('databases = ["shop"]', 'roles = ["app"]'),
        ('clients = ["10.0.0.0/8"]', 'clients = ["10.0.0.0/7"]'),
        ('clients = ["0.0.0.0/0", "::/0"]', ""),  # a client on a Unix socket has no address
        ('tiers = ["warning"]', ""),
    ],
)
def test_a_rule_that_may_have_sessions_of_its_own_is_left_alone(earlier: str, later: str) -> None:
    assert (
        len(
            parse_policy(policy(terminating("earlier", earlier), terminating("later", later))).rules
        )
        == 2
    )


def test_an_older_age_first_leaves_the_younger_sessions_to_a_later_rule() -> None:
    text = policy(terminating("old", older_than="1h"), terminating("young", older_than="5m"))

    assert [rule.name for rule in parse_policy(text).rules] == ["old", "young"]
