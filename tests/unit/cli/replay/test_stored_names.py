"""A run's report and evidence find each other, in a bucket and in any copy of it."""

import pytest

from connection_guard.cli.replay.stored_names import may_be_evidence, stored_name
from connection_guard.core.policy import Policy
from tests.support.builders import a_policy, a_session
from tests.support.cli.past_runs import a_report, stored_objects

POLICY: Policy = a_policy()


@pytest.mark.parametrize("root", ["", "copy/", "/a/reports/b/"])
def test_both_objects_of_a_run_lead_to_each_other(root: str) -> None:
    report, lines = stored_objects(a_report(a_session(), policy=POLICY))
    names = {stored_name(root + report), stored_name(root + lines)}
    [name] = names
    assert name is not None
    assert (f"{name.report}.json", f"{name.lines}.jsonl.gz") == (root + report, root + lines)
    assert (name.database, name.at) == ("orders-prod", "2026-11-20T030000.000000")


@pytest.mark.parametrize(
    "path", ["report.json", "reports/x.json", "my-reports/database=a/date=2026-11-20/030000-x.json"]
)
def test_another_name_says_nothing(path: str) -> None:
    assert stored_name(path) is None


@pytest.mark.parametrize(
    ("path", "may_be"),
    [
        ("a/report.json", True),
        ("evidence/database=a/x.jsonl.gz", True),
        ("failures/responder/2026/x.json", False),
        ("copy/alarms/x.json", False),
        ("notes.txt", False),
    ],
)
def test_only_what_may_be_evidence_is_looked_at_among_other_files(path: str, may_be: bool) -> None:
    assert may_be_evidence(path) is may_be
