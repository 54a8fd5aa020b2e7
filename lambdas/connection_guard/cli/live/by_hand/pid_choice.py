"""What a person may terminate by hand: all but what no policy may touch, and what it protects."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from connection_guard.cli.live.live_look import LiveLook
from connection_guard.core.database.snapshot import Measurement
from connection_guard.core.decision.decide import most_sessions_below_target
from connection_guard.core.decision.engagement import Engagement, with_attempt
from connection_guard.core.decision.judge import BUILT_IN
from connection_guard.core.decision.plan import PROTECTED, Plan, Verdict
from connection_guard.core.decision.reason import Reason, ReasonCode
from connection_guard.core.policy import Action, Limits
from connection_guard.core.report.wording import worded

NOT_THERE = "there is no such session"


@dataclass(frozen=True, slots=True)
class Refused:
    """A session that was asked for and is not terminated, and why."""

    pid: int
    reason: str


def by_pids(look: LiveLook, pids: Iterable[int]) -> tuple[LiveLook, tuple[Refused, ...]]:
    """Return the look with a plan to terminate those sessions, and which are refused.

    Each keeps the rule and the reason that the policy has for it, also where that spares it.
    """
    verdicts = {verdict.session.pid: verdict for verdict in look.plan.verdicts}
    chosen: list[Verdict] = []
    refused: list[Refused] = []
    for pid in dict.fromkeys(pids):
        verdict = verdicts.get(pid)
        if verdict is None:
            refused.append(Refused(pid, NOT_THERE))
        elif verdict.rule in (BUILT_IN, PROTECTED):
            refused.append(Refused(pid, worded(verdict.reason)))
        else:
            chosen.append(replace(verdict, action=Action.TERMINATE))
    plan = Plan(tuple(chosen), None, look.plan.reason)
    return replace(look, round=replace(look.round, plan=plan), escalation=None), tuple(refused)


def still_allowed(
    chosen: Sequence[Verdict], now: Measurement, engagement: Engagement, limits: Limits
) -> tuple[tuple[Verdict, ...], Reason | None]:
    """Return as many of the plan's sessions as the limits allow now, and why not all: since the
    look, usage may have fallen, or the guard may have used up the hour's share.
    """
    above_target = now.used - most_sessions_below_target(now.capacity.usable, limits)
    left_this_hour = limits.most_per_hour - engagement.terminated_within_the_hour(now.taken_at)
    allowed = tuple(chosen[: max(min(above_target, left_this_hour), 0)])
    if len(allowed) == len(chosen):
        return allowed, None
    if above_target <= left_this_hour:
        return allowed, Reason(ReasonCode.ENOUGH_FREED, {"used": now.used - len(allowed)})
    return allowed, Reason(ReasonCode.HOURLY_CAP, {"most": limits.most_per_hour})


def begun_by_hand(engagement: Engagement, now: Measurement, chosen: int) -> Engagement:
    """Return the engagement with so many sessions of the hour's share used up. It is no attempt of
    the responder's, of which it has only a few.
    """
    return replace(with_attempt(engagement, now.taken_at, chosen), attempts=engagement.attempts)
