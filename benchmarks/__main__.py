"""How fast the guard is against what one would do by hand: `make bench`.

Prints a table of ratios of medians from one run. A missed goal is no failure: the exit status says only whether
everything could be measured.
"""

import sys
from collections.abc import Callable

from benchmarks.cold import measure_cold_start
from benchmarks.finding import BenchmarkError, Finding, show
from benchmarks.memory import measure_memory
from benchmarks.plan import measure_plan
from benchmarks.pulse import measure_pulse
from benchmarks.relief import measure_relief
from benchmarks.snapshot import measure_snapshot
from tests.postgres_binaries import PostgresBinariesError
from tools.demo_terminal import captured_output
from tools.embedded_postgres import EmbeddedPostgresError

BENCHMARKS: dict[str, Callable[[], list[Finding]]] = {
    "relief": measure_relief,
    "plan": measure_plan,
    "cold start": measure_cold_start,
    "snapshot": measure_snapshot,
    "pulse": measure_pulse,
    "memory": measure_memory,
}


def main() -> int:
    """The exit status."""
    findings = []
    for name, measure in BENCHMARKS.items():
        print(f"Measuring: {name} ...", flush=True)
        try:
            with captured_output():  # the function's log
                findings += measure()
        except (BenchmarkError, EmbeddedPostgresError, PostgresBinariesError) as error:
            print(error, file=sys.stderr)
            return 1
    print()
    show(findings)
    missed = [finding.what for finding in findings if not finding.is_met]
    print(f"\nMISSED: {'; '.join(missed)}" if missed else "\nEvery goal is met.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
