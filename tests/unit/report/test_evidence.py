"""What a run saw travels in its Report: all of it where there is room, the important part of it
where there is not.
"""

import json
import string
import time
import tracemalloc
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connection_guard.adapters.postgresql.remedies import statement
from connection_guard.core.database.session import Session, SessionState
from connection_guard.core.decision.outcome import Result
from connection_guard.core.report.evidence import pack_evidence
from connection_guard.core.report.evidence_format import SessionEvidence, unpack_evidence
from connection_guard.core.report.kind import Kind
from connection_guard.core.report.report import write_report
from connection_guard.core.report.run import Run
from connection_guard.core.report.wording import worded
from tests.support.builders import a_session
from tests.support.runs import a_crowd, a_remediation, a_run, any_runs

PLENTY = 1_000_000
MILLISECOND = timedelta(milliseconds=1)


def packed_size(packed: dict[str, Any]) -> int:
    return len(json.dumps(packed))


def packed_within(run: Run, most_bytes: int) -> dict[str, Any]:
    assert run.round is not None
    packed = pack_evidence(run.round, most_bytes)
    assert packed_size(packed) <= most_bytes
    return packed


def test_what_was_seen_and_decided_comes_out_as_it_went_in() -> None:
    sessions = (
        a_session(idle_for=timedelta(hours=2), blocked_by=(7, 8), listening=True, proxied=True),
        a_session(state=None, client="", wait_event_type=None, wait_event=None),
        a_session(state=SessionState.IDLE_IN_TRANSACTION, superuser=True, advisory_lock=True),
    )
    run = a_remediation(*sessions, terminate=2, results=(Result.TERMINATED, Result.MOVED_ON))
    evidence = unpack_evidence(packed_within(run, PLENTY))
    assert run.round is not None
    assert evidence.taken_at == run.round.before.taken_at
    results = {sessions[0]: "terminated", sessions[1]: "moved on"}
    assert set(evidence.sessions) == {
        SessionEvidence(
            each.session, each.action, each.rule, worded(each.reason), results.get(each.session)
        )
        for each in run.round.plan.verdicts
    }
    assert evidence.omitted == 0


@given(any_runs().filter(lambda run: run.round is not None))
def test_nothing_but_fractions_of_a_millisecond_is_lost(run: Run) -> None:
    assert run.round is not None
    before = run.round.before
    evidence = unpack_evidence(json.loads(json.dumps(pack_evidence(run.round, PLENTY))))

    def without_times(session: Session) -> tuple[object, ...]:
        return (
            session.pid,
            session.role,
            session.application_name,
            session.state,
            session.query,
            session.blocked_by,
        )

    taken_at = before.taken_at
    unpacked = [each.session for each in evidence.sessions]
    assert sorted(map(str, map(without_times, unpacked))) == sorted(
        map(str, map(without_times, before.sessions))
    )
    unpacked_times = sorted((taken_at - s.backend_start) // MILLISECOND for s in unpacked)
    assert unpacked_times == sorted(
        (taken_at - s.backend_start) // MILLISECOND for s in before.sessions
    )


def test_five_thousand_sessions_fit() -> None:
    run = a_remediation(*a_crowd(5000), terminate=50, usable=5000)
    packed = packed_within(run, 130_000)
    assert (packed["sessions"], packed["omitted"]) == (5000, 0)


def test_packing_takes_little_memory() -> None:
    run = a_remediation(*a_crowd(5000), terminate=50, usable=5000)
    tracemalloc.start()
    try:
        packed_within(run, 130_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 32_000_000


@pytest.mark.parametrize("characters", ["Ωψж", "漢字語", "😀🚀🧨", "\x01\x02\x1b"])
def test_texts_beyond_ascii_cost_about_what_others_cost(characters: str) -> None:
    """Of any number of bytes only so many are spelled and compressed."""
    random = Random(0)  # noqa: S311 - the same texts every time

    def seconds(characters: str) -> float:
        texts = ("".join(random.choices(characters, k=1000)) for _ in range(2000))
        run = a_remediation(*(a_session(query=text) for text in texts), terminate=50, usable=2000)
        started = time.process_time()
        assert packed_within(run, 150_000)["sessions"] > 50
        return time.process_time() - started

    alphabet = [chr(ord(character) + n) for character in characters for n in range(8)]
    assert seconds("".join(alphabet)) < 5 * seconds(string.ascii_letters)


def test_where_room_is_short_the_least_telling_sessions_are_left_out() -> None:
    chosen = [a_session(idle_for=timedelta(minutes=n)) for n in range(10)]
    active = [
        a_session(state=SessionState.ACTIVE, idle_for=timedelta(seconds=n)) for n in range(10)
    ]
    idle = [
        a_session(idle_for=timedelta(seconds=n), query=f"SELECT {'x' * n}") for n in range(1000)
    ]
    run = a_remediation(*chosen, *idle, *active, terminate=10)
    importance = [*chosen, *reversed(active), *reversed(idle)]
    whole = packed_within(run, PLENTY)
    for share in (0.2, 0.5, 0.9):
        packed = packed_within(run, int(packed_size(whole) * share))
        evidence = unpack_evidence(packed)
        assert 20 < len(evidence.sessions) < len(importance)
        unpacked = [each.session for each in evidence.sessions]
        assert unpacked == importance[: len(evidence.sessions)]
        assert evidence.omitted == packed["omitted"] == len(importance) - len(evidence.sessions)


@given(any_runs().filter(lambda run: run.round is not None), st.integers(600, 20_000))
def test_it_never_takes_more_room_than_it_is_given(run: Run, most_bytes: int) -> None:
    packed = packed_within(run, most_bytes)
    assert run.round is not None
    assert packed["sessions"] + packed["omitted"] == len(run.round.before.sessions)


def test_a_run_that_saw_no_sessions_has_no_evidence() -> None:
    assert write_report(a_run(Kind.LOCKED_OUT), statement)["evidence"] is None


def test_another_format_is_refused() -> None:
    packed = packed_within(a_remediation(a_session(), terminate=0), PLENTY)
    with pytest.raises(ValueError, match="format 2"):
        unpack_evidence(packed | {"format": 2})
