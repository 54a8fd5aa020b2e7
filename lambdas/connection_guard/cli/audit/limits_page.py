"""The page of documentation about a database's connection limits, from what is true."""

from collections.abc import Iterator
from math import ceil
from typing import Any

from connection_guard.cli.access.database_access import DatabaseAccess
from connection_guard.cli.audit.audit_facts import AuditFacts
from connection_guard.cli.audit.audit_markdown import cell, code_span, table
from connection_guard.core.decision.decide import most_sessions_below_target
from connection_guard.core.policy import Action, Mode, Policy, Rule, Tier
from connection_guard.core.words import counted, spelled

_DOES = {
    Mode.OBSERVE: "reports what it would terminate, and terminates nothing",
    Mode.ENFORCE: "terminates sessions by the rules below",
}


def limits_document(access: DatabaseAccess, facts: AuditFacts) -> dict[str, Any]:
    """Return the figures of the page."""
    capacity = facts.snapshot.measurement.capacity
    return {
        "max_connections": capacity.max_connections,
        "reservations": dict(capacity.reservations),
        "usable": capacity.usable,
        "warning_at": _at(access.warning_percent, capacity.usable),
        "critical_at": _at(access.critical_percent, capacity.usable),
        "target_percent": access.policy.limits.target_percent,
        "role_limits": {
            role.name: role.limit for role in facts.settings.roles if role.limit is not None
        },
        "database_limits": dict(facts.settings.database_limits),
    }


def _at(percent: float, usable: int) -> int:
    return ceil(usable * percent / 100)


def limits_page(access: DatabaseAccess, facts: AuditFacts) -> str:
    """Return the page as Markdown."""
    taken_at = facts.snapshot.taken_at
    version = code_span(facts.snapshot.measurement.server.version)
    written = (
        f"This page was written from the database on {taken_at:%Y-%m-%d %H:%M} UTC (PostgreSQL "
        f"{version}) by `connection-guard audit --limits-page`. Write it anew after a change of "
        "the instance class, of the parameter group or of the policy."
    )
    parts = (
        f"# Connection limits of {code_span(access.name)}",
        written,
        "## How many connections there are",
        *_numbers(access, facts),
        "## Limits of roles and databases",
        _limits(facts),
        "## What happens when they run out",
        *_policy(access.policy),
        "## Whom to ask",
        _whom(access),
    )
    return "\n\n".join(parts) + "\n"


def _numbers(access: DatabaseAccess, facts: AuditFacts) -> Iterator[str]:
    capacity = facts.snapshot.measurement.capacity
    usable = capacity.usable
    rows = [("`max_connections`", str(capacity.max_connections))]
    rows += [
        (f"kept by `{setting}`", f"-{kept}")
        for setting, kept in capacity.reservations.items()
        if kept
    ]
    rows.append(("**usable by applications**", f"**{usable}**"))
    target = access.policy.limits
    rows += [
        (f"warning, at {access.warning_percent:g} %", str(_at(access.warning_percent, usable))),
        (f"critical, at {access.critical_percent:g} %", str(_at(access.critical_percent, usable))),
        (
            f"the guard stops below {target.target_percent:g} %, that is at",
            str(most_sessions_below_target(usable, target)),
        ),
    ]
    yield table(("what", "connections"), rows)
    yield (
        f"Client number {usable + 1} is refused, with `sorry, too many clients already` or "
        "`remaining connection slots are reserved`. All pools of all instances of all services "
        "share these connections: the sum of `(pool size + overflow) * processes * instances` has "
        "to stay below the warning."
    )


def _limits(facts: AuditFacts) -> str:
    rows = [
        (cell(role.name), "role", str(role.limit))
        for role in facts.settings.roles
        if role.limit is not None
    ]
    rows += [
        (cell(name), "database", str(limit))
        for name, limit in facts.settings.database_limits.items()
    ]
    if not rows:
        return "No role and no database has a limit of its own."
    return table(("name", "of", "connections at most"), rows)


def _policy(policy: Policy) -> Iterator[str]:
    limits = policy.limits
    yield "\n".join(
        f"- At **{tier}**, Connection Guard {_DOES[policy.modes[tier]]}." for tier in Tier
    )
    yield "The first rule that matches a session decides, and no match spares it:"
    yield "\n".join(f"{n}. {_rule(rule)}" for n, rule in enumerate(policy.rules, start=1))
    yield "Never terminated are: " + "; ".join(_protected(policy)) + "."
    yield (
        f"A run terminates {limits.most_per_run} sessions at most, and all runs "
        f"{limits.most_per_hour} per hour; it refuses a plan for more than "
        f"{limits.refuse_above_percent:g} % of all sessions, and leaves each pool the "
        f"{counted(limits.keep_per_pool, 'session')} that it used last. The largest pool gives "
        "first."
    )


def _rule(rule: Rule) -> str:
    does = "terminates" if rule.action is Action.TERMINATE else "spares"
    states = " or ".join(sorted(rule.states))
    of = [
        f"of {what} {', '.join(code_span(str(each)) for each in globs)}"
        for what, globs in (
            ("role", rule.roles),
            ("database", rule.databases),
            ("application", rule.applications),
            ("client", rule.clients),
        )
        if globs
    ]
    at = "" if rule.tiers == frozenset(Tier) else f", only at {', '.join(sorted(rule.tiers))}"
    who = " ".join(["sessions", *of])
    return (
        f"{code_span(rule.name)} {does} {who} that are {states} for {spelled(rule.older_than)}{at}"
    )


def _protected(policy: Policy) -> Iterator[str]:
    yield "superusers, Amazon's own sessions and replication"
    protection = policy.protection
    for what, globs in (
        ("roles", protection.roles),
        ("databases", protection.databases),
        ("applications", protection.applications),
        ("clients", protection.clients),
    ):
        if globs:
            yield f"{what} {', '.join(code_span(str(each)) for each in globs)}"
    yield "holders of advisory locks and listeners, unless a rule says otherwise"


def _whom(access: DatabaseAccess) -> str:
    database = access.configured
    known = {
        "Owner": code_span(database.owner.name) if database and database.owner else None,
        "Runbook": f"<{database.runbook}>" if database and database.runbook else None,
        "Environment": code_span(database.environment)
        if database and database.environment
        else None,
    }
    lines = [f"- {name}: {value}" for name, value in known.items() if value]
    return "\n".join(lines) or (
        "`guard.toml` names nobody: add `owner` and `runbook` to the database's table."
    )
