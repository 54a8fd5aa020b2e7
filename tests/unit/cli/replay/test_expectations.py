"""A file says what a policy has to do with saved evidence, and each mismatch is a line."""

from datetime import timedelta

import pytest

from connection_guard.cli.replay.expectations import (
    ExpectationCheck,
    read_expectations,
    written_expectation,
    written_header,
)
from connection_guard.core.policy import Tier
from connection_guard.core.replay.aftermath import Aftermath
from connection_guard.core.replay.replaying import Replayed, replayed
from connection_guard.errors import ConfigurationError
from tests.support.builders import a_policy, a_rule, a_session
from tests.support.cli.past_runs import a_report, looked

NAME = "reports/database=orders-prod/date=2026-11-20/030000.000000-6fb81a4e.json"
HOUR = timedelta(hours=1)


@pytest.fixture
def again() -> Replayed:
    """Return a run of which the sessions 11 and 12 of "checkout" and 13 of "jobs" go."""
    policy = a_policy(a_rule("the [stale]", older_than=HOUR / 2), target_percent=1)
    sessions = [
        a_session(pid=11, idle_for=HOUR),
        a_session(pid=12, idle_for=HOUR),
        a_session(pid=13, idle_for=HOUR, application="jobs", role="batch"),
        a_session(pid=14, idle_for=HOUR / 60),
    ]
    run = looked(a_report(*sessions, policy=policy))
    return replayed(run, policy, Tier.CRITICAL, Aftermath(), ())


def mismatches(text: str, again: Replayed) -> list[str]:
    check = ExpectationCheck(read_expectations(text, "expect.toml"))
    check.look(NAME, again)
    return check.mismatches()


@pytest.mark.parametrize(
    "expected",
    [
        "terminates = 3",
        "pids = [13, 11, 12]",
        'applications = ["checkout"]\nterminates = 2',
        'roles = ["b*"]\npids = [13]',
        'applications = ["flyway*"]\nat_most = 0',
        'applications = ["checkout", "jobs"]\nat_least = 3',
        'evidence = "030000.000000-*.json"\npids = [11, 12, 13]',
        'evidence = "*/database=orders-prod/*"\nat_least = 1',
    ],
)
def test_what_is_as_expected_is_no_line(again: Replayed, expected: str) -> None:
    assert mismatches(f"[[expect]]\n{expected}", again) == []


@pytest.mark.parametrize(
    ("expected", "line"),
    [
        ("terminates = 2", "expect[0]: terminates 3, expected 2"),
        (
            'name = "never jobs"\napplications = ["jobs"]\nat_most = 0',
            'expect[0] "never jobs": terminates 1, expected at most 0',
        ),
        (
            'applications = ["checkout"]\nat_least = 3',
            "expect[0]: terminates 2, expected at least 3",
        ),
        ("pids = [11, 12]", f"expect[0]: {NAME}: terminates pids that are not expected: 13"),
        (
            "pids = [11, 12, 13, 14, 15]",
            f"expect[0]: {NAME}: spares pids that are expected: 14, 15",
        ),
        (
            'evidence = "of-last-year/*"\nat_most = 0',
            "expect[0]: no evidence that was decided is named 'of-last-year/*'",
        ),
    ],
)
def test_each_mismatch_is_a_line(again: Replayed, expected: str, line: str) -> None:
    assert mismatches(f"[[expect]]\n{expected}", again) == [line]


def test_counts_are_of_all_the_evidence_and_pids_of_each(again: Replayed) -> None:
    text = "[[expect]]\nterminates = 6\n[[expect]]\npids = [11, 12, 13]"
    check = ExpectationCheck(read_expectations(text, "expect.toml"))
    check.look("a.json", again)
    check.look("b.json", again)
    assert check.mismatches() == []


@pytest.mark.parametrize("name", [NAME, 'odd "[name]" \\ é\x7f.json', f"s3://bucket/{NAME}"])
def test_what_is_written_expects_exactly_the_present_result(again: Replayed, name: str) -> None:
    text = written_header() + written_expectation(name, again)
    check = ExpectationCheck(read_expectations(text, "expect.toml"))
    check.look(name, again)
    assert check.mismatches() == []
    assert '3 of 4 sessions: 3 by "the [stale]"' in text
    assert "[11, 12, 13]" in text


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "expect.toml: expect: is missing"),
        ("expect = 3", "expect.toml: expect: is missing"),
        ("expect = [3]", "expect.toml: expect[0]: 3 is not a table"),
        ("[[expect]]\nat_mots = 1", 'expect[0]: unknown key "at_mots"; did you mean "at_most"?'),
        ("[[expect]]\nname = 'x'", "expect[0]: says nothing; write one of terminates"),
        ("[[expect]]\nat_most = -1", "expect[0]: at_most: -1 is not a whole number"),
        ("[[expect]]\npids = 7", "expect[0]: pids: 7 is not a list"),
        ("[expect", "expect.toml: not valid TOML"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, mistake: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_expectations(text, "expect.toml")
    assert mistake in str(refused.value)
