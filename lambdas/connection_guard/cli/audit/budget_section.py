"""What the audit finds about the services that guard.toml declares."""

from connection_guard.cli.audit.audit_facts import AuditFacts
from connection_guard.cli.audit.audit_section import AuditSection
from connection_guard.core.budget.observed import Seen, by_service, sessions_by_application
from connection_guard.core.budget.pool_budget import DEFAULT_SHARE, PoolBudget


def services_above_budget(facts: AuditFacts) -> AuditSection:
    """Return the services that may open, or have open, more than leaves room for all of them."""
    usable = facts.snapshot.measurement.capacity.usable
    budget = PoolBudget("", usable, DEFAULT_SHARE, facts.services)
    budgets = _budgets(budget)
    open_now = _open_now(facts)
    above = [
        each
        for each in budget.counted
        if each.connections is None
        or max(each.connections, open_now.get(each.name, 0)) > budgets[each.name]
    ]
    return AuditSection(
        "services_above_budget",
        "Services above their budget",
        f"{budget.in_words().capitalize()}. A service's budget is what its pools may open so that "
        "all of them fit. Make these pools smaller, or run fewer replicas; one whose size is not "
        "known needs `pool_size` in `guard.toml`. `connection-guard budget` shows what each pool "
        "could be.",
        f"{budget.in_words().capitalize()}, and no service has more open than it may."
        if facts.services
        else "`guard.toml` declares no `[[services]]` of this database.",
        {
            "service": "service",
            "may_open": "may open",
            "open_now": "open now",
            "budget": "budget",
        },
        tuple(
            {
                "service": each.name,
                "may_open": "unknown" if each.connections is None else each.connections,
                "open_now": open_now.get(each.name, 0),
                "budget": budgets.get(each.name, "unknown"),
            }
            for each in above
        ),
    )


def _budgets(budget: PoolBudget) -> dict[str, int]:
    """Return what each service of known size may open, so that all fit."""
    known = [each for each in budget.counted if each.connections is not None]
    if not budget.over:
        return {each.name: each.connections or 0 for each in known}
    proposals = budget.proposals()
    if proposals is None:  # Not even one connection per process fits.
        return {each.name: min(each.pools, each.connections or 0) for each in known}
    smaller = {each.service.name: each.connections for each in proposals}
    return {each.name: smaller.get(each.name, each.connections or 0) for each in known}


def _open_now(facts: AuditFacts) -> dict[str, int]:
    applications = sessions_by_application(facts.snapshot.sessions, facts.guard_roles)
    seen = {name: Seen(count, count) for name, count in applications.items()}
    return {name: each.latest for name, each in by_service(facts.services, seen)[0].items()}
