"""One line of the doctor's page: what was checked, the result, and what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from connection_guard.core.words import counted


class CheckResult(StrEnum):
    """Whether the guard has what it needs, as far as that could be checked."""

    OK = "ok"
    FINDING = "finding"
    UNCHECKED = "could not be checked"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that the guard needs. `remedy` is the statement or command to run, a line each."""

    check: str
    result: CheckResult
    detail: str
    remedy: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unknown:
    """A fact that could not be gathered, and why."""

    why: str


def ok(check: str, detail: str) -> Check:
    """Return a check that found nothing."""
    return Check(check, CheckResult.OK, detail)


def finding(check: str, detail: str, *remedy: str) -> Check:
    """Return a check that found something."""
    return Check(check, CheckResult.FINDING, detail, remedy)


def unchecked(check: str, why: str, *remedy: str) -> Check:
    """Return a check that could not be made."""
    return Check(check, CheckResult.UNCHECKED, why, remedy)


def has_finding(checks: Iterable[Check]) -> bool:
    """Return whether there is anything to do."""
    return any(each.result is CheckResult.FINDING for each in checks)


def closing_line(checks: Iterable[Check]) -> str:
    """Return how many checks there were, and what they found."""
    results = [each.result for each in checks]
    left = results.count(CheckResult.UNCHECKED)
    parts = [
        counted(len(results), "check"),
        counted(results.count(CheckResult.FINDING), "finding"),
        *([f"{left} could not be checked"] if left else []),
    ]
    return ", ".join(parts)
