"""Find values that are right by themselves but make no sense together: limits that contradict one
another, rules that can never match.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from ipaddress import IPv4Network, IPv6Network
from itertools import product
from math import ceil

from connection_guard.adapters.postgresql.roles import AMAZON_ROLES
from connection_guard.configuration.policy.matchers import BRACKETS
from connection_guard.core.database.session import SessionState
from connection_guard.core.policy import Action, Limits, Mode, Policy, Protection, Rule, Tier

# The pauses of one run, which ends within a minute, before the next heartbeat.
LONGEST_PAUSES = timedelta(seconds=20)


def contradictory_limits(limits: Limits) -> Iterator[str]:
    """Yield what is wrong between two limits."""
    if limits.most_per_run > limits.most_per_hour:
        yield (
            f"limits: most_per_run: {limits.most_per_run} is more than most_per_hour, "
            f"{limits.most_per_hour}; lower it, or raise most_per_hour"
        )
    pauses = ceil(limits.most_per_run / limits.batch_size) - 1
    if pauses * limits.pause_between_batches > LONGEST_PAUSES:
        longest = LONGEST_PAUSES // timedelta(milliseconds=1) // pauses
        yield (
            f"limits: pause_between_batches: {limits.most_per_run} sessions in batches of "
            f"{limits.batch_size} need {pauses} pauses, and a run has {LONGEST_PAUSES.seconds} s "
            f'for all of them; write at most "{longest}ms", or lower most_per_run'
        )


def target_not_below_warning(policy: Policy, warning_percent: float) -> str | None:
    """Return what is wrong with the policy's target beside the warning alarm's threshold, None
    where nothing is.
    """
    target = policy.limits.target_percent
    if target < warning_percent:
        return None
    return (
        f"limits: target: {target:g} is not below the warning alarm at {warning_percent:g} %, "
        "which would never clear; lower it, or raise warning"
    )


def rules_that_spare_in_vain(rules: Mapping[str, Rule]) -> Iterator[str]:
    """Yield a mistake for each rule that spares with no rule below it that terminates.

    The first match decides, so a rule that spares is an exception to those below it.
    """
    is_above_termination = False
    for place, rule in reversed(list(rules.items())):
        if rule.action is Action.TERMINATE:
            is_above_termination = True
        elif not is_above_termination:
            yield (
                f"{place}: spares nothing, because no rule below it terminates; move it above the "
                "rules to which it is an exception, or remove it"
            )


def tiers_that_enforce_nothing(modes: Mapping[Tier, Mode], rules: Iterable[Rule]) -> Iterator[str]:
    """Yield a mistake for each tier that enforces without a rule that terminates."""
    terminating = {tier for rule in rules if rule.action is Action.TERMINATE for tier in rule.tiers}
    for tier, mode in modes.items():
        if mode is Mode.ENFORCE and tier not in terminating:
            yield (
                f'tiers: {tier}: "enforce", but no rule terminates at {tier}; add one, or write '
                '"observe"'
            )


def names_used_twice(rules: Mapping[str, Rule]) -> Iterator[str]:
    """Yield a mistake for each rule that has the name of an earlier one.

    `rules` maps the place of each to it, in order.
    """
    places: dict[str, str] = {}
    for place, rule in rules.items():
        if places.setdefault(rule.name, place) != place:
            yield (
                f"{place}: name: {places[rule.name]} has the same name, and reports identify rules "
                "by name; change one"
            )


def rules_that_never_match(rules: Mapping[str, Rule], protection: Protection) -> Iterator[str]:
    """Yield a mistake for each rule to which everything above it certainly leaves no session.

    `rules` maps the place of each to it, in order.
    """
    amazon = f"the built-in protection of {', '.join(sorted(AMAZON_ROLES))}"
    protections = {amazon: Protection(tuple(AMAZON_ROLES), (), (), ()), "[protect]": protection}
    earlier: dict[str, Rule] = {}
    for place, rule in rules.items():
        if deciders := _deciders(rule, protections, earlier):
            names = " and ".join(name for name in (*protections, *earlier) if name in deciders)
            yield (
                f"{place}: can never match: every session that it names is already decided by "
                f"{names}; move, change or remove it"
            )
        earlier[place] = rule


@dataclass(frozen=True, slots=True)
class _Part:
    """One combination of what a rule names; a client of None is any."""

    state: SessionState
    tier: Tier
    role: str
    database: str
    application: str
    client: IPv4Network | IPv6Network | None
    older_than: timedelta


def _parts(rule: Rule) -> Iterator[_Part]:
    combinations = product(
        rule.states,
        rule.tiers,
        rule.roles or ("*",),
        rule.databases or ("*",),
        rule.applications or ("*",),
        rule.clients or (None,),
    )
    return (_Part(*combination, rule.older_than) for combination in combinations)


def _deciders(
    rule: Rule, protections: Mapping[str, Protection], earlier: Mapping[str, Rule]
) -> set[str]:
    """Return the names of what decides about every session of the rule, none where it may have
    some to itself.
    """
    deciders: set[str] = set()
    for part in _parts(rule):
        decider = _decider(part, protections, earlier)
        if decider is None:
            return set()
        deciders.add(decider)
    return deciders


def _decider(
    part: _Part, protections: Mapping[str, Protection], earlier: Mapping[str, Rule]
) -> str | None:
    """Return the name of what certainly decides about every session of the part, None where nothing
    certainly does.
    """
    for name, protection in protections.items():
        if _protects(protection, part):
            return name
    for name, rule in earlier.items():
        if _matches(rule, part):
            return name
    return None


def _protects(protection: Protection, part: _Part) -> bool:
    return (
        _any_glob_covers(protection.roles, part.role)
        or _any_glob_covers(protection.databases, part.database)
        or _any_glob_covers(protection.applications, part.application)
        or _any_network_covers(protection.clients, part.client)
    )


def _matches(rule: Rule, part: _Part) -> bool:
    return (
        part.state in rule.states
        and part.tier in rule.tiers
        and rule.older_than <= part.older_than
        and (not rule.roles or _any_glob_covers(rule.roles, part.role))
        and (not rule.databases or _any_glob_covers(rule.databases, part.database))
        and (not rule.applications or _any_glob_covers(rule.applications, part.application))
        and (not rule.clients or _any_network_covers(rule.clients, part.client))
    )


def _any_glob_covers(globs: Iterable[str], covered: str) -> bool:
    return any(_glob_covers(glob, covered) for glob in globs)


def _glob_covers(glob: str, covered: str) -> bool:
    """Return whether everything that `covered` matches certainly matches `glob` too.

    Only a "*" of `glob` can cover a wildcard of `covered`: compared as plain characters, nothing
    else matches one.
    """
    if "?" in glob or "[" in glob:
        return glob == covered
    return fnmatchcase(BRACKETS.sub("?", covered), glob)


def _any_network_covers(
    networks: Iterable[IPv4Network | IPv6Network], covered: IPv4Network | IPv6Network | None
) -> bool:
    return covered is not None and any(
        covered.network_address in network and network.prefixlen <= covered.prefixlen
        for network in networks
    )
