"""What a person sees of a look: readable at any size, and only text."""

from datetime import timedelta
from io import StringIO

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from connection_guard.cli.live.live_look import Judgement, LiveLook, judged
from connection_guard.cli.live.live_table import usage_lines, who
from connection_guard.cli.live.plan_document import is_finding, plan_document
from connection_guard.cli.live.plan_tables import MOST_GROUPS, plan_tables
from connection_guard.cli.live.top_screen import top_document, top_screen
from connection_guard.core.database.session import Session
from connection_guard.core.policy import Mode, Tier
from tests.support.builders import a_policy, a_session, a_snapshot
from tests.support.runs import a_crowd
from tests.support.symptoms import forgotten_transaction, leaked, waiting

HOSTILE = "\x1b[2J\x9b31m[red]漢字漢字\u202e\n[/]"


def a_look(*sessions: Session, usable: int = 97) -> LiveLook:
    judgement = Judgement(a_policy(), Tier.CRITICAL, 75, 90, ("connection_guard",))
    return judged("orders-prod", a_snapshot(*sessions, usable=usable), judgement)


def drawn(*parts: RenderableType, width: int) -> list[str]:
    """Return the lines that a terminal of that width shows."""
    console = Console(file=StringIO(), width=width, height=50, highlight=False)
    for part in parts:
        console.print(part)
    file = console.file
    assert isinstance(file, StringIO)
    return file.getvalue().splitlines()


def of_screen(look: LiveLook, width: int, height: int) -> list[str]:
    return drawn(top_screen(look, top_document(look), width, height), width=width)


LOOKS = {
    "calm": a_look(a_session()),
    "empty": a_look(),
    "leak": a_look(*leaked(97)),
    "queue": a_look(forgotten_transaction(1), *waiting(90, behind=1)),
    "crowd": a_look(*a_crowd(400), usable=400),
    "hostile": a_look(*(a_session(application=HOSTILE, role=HOSTILE) for _ in range(97))),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
@pytest.mark.parametrize("width", [40, 50, 80, 100, 200])
@pytest.mark.parametrize("height", [3, 10, 23, 60])
def test_a_screen_never_has_more_lines_or_columns_than_the_terminal(
    look: LiveLook, width: int, height: int
) -> None:
    lines = of_screen(look, width, height)

    assert len(lines) <= height
    assert all(cell_len(line) <= width for line in lines)
    assert "orders-prod: " in lines[0]


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
@pytest.mark.parametrize("width", [40, 50, 80, 200])
def test_a_plan_has_no_more_columns_than_the_terminal(look: LiveLook, width: int) -> None:
    lines = drawn(*plan_tables(plan_document(look), width), width=width)

    assert all(cell_len(line) <= width for line in lines)


def test_what_clients_chose_is_shown_and_not_obeyed() -> None:
    look = LOOKS["hostile"]
    for width in (50, 120):
        plan = drawn(*plan_tables(plan_document(look), width), width=width)
        for lines in (plan, of_screen(look, width, 40)):
            text = "\n".join(lines)
            assert not {"\x1b", "\x9b", "\u202e"} & set(text)
            assert "[red]" in text


def test_a_screen_with_room_shows_every_part() -> None:
    text = "\n".join(of_screen(LOOKS["queue"], 120, 60))

    assert "91 of 97 connections in use, 94 %" in text
    assert "target 70 %, warning 75 %, critical 90 %" in text
    assert "blocking chain: 90 sessions wait for locks" in text
    assert "1 jobs (app)" in text
    assert "90 active 3 min" in text
    assert "idle in transaction for 12 min" not in text, "no rule of this policy names the state"
    assert "no rule: no rule matched" in text


def test_those_that_would_go_first_come_first() -> None:
    look = LOOKS["leak"]
    rows = [line.split() for line in of_screen(look, 120, 60) if " go " in line]

    shown = [int(row[0]) for row in rows if row[0].isdecimal() and row[1] == "go"]
    assert shown == [verdict.session.pid for verdict in look.plan.chosen][: len(shown)]
    assert len(shown) > 10


def test_a_plan_shows_the_largest_groups_of_those_that_are_spared() -> None:
    sessions = [a_session(application=f"service {n}") for n in range(MOST_GROUPS + 5)]
    look = a_look(*sessions)

    lines = drawn(*plan_tables(plan_document(look), 120), width=120)

    assert "and 5 smaller groups, which --json shows" in lines


def test_a_plan_that_is_held_back_shows_what_would_be() -> None:
    observing = a_policy(modes={Tier.WARNING: Mode.OBSERVE, Tier.CRITICAL: Mode.OBSERVE})
    judgement = Judgement(observing, Tier.CRITICAL, 75, 90, ())
    look = judged("orders-prod", a_snapshot(*leaked(97)), judgement)

    text = "\n".join(drawn(*plan_tables(plan_document(look), 120), width=120))

    assert "critical: nothing is terminated (observing): the policy only observes" in text
    assert "usage if it were carried out: 67 of 97 connections in use, 69 %" in text
    assert "These would go, in this order, if nothing held the plan back:" in text
    assert is_finding(look)
    assert not is_finding(LOOKS["calm"])


def test_the_bar_marks_each_threshold() -> None:
    document = plan_document(a_look(*(a_session() for _ in range(50)), usable=100))

    bar = usage_lines(document, 102)[1].plain

    assert (len(bar), bar[:3], bar[-2:]) == (80, "[##", ".]")
    assert bar.count("|") == 3
    assert bar.count("#") == 39


def test_who_names_the_application_and_its_role() -> None:
    assert who({"role": "app", "application": "checkout"}) == "checkout (app)"
    assert who({"role": "app", "application": ""}) == "app"
    assert who({"role": "", "application": "jobs"}) == "jobs (role dropped)"


def test_the_hours_share_and_logins_in_progress_are_part_of_the_document() -> None:
    document = plan_document(LOOKS["leak"])

    assert (document["terminated_within_the_hour"], document["most_per_hour"]) == (0, 10_000)
    assert document["usage_after"] == {"used": 67, "usable": 97, "utilisation": 69.1}
    assert (
        document["would_terminate"][0]["seconds_in_state"]
        == timedelta(minutes=10 + 4 * 96).total_seconds()
    )
