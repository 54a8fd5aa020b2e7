"""A cold start: from starting the runtime client's process to the answer to its first event."""

from time import perf_counter

from benchmarks.finding import BenchmarkError, Finding, compared
from benchmarks.scene.functions import Functions, functions
from tests.support.builders import a_heartbeat_event

# A new process does not know yet that usage is below the target; its first heartbeat reports it as
# an observation.
KINDS = ("heartbeat", "observation")


def measure_cold_start(rounds: int) -> list[Finding]:
    """Measure the responder's first heartbeat and a bare handler's `SELECT 1` in turn."""
    with functions() as deployed:
        # The first start of each writes bytecode and warms the page cache.
        for handler in ("guard", "bare"):
            _cold_start(deployed, handler)
        pairs = [
            (_cold_start(deployed, "guard"), _cold_start(deployed, "bare")) for _ in range(rounds)
        ]
    ours, bare = zip(*pairs, strict=True)
    return [compared("cold start to the first heartbeat's answer", ours, bare, at_most=0.9)]


def _cold_start(deployed: Functions, handler: str) -> float:
    started = perf_counter()
    with deployed.start(handler) as environment:
        answer = environment.invoke(a_heartbeat_event())
        duration = perf_counter() - started
    if answer.is_error or (handler == "guard" and answer.payload["kind"] not in KINDS):
        raise BenchmarkError(f"{handler} did not answer its heartbeat: {answer.payload}")
    return duration
