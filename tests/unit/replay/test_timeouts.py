"""A timeout is proposed where it would have ended what was lost and nothing else, and where enough
was seen to say so.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connection_guard.core.replay.gaps import (
    LEGITIMATE,
    STEPS,
    Ending,
    GapKind,
    GapTally,
    RoleTally,
)
from connection_guard.core.replay.timeouts import TimeoutFinding, WhyNot, timeout_findings
from tests.support.builders import NOW

SECOND = timedelta(seconds=1)


def a_role(
    kind: GapKind = GapKind.IDLE_IN_TRANSACTION,
    *,
    legitimate: Iterable[float] = (41, *range(30)),
    lost: Iterable[float] = (100, 200, 300),
    looks: int = 20,
    days: int = 5,
    at_most: float = 10,
) -> RoleTally:
    """Return a role whose gaps lasted for these seconds, the legitimate ones `at_most` longer."""
    gaps = GapTally()
    for seconds in legitimate:
        gaps.ended(seconds * SECOND, Ending.WENT_ON, (seconds + at_most) * SECOND)
    for seconds in lost:
        gaps.ended(seconds * SECOND, Ending.LAST_SEEN)
    role = RoleTally(looks=looks, days={(NOW + timedelta(day)).date() for day in range(days)})
    role.gaps[kind] = gaps
    return role


def found(role: RoleTally, kind: GapKind = GapKind.IDLE_IN_TRANSACTION) -> TimeoutFinding:
    [finding] = [each for each in timeout_findings({"orders": role}) if each.kind is kind]
    return finding


def test_the_shortest_clear_timeout_is_proposed() -> None:
    finding = found(a_role(lost=[*[100] * 10, *[600] * 4, 80, 5]))
    assert finding.why_not is None
    assert finding.timeout == 90 * SECOND
    assert finding.would_end == {Ending.LAST_SEEN: 14}
    assert finding.gaps.longest == 41 * SECOND


@pytest.mark.parametrize(
    ("role", "why_not"),
    [
        (a_role(lost=[100, 200]), WhyNot.NOTHING_LOST),
        (a_role(lost=[80] * 50), WhyNot.NOTHING_LOST),
        (a_role(legitimate=[100_000]), WhyNot.NOTHING_LOST),
        (a_role(looks=9), WhyNot.FEW_LOOKS),
        (a_role(days=2), WhyNot.FEW_DAYS),
        (a_role(legitimate=range(29)), WhyNot.FEW_GAPS),
        (a_role(legitimate=range(30), at_most=301, lost=[1000] * 9), WhyNot.FEW_GAPS),
        (replace(a_role(), is_protected=True), WhyNot.PROTECTED),
    ],
)
def test_nothing_is_proposed_that_the_looks_do_not_carry(role: RoleTally, why_not: WhyNot) -> None:
    assert found(role).why_not is why_not


@pytest.mark.parametrize(
    ("fact", "why_not"), [("is_on_duty", WhyNot.ON_DUTY), ("is_of_proxy", WhyNot.OF_PROXY)]
)
def test_what_idles_on_purpose_gets_no_timeout_for_that(fact: str, why_not: WhyNot) -> None:
    for kind in (GapKind.IDLE, GapKind.IDLE_IN_TRANSACTION):
        role = replace(a_role(kind, lost=[90_000] * 9), **{fact: True})  # type: ignore[arg-type]
        assert found(role, kind).why_not is (why_not if kind is GapKind.IDLE else None)


def test_no_timeout_is_shorter_than_what_its_kind_allows() -> None:
    for kind, least in (
        (GapKind.IDLE_IN_TRANSACTION, 60),
        (GapKind.IDLE, 900),
        (GapKind.TRANSACTION, 300),
    ):
        assert found(a_role(kind, legitimate=[0] * 30), kind).timeout == least * SECOND


SECONDS = st.floats(0, 200_000)
LENGTHS = st.lists(SECONDS, max_size=60)


@given(LENGTHS, LENGTHS, st.floats(0, 400), st.sampled_from(GapKind))
def test_no_legitimate_gap_would_ever_have_been_ended(
    legitimate: list[float], lost: list[float], at_most: float, kind: GapKind
) -> None:
    finding = found(a_role(kind, legitimate=legitimate, lost=lost, at_most=at_most), kind)
    if finding.timeout is None:
        assert max(legitimate) * 2 > STEPS[-1] / SECOND
        return
    assert not LEGITIMATE & set(finding.would_end)
    assert all(2 * seconds * SECOND <= finding.timeout for seconds in legitimate)
    if at_most < 300:
        assert all((seconds + at_most) * SECOND < finding.timeout for seconds in legitimate)
    ended = [seconds for seconds in lost if seconds * SECOND >= finding.timeout]
    assert sum(finding.would_end.values()) == len(ended)
    if finding.why_not is None:
        assert len(ended) >= 3
        assert len(legitimate) >= 30
