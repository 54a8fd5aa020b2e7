"""A rule that is refused because it can never match really decides about no session."""

from dataclasses import fields, replace
from datetime import timedelta
from ipaddress import ip_network
from itertools import product
from typing import TypeVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connection_guard.configuration.policy.consistency import rules_that_never_match
from connection_guard.configuration.policy.policy_file import parse_policy
from connection_guard.core.database.session import Session, SessionState
from connection_guard.core.decision.decide import decide
from connection_guard.core.policy import Action, Limits, Mode, Policy, Protection, Rule, Tier
from tests.support.builders import a_session, a_snapshot
from tests.unit.configuration.policy.policies import policy, terminating

T = TypeVar("T")

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
        # Covered in truth, but not looked for.
        ('applications = ["web?"]', 'applications = ["web1"]'),
        ('applications = ["web-[ab]"]', 'applications = ["web-*"]'),
        ('roles = ["app"]', 'databases = ["shop"]'),
        ('databases = ["shop"]', 'roles = ["app"]'),
        ('clients = ["10.0.0.0/8"]', 'clients = ["10.0.0.0/7"]'),
        # A client on a Unix socket has no address.
        ('clients = ["0.0.0.0/0", "::/0"]', ""),
        ('tiers = ["warning"]', ""),
    ],
)
def test_a_rule_that_may_have_sessions_of_its_own_is_not_refused(earlier: str, later: str) -> None:
    assert (
        len(
            parse_policy(policy(terminating("earlier", earlier), terminating("later", later))).rules
        )
        == 2
    )


def test_an_older_age_first_leaves_the_younger_sessions_to_a_later_rule() -> None:
    text = policy(terminating("old", older_than="1h"), terminating("young", older_than="5m"))

    assert [rule.name for rule in parse_policy(text).rules] == ["old", "young"]
