"""Every reason has its words, and they hold its figures."""

from datetime import UTC, datetime, timedelta
from string import Formatter

import pytest

from connection_guard.core.database.pause import Pause
from connection_guard.core.decision.reason import Figure, Reason, ReasonCode
from connection_guard.core.report.wording import _SENTENCES, pause_in_words, worded


@pytest.mark.parametrize("code", ReasonCode)
def test_every_reason_has_a_sentence(code: ReasonCode) -> None:
    names = {name for _, name, _, _ in Formatter().parse(_SENTENCES[code]) if name}
    figures: dict[str, Figure] = {}
    figures.update(dict.fromkeys(names, 42))
    sentence = worded(Reason(code, figures))
    assert sentence.count("42") >= len(names)
    assert "{" not in sentence


def test_figures_are_written_as_people_read_them() -> None:
    idle: dict[str, Figure] = {
        "state": "idle",
        "time": timedelta(minutes=12, seconds=30),
        "candidates": 26,
    }
    assert worded(Reason(ReasonCode.ONE_OF_POOL, idle)) == "idle for 12 min, one of 26 in its pool"
    share = {"chosen": 31, "sessions": 90, "share": 34.44, "limit": 30.0}
    assert worded(Reason(ReasonCode.TOO_MANY, share)) == (
        "the plan would terminate 31 of 90 sessions (34 %): limits.refuse_above is 30 %"
    )


def test_more_than_all_connections_are_all() -> None:
    figures: dict[str, Figure] = {"used": 98, "usable": 97}
    assert worded(Reason(ReasonCode.NO_CANDIDATE, figures)).startswith(
        "all 97 connections in use (the guard came in on the reserve), and the policy"
    )


def test_braces_in_a_name_stay_what_they_are() -> None:
    reason = Reason(ReasonCode.NOT_VERIFIED, {"error": "{error} {0} {x!r}"})
    assert worded(reason) == "the result could not be verified: {error} {0} {x!r}"


UNTIL = datetime(2026, 11, 20, 5, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("pause", "words"),
    [
        (Pause(), "paused"),
        (Pause(UNTIL), "paused until 2026-11-20 05:00 UTC"),
        (Pause(note="alice"), "paused (alice)"),
        (
            Pause(UNTIL, "alice: load test"),
            "paused until 2026-11-20 05:00 UTC (alice: load test)",
        ),
        (Pause(note="\x1b[2J\n x"), "paused (\ufffd[2J x)"),
    ],
)
def test_a_pause_says_until_when_and_why(pause: Pause, words: str) -> None:
    assert pause_in_words(pause) == words
    assert worded(Reason(ReasonCode.PAUSED, {"pause": pause})).startswith(f"{words}: role ")


def test_a_long_note_is_cut() -> None:
    assert len(pause_in_words(Pause(note="x" * 1000))) < 150
