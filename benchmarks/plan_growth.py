"""The time of the plan and the diagnosis per session must not grow with the number of sessions."""

import gc
from collections.abc import Callable
from statistics import median
from time import process_time

from benchmarks.finding import Finding
from connection_guard.configuration.policy.policy_file import SHIPPED_POLICY, parse_policy
from connection_guard.core.database.snapshot import Snapshot
from connection_guard.core.decision.decide import decide
from connection_guard.core.diagnosis.diagnose import diagnose
from connection_guard.core.policy import Tier
from tests.support.builders import a_snapshot
from tests.support.runs import a_crowd

SIZES = (500, 5_000, 50_000)
AT_MOST = 1.10


def measure_plan(rounds: int) -> list[Finding]:
    """Measure the plan by the shipped policy, and the diagnosis."""
    policy = parse_policy(SHIPPED_POLICY.read_text())
    return [
        _per_session("plan", lambda snapshot: decide(snapshot, policy, Tier.CRITICAL), rounds),
        _per_session("diagnosis", diagnose, rounds),
    ]


def _per_session(what: str, work: Callable[[Snapshot], object], rounds: int) -> Finding:
    """Measure the work on the same sessions: all of them at once, in tenths, and in hundredths.

    So every size covers as many sessions, none of them still in the processor's caches. The garbage
    collector waits: its cost depends on what else the process holds. Times are processor times.
    """
    sessions = a_crowd(SIZES[-1])

    def per_session(size: int) -> float:
        snapshots = [
            a_snapshot(*sessions[start : start + size], usable=size)
            for start in range(0, len(sessions), size)
        ]
        gc.collect()
        gc.disable()
        try:
            started = process_time()
            for snapshot in snapshots:
                work(snapshot)
            duration = process_time() - started
        finally:
            gc.enable()
        return duration / len(sessions)

    measured = [[per_session(size) for size in SIZES] for _ in range(rounds)]
    medians = [median(durations) for durations in zip(*measured, strict=True)]
    worst = max(medians[1:]) / medians[0]
    smallest, *larger = [f"{1e6 * each:.2f} µs" for each in medians]
    return Finding(
        f"{what} of {' and '.join(f'{size:,}' for size in SIZES[1:])} sessions, per session, "
        f"against {SIZES[0]}",
        " and ".join(larger),
        smallest,
        f"{worst:.3f}",
        f"<= {AT_MOST:.2f}",
        worst <= AT_MOST,
    )
