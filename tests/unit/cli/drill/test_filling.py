"""How many sessions a drill opens, and what it expects of the guard by the policy."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connection_guard.cli.drill.filling import (
    LEAST_FREE,
    Expectation,
    Filling,
    expectation_of,
    filling_of,
)
from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.core.database.pause import Pause
from connection_guard.core.database.session import Session
from connection_guard.core.policy import Mode, Policy, Tier
from tests.support.builders import (
    a_capacity,
    a_measurement,
    a_policy,
    a_rule,
    a_session,
    a_snapshot,
)
from tests.support.configurations import the_shipped_policy

MINUTE = timedelta(minutes=1)


def filling(used: int, usable: int = 97, *, exhausts: bool = False, **limits: float) -> Filling:
    return filling_of(
        a_measurement(used=used, capacity=a_capacity(usable + 3)),
        a_policy(keep_per_pool=1, **limits).limits,  # type: ignore[arg-type]
        warning_percent=75,
        critical_percent=90,
        exhausts=exhausts,
    )


def test_the_early_sessions_stay_below_the_warning_line_where_they_suffice() -> None:
    opened = filling(10)

    assert opened == Filling(early=62, late=16, peak=88, least_free=4)
    assert 100 * (10 + opened.early) / 97 < 75


def test_all_but_one_are_early_where_too_few_fit_below_the_warning_line() -> None:
    opened = filling(60)

    assert (opened.early, opened.late) == (27, 1)


def test_only_an_exhausting_drill_takes_the_last_slot() -> None:
    opened = filling(10, exhausts=True)

    assert opened.peak == 97
    assert opened.least_free == 0


@given(used=st.integers(1, 200), usable=st.integers(1, 200))
def test_applications_keep_slots_and_the_guard_has_enough_to_end(used: int, usable: int) -> None:
    try:
        opened = filling(used, usable)
    except UserMistakeError:
        return

    assert usable - opened.peak >= LEAST_FREE
    assert 100 * opened.peak / usable >= 90
    assert used + opened.total == opened.peak
    assert opened.early > 0
    assert opened.late > 0
    assert 0 < opened.least_free <= usable - opened.peak
    # All but the one that its pool keeps may go: then usage is below the target.
    assert 100 * (used + 1) / usable < 70


@pytest.mark.parametrize(
    ("used", "usable", "said"),
    [
        (67, 97, "would have to end sessions of applications"),
        (3, 10, "leaves applications only 1 of 10"),
    ],
)
def test_what_would_cost_applications_is_refused(used: int, usable: int, said: str) -> None:
    with pytest.raises(UserMistakeError, match=said):
        filling(used, usable)


def expected(
    policy: Policy, *others: Session, own: Session | None = None, paused: bool = False
) -> Expectation:
    own = own or a_session(application="connection-guard drill watch", role="drill")
    snapshot = a_snapshot(own, *others)
    measurement = replace(snapshot.measurement, pause=Pause() if paused else None)
    snapshot = replace(snapshot, measurement=measurement)
    opened = filling_of(
        snapshot.measurement,
        policy.limits,
        warning_percent=75,
        critical_percent=90,
        exhausts=False,
    )
    return expectation_of(snapshot, own, opened, policy, ["connection_guard"])


def test_by_the_shipped_policy_they_go_once_they_are_ten_minutes_old() -> None:
    expectation = expected(the_shipped_policy())

    assert expectation == Expectation(10 * MINUTE, 21, {}, None)


def test_the_shortest_age_that_suffices_is_waited_for() -> None:
    policy = a_policy(
        a_rule("of others", roles=("app",), older_than=MINUTE),
        a_rule("all", older_than=3 * MINUTE),
        a_rule("late", older_than=20 * MINUTE),
    )

    assert expected(policy).wait == 3 * MINUTE


def test_sessions_of_applications_that_may_go_with_them_are_named() -> None:
    unused = [a_session(application="reports", idle_for=60 * MINUTE) for _ in range(60)]

    expectation = expected(the_shipped_policy(), *unused)

    assert expectation.others == {"reports": expectation.others["reports"]}
    assert 0 < expectation.others["reports"] < 60
    assert expectation.why_not is None


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (a_policy(protect_roles=("dr*",)), 'role "drill": its role is protected'),
        (a_policy(a_rule(roles=("app",))), 'role "drill": no rule matched'),
        (a_policy(refuse_above_percent=10), "limits.refuse_above is 10 %"),
        (a_policy(most_per_hour=5), "limits.most_per_hour is 5, and 21 would have to go"),
        (
            a_policy(modes={Tier.WARNING: Mode.OBSERVE, Tier.CRITICAL: Mode.OBSERVE}),
            "only observes at the critical tier",
        ),
    ],
)
def test_why_the_guard_will_not_bring_relief_is_known_before(policy: Policy, said: str) -> None:
    assert said in str(expected(policy).why_not)


def test_a_paused_guard_and_a_superuser_bring_no_relief() -> None:
    superuser = a_session(role="postgres", superuser=True)

    assert "paused" in str(expected(a_policy(), paused=True).why_not)
    assert "a superuser's session" in str(expected(a_policy(), own=superuser).why_not)
