"""policy.toml: what the shipped policy says, and how each mistake is reported."""

from datetime import timedelta
from ipaddress import ip_network
from json import dumps

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connection_guard.configuration.policy.policy_file import SHIPPED_POLICY, parse_policy
from connection_guard.core.database.session import SessionState
from connection_guard.core.decision.decide import decide
from connection_guard.core.policy import Action, Limits, Mode, Policy, Rule, Tier
from connection_guard.errors import ConfigurationError
from tests.support.builders import a_session, a_snapshot
from tests.unit.configuration.cases import the_cases
from tests.unit.configuration.policy.policies import (
    CASES,
    LIMITS,
    STALE_IDLE,
    policy,
    refusal,
    terminating,
)

SHIPPED = SHIPPED_POLICY.read_text(encoding="utf-8")


# What is right


def test_the_shipped_policy_ends_idle_sessions_at_critical_and_only_observes_at_warning() -> None:
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


def test_the_examples_in_the_shipped_policys_comments_work_as_they_are_written() -> None:
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


def test_a_rule_may_have_every_key() -> None:
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


def test_values_may_be_at_their_limits() -> None:
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


@pytest.mark.parametrize(("text", "lines"), the_cases(CASES))
def test_a_mistake_is_reported_in_one_line_with_its_place_and_what_to_write(
    text: str, lines: list[str]
) -> None:
    assert refusal(text) == lines


def test_a_long_value_is_cut_in_the_message() -> None:
    assert refusal(policy(STALE_IDLE.replace("terminate", "x" * 200))) == [
        (
            f'policy.toml: rules[0] "stale idle": action: "{"x" * 76}... is not one of '
            '"terminate", "spare"'
        )
    ]


def test_a_number_that_is_too_long_to_write_is_reported() -> None:
    assert refusal(policy().replace("attempts = 10", f"attempts = 0x{'f' * 5000}")) == [
        (
            "policy.toml: limits: attempts: a number of thousands of digits is not a whole number "
            "from 1 to 1440"
        )
    ]


def test_every_mistake_is_reported_at_once_under_the_name_of_the_file() -> None:
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


def test_a_rule_with_an_unknown_action_is_reported_only_for_what_is_wrong_with_any_action() -> None:
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
def test_any_text_is_refused_in_one_line_per_mistake(text: str) -> None:
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
def test_any_value_is_read_or_refused(rule: dict[str, object], limits: dict[str, object]) -> None:
    text = policy(
        "\n".join(f"{key} = {dumps(value)}" for key, value in rule.items()), limits=LIMITS | limits
    )

    try:
        assert isinstance(parse_policy(text), Policy)
    except ConfigurationError as refused:
        lines = str(refused).split("\n")
        assert all(line.startswith("policy.toml: ") for line in lines)
