"""The lab of real clients must not claim that all is true where something is not."""

from dataclasses import replace
from typing import Any

import pytest

from clients.findings_table import BEGIN, END, PAGE, page_lines
from clients.lab.truth import Findings, Row, Run, Said, Truth, Uses, judge


def a_run(
    *, cause: str = "leak", owner: str = "shop", escalation: str | None = None, advice: str = ""
) -> Run:
    """Return a run that terminated 16 of 50 sessions and found one cause."""
    return Run(
        50, 16, 34, "50 of 50 in use", None, None, escalation, (Said(cause, owner, "", advice),)
    )


def some_findings(**changes: Any) -> Findings:
    """Return what is found where all is right: of 32 sessions of shop, which leaks, 16 are gone."""
    found = Findings(
        held={"shop": 32, "quiet": 4},
        ended={"shop": 16},
        lost={},
        left={"shop@0": 8, "shop@1": 8, "quiet@2": 4},
        runs=(a_run(),),
        seconds=3.0,
        served=True,
        first=Uses(8, 0),
        later=Uses(8, 0),
        at_work=Uses(100, 0),
    )
    return replace(found, **changes)


TRUTH = Truth(
    ended={"shop": (16, 16)},
    causes=("leak",),
    owner="shop",
    none_of=("genuine load",),
    all_keep_one=True,
    even=("shop",),
    first_errors=0,
)


def broken(truth: Truth, found: Findings) -> list[str]:
    return [claim.claim for claim in judge(truth, found) if not claim.holds]


def test_a_row_holds_where_every_claim_is_true() -> None:
    row = Row("leak", "psycopg2", 18, some_findings(), judge(TRUTH, some_findings()))

    assert row.holds
    assert broken(TRUTH, some_findings()) == []


@pytest.mark.parametrize(
    ("changes", "claim"),
    [
        ({"ended": {"shop": 15}}, "shop loses 16"),
        ({"ended": {"shop": 17}}, "shop loses 16"),
        ({"ended": {"shop": 16, "quiet": 1}}, "quiet loses 0"),
        ({"ended": {"shop": 16, "stranger": 1}}, "stranger loses 0"),
        ({"left": {"shop@0": 0, "shop@1": 1}}, "no process loses its last session"),
        ({"left": {"shop@0": 1, "shop@1": 3}}, "the processes of shop lose evenly"),
        ({"served": False}, "a new client is served"),
        ({"runs": (a_run(escalation="10 attempts"),)}, "no action required"),
        ({"runs": (a_run(cause="oversized pools"),)}, "first cause: leak"),
        ({"runs": (replace(a_run(), diagnoses=()),)}, "first cause: leak"),
        ({"runs": (a_run(owner="quiet"),)}, "it is shop's"),
        ({"runs": (a_run(), replace(a_run(cause="genuine load"), used=40))}, "never: genuine load"),
        (
            {"runs": (a_run(), a_run(cause="oversized pools"))},
            "the same cause while nothing changes",
        ),
        ({"at_work": Uses(100, 1)}, "no errors at work"),
        ({"first": Uses(8, 1)}, "at most 0 errors on first use"),
        ({"later": Uses(8, 1)}, "no errors later"),
        ({"crashed": ("shop",), "lost": {"shop": 16}}, "some report names: ended by themselves"),
        ({"lost": {"quiet": 1}}, "the report names all of quiet that went"),
    ],
)
def test_a_row_fails_where_one_claim_is_not_true(changes: dict[str, Any], claim: str) -> None:
    found = some_findings(**changes)

    assert broken(TRUTH, found) == [claim]
    assert not Row("leak", "psycopg2", 18, found, judge(TRUTH, found)).holds


def test_a_row_fails_where_people_are_notified_too_late_or_wrongly() -> None:
    late = some_findings(runs=(a_run(), a_run(escalation="10 attempts")))
    paused = some_findings(runs=(replace(a_run(), restraint="paused"),))
    helpless = some_findings(runs=(a_run(advice="most often after: COMMIT"),))

    assert broken(replace(TRUTH, heard=1), late) == ["action required with report 1"]
    assert len(broken(TRUTH, helpless)) == 1
    assert broken(replace(TRUTH, says=("[Rr]estart",)), some_findings()) == ["says: [Rr]estart"]
    assert broken(replace(TRUTH, never_restrained=("paused",)), paused) == ["never: paused"]
    assert broken(replace(TRUTH, sooner_or_later=("storm",)), some_findings()) == [
        "sooner or later: storm"
    ]


def test_a_row_that_could_not_be_measured_fails_unless_its_library_is_not_installed() -> None:
    assert not Row("leak", "psycopg2", 18, problem="its process has ended").holds
    assert not Row("leak", "psycopg2", 18, some_findings()).holds
    assert Row("leak", "ActiveRecord", 18, problem="not installed: ruby", is_unavailable=True).holds


def test_the_page_shows_the_worst_that_was_measured_of_a_client() -> None:
    rows = [
        Row("idle pool", "SQLAlchemy", 14, some_findings(first=Uses(48, 0))),
        Row("idle pool", "SQLAlchemy", 18, some_findings(first=Uses(48, 3))),
        Row("leak on demand", "SQLAlchemy", 18, some_findings(restart=True)),
        Row("idle pool", "node-postgres", 18, some_findings(crashed=("shop",))),
        Row("idle pool", "ActiveRecord", 18, problem="not installed: ruby", is_unavailable=True),
    ]

    _, _, sqlalchemy, node, _ = page_lines(rows)

    assert "| SQLAlchemy | no | 3 on first use | restart" in sqlalchemy
    assert "**the process crashes**" in node


def test_the_page_has_its_place_for_the_table() -> None:
    text = PAGE.read_text(encoding="utf-8")

    assert text.index(BEGIN) < text.index(END)
