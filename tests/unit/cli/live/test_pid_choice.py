"""What may be terminated by hand, and how the bounds hold once a question was answered."""

from dataclasses import replace
from datetime import timedelta

from connection_guard.cli.live.by_hand.outcome_view import are_all_done
from connection_guard.cli.live.by_hand.pid_choice import (
    Refused,
    begun_by_hand,
    by_pids,
    still_allowed,
)
from connection_guard.cli.live.live_look import Judgement, judged
from connection_guard.core.database.session import Session
from connection_guard.core.decision.engagement import Engagement
from connection_guard.core.decision.outcome import Outcome, Result
from connection_guard.core.decision.plan import Verdict
from connection_guard.core.decision.reason import Reason, ReasonCode
from connection_guard.core.policy import Action, Policy, Tier
from tests.support.builders import NOW, a_measurement, a_policy, a_rule, a_session, a_snapshot


def chosen_by_hand(
    sessions: list[Session], pids: list[int], policy: Policy | None = None
) -> tuple[list[tuple[int, str]], tuple[Refused, ...]]:
    judgement = Judgement(policy or a_policy(), Tier.CRITICAL, 75, 90, ("connection_guard",))
    look, refused = by_pids(judged("orders", a_snapshot(*sessions), judgement), pids)
    assert look.plan.restraint is None
    return [(each.session.pid, each.rule) for each in look.plan.chosen], refused


def test_what_the_policy_spares_may_go_once_and_what_is_protected_may_not() -> None:
    sessions = [
        a_session(pid=1),
        a_session(pid=2, listening=True),
        a_session(pid=3, role="payments"),
        a_session(pid=4, role="rdsadmin"),
        a_session(pid=5, superuser=True),
        a_session(pid=6, role="connection_guard"),
        a_session(pid=7, state=None),
        a_session(pid=8, proxied=True),
    ]
    policy = a_policy(a_rule("stale idle"), protect_roles=("payments",))

    chosen, refused = chosen_by_hand(sessions, [2, 9, 1, 3, 4, 5, 6, 7, 8, 2], policy)

    assert chosen == [(2, "stale idle"), (1, "limits.target")]
    assert [each.pid for each in refused] == [9, 3, 4, 5, 6, 7, 8]
    assert refused[1].reason == "its role is protected"


def some_chosen(count: int) -> tuple[Verdict, ...]:
    reason = Reason(ReasonCode.NO_RULE)
    return tuple(Verdict(a_session(), Action.TERMINATE, "r", reason) for _ in range(count))


def test_the_limits_hold_anew_once_the_question_was_answered() -> None:
    chosen = some_chosen(30)
    limits = a_policy(target_percent=70, most_per_hour=20).limits
    full = a_measurement(used=97)
    earlier = Engagement(terminations=((NOW - timedelta(minutes=5), 15),))

    def allowed(used: int, engagement: Engagement) -> tuple[int, ReasonCode | None]:
        now = replace(full, used=used)
        some, reason = still_allowed(chosen, now, engagement, limits)
        assert some == chosen[: len(some)]
        return len(some), None if reason is None else reason.code

    assert allowed(97, Engagement()) == (20, ReasonCode.HOURLY_CAP)
    assert allowed(97, earlier) == (5, ReasonCode.HOURLY_CAP)
    assert allowed(70, Engagement()) == (3, ReasonCode.ENOUGH_FREED)
    assert allowed(40, Engagement()) == (0, ReasonCode.ENOUGH_FREED)
    few = replace(limits, most_per_hour=100)
    assert still_allowed(chosen, full, Engagement(), few) == (chosen, None)


def test_it_counts_for_the_hour_and_is_no_attempt_of_the_responder() -> None:
    begun = begun_by_hand(Engagement(attempts=2), a_measurement(), 7)

    assert (begun.attempts, begun.terminated_within_the_hour(NOW)) == (2, 7)


def test_what_need_not_go_any_more_is_done() -> None:
    first, second = some_chosen(2)
    outcomes = [Outcome(first, Result.TERMINATED), Outcome(second, Result.LEFT)]

    assert are_all_done(outcomes[:1], [])
    assert not are_all_done(outcomes, [])
    assert not are_all_done(outcomes, [Reason(ReasonCode.DEADLINE_NEAR)])
    assert are_all_done(outcomes, [Reason(ReasonCode.ENOUGH_FREED, {"used": 60})])
