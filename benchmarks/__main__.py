"""How fast the guard is, compared with what one would do by hand: `make bench`.

It prints a table of ratios of medians from one run. A missed goal is not a failure: the exit status
shows only whether everything could be measured. `--short` measures one round of each benchmark and
judges none: it shows that they still run.
"""

import sys
from collections.abc import Callable
from typing import NamedTuple

from benchmarks.cold_start import measure_cold_start
from benchmarks.finding import BenchmarkError, Finding, show
from benchmarks.heartbeat_round_trips import measure_heartbeat
from benchmarks.many_databases import measure_many_databases
from benchmarks.peak_memory import measure_memory
from benchmarks.plan_growth import measure_plan
from benchmarks.snapshot_time import measure_snapshot
from benchmarks.synthesis import measure_synthesis
from benchmarks.termination_time import measure_termination
from benchmarks.time_to_relief import measure_time_to_relief
from demo.show.terminal import captured_output
from doubles.local_process import DoubleError


class Benchmark(NamedTuple):
    """What to measure; `measure` takes the number of rounds."""

    measure: Callable[[int], list[Finding]]
    rounds: int


BENCHMARKS = {
    "time to relief": Benchmark(measure_time_to_relief, 24),
    "termination": Benchmark(measure_termination, 7),
    "plan": Benchmark(measure_plan, 9),
    "cold start": Benchmark(measure_cold_start, 15),
    "snapshot": Benchmark(measure_snapshot, 25),
    "heartbeat": Benchmark(lambda _: measure_heartbeat(), 1),
    "memory": Benchmark(lambda _: measure_memory(), 1),
    "synthesis": Benchmark(lambda _: measure_synthesis(), 1),
    "many databases": Benchmark(lambda _: measure_many_databases(), 1),
}


def main() -> int:
    """Return the exit status."""
    match sys.argv[1:]:
        case []:
            is_short = False
        case ["--short"]:
            is_short = True
        case _:
            print("usage: python -m benchmarks [--short]", file=sys.stderr)
            return 2
    findings: list[Finding] = []
    for name, benchmark in BENCHMARKS.items():
        print(f"Measuring: {name} ...", flush=True)
        try:
            with captured_output():  # the function's log
                findings += benchmark.measure(1 if is_short else benchmark.rounds)
        except (BenchmarkError, DoubleError) as error:
            print(error, file=sys.stderr)
            return 1
    print()
    show(findings, with_goals=not is_short)
    if is_short:
        return 0
    missed = [finding.what for finding in findings if not finding.is_met]
    print(f"\nMISSED: {'; '.join(missed)}" if missed else "\nEvery goal is met.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
