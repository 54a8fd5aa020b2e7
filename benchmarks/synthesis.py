"""How long the stack of a hundred databases takes to synthesize, cdk-nag's checks included, and how
much memory the CDK takes for it.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

from benchmarks.finding import BenchmarkError, Finding, absolute

DATABASES = 100
SYNTHESIZE = """
import sys
from pathlib import Path
from tests.cdk.template import synthesize
from tests.support.fleets import a_fleet
synthesize(a_fleet(int(sys.argv[1])), Path(sys.argv[2]))
"""


def measure_synthesis() -> list[Finding]:
    """Measure a process of its own, with those that it starts."""
    _run(1)  # the packages are built once
    seconds, megabytes = _run(DATABASES)
    what = f"synthesis of {DATABASES} databases"
    return [
        absolute(what, seconds, " s", at_most=25),
        absolute(f"{what}: peak memory", megabytes, " MiB", at_most=1024),
    ]


def _run(databases: int) -> tuple[float, float]:
    """Return its seconds, and the sum of the peaks of its processes in MiB."""
    with TemporaryDirectory() as folder:
        started = perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-c", SYNTHESIZE, str(databases), folder],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": ":".join(filter(None, sys.path))},
        )
        peaks: dict[int, float] = {}
        while process.poll() is None:
            for pid in _family(process.pid):
                peaks[pid] = max(_peak(pid), peaks.get(pid, 0.0))
            sleep(0.05)
        if process.returncode != 0:
            raise BenchmarkError(f"synthesis: it ended with status {process.returncode}")
        return perf_counter() - started, sum(peaks.values())


def _family(pid: int) -> Iterator[int]:
    """Yield the process and its descendants."""
    yield pid
    with suppress(OSError):  # it has ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _family(int(child))


def _peak(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0
