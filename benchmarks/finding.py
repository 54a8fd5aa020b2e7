"""What a benchmark found, and the table of all of them."""

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from statistics import median
from time import perf_counter


class BenchmarkError(Exception):
    """What was to be measured did not happen; the message is one line that says what happened."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table. `bare` and `ratio` are empty where the goal is absolute, and `goal`
    where there is none.
    """

    what: str
    ours: str
    bare: str
    ratio: str
    goal: str
    is_met: bool


def compared(what: str, ours: Sequence[float], bare: Sequence[float], *, at_most: float) -> Finding:
    """Return a finding on the ratio of the medians of durations in seconds."""
    quotient = median(ours) / median(bare)
    return Finding(
        what,
        _duration(ours),
        _duration(bare),
        f"{quotient:.3f}",
        f"<= {at_most:.2f}",
        quotient <= at_most,
    )


def absolute(what: str, measured: float, unit: str, *, at_most: float) -> Finding:
    """Return a finding on a figure of ours; `unit` follows the figures without a space."""
    return Finding(
        what, f"{measured:.0f}{unit}", "", "", f"<= {at_most}{unit}", measured <= at_most
    )


def seconds(work: Callable[[], object]) -> float:
    """Return how long the work takes."""
    started = perf_counter()
    work()
    return perf_counter() - started


def show(findings: Sequence[Finding], *, with_goals: bool = True) -> None:
    """Print the table."""
    rows = [("", "ours", "bare", "ratio", "goal", "")]
    rows += [
        (*astuple(each)[:-1], each.goal and ("met" if each.is_met else "MISSED"))
        for each in findings
    ]
    columns = range(6 if with_goals else 4)
    widths = [max(len(row[column]) for row in rows) for column in columns]
    for row in rows:
        print("  ".join(f"{row[column]:{widths[column]}}" for column in columns).rstrip())


def _duration(durations: Sequence[float]) -> str:
    milliseconds = sorted(1000 * duration for duration in durations)
    return f"{median(milliseconds):.0f} ms ({milliseconds[0]:.0f} to {milliseconds[-1]:.0f})"
