"""What was found in a row, what is true of its scenario, and whether the two agree."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from connection_guard.core.diagnosis.case import FEWEST_SESSIONS


@dataclass(frozen=True, slots=True)
class Uses:
    """The uses of an application: how many, how many failed, and the seconds of the slowest."""

    count: int = 0
    failed: int = 0
    error: str | None = None
    seconds: float = 0.0

    def __add__(self, other: "Uses") -> "Uses":
        return Uses(
            self.count + other.count,
            self.failed + other.failed,
            self.error or other.error,
            max(self.seconds, other.seconds),
        )


@dataclass(frozen=True, slots=True)
class Said:
    """One cause of a diagnosis: its owner (an application_name), and what people read about it."""

    cause: str
    owner: str
    summary: str
    advice: str


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the responder: what it did, and what it reported."""

    used: int
    ended: int
    used_afterwards: int
    headline: str
    restraint: str | None
    explanation: str | None
    escalation: str | None
    diagnoses: tuple[Said, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """A row as it was measured. The superuser counts the sessions; the guard's reports do not.

    `held` and `ended` count sessions by application, `lost` those that went while the guard ran and
    that its report does not name. `left` counts what each process with sessions kept. `seconds`
    pass by the server's clock until usage is below the target, None where it never is. `first` and
    `later` are the first and the second use of everything afterwards, `at_work` the work that went
    on all the time. `restart` is whether a leak's process needed a restart, None where nothing
    leaked. `versions` are the releases that were measured, by library.
    """

    held: Mapping[str, int]
    ended: Mapping[str, int]
    lost: Mapping[str, int]
    left: Mapping[str, int]
    runs: tuple[Run, ...]
    seconds: float | None
    served: bool
    first: Uses = field(default_factory=Uses)
    later: Uses = field(default_factory=Uses)
    at_work: Uses = field(default_factory=Uses)
    restart: bool | None = None
    crashed: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of a scenario.

    `ended` gives, by application, the fewest and the most sessions that may go; no session of an
    unnamed application may go. `causes` are those that may come first, `owner` is their
    application; `none_of` are causes that are wrong in any place, `sooner_or_later` those that some
    report has to name. With `all_keep_one`, no process loses its last session; with `even`, no
    process of these applications loses more than one session more than another. `served` is whether
    a new client can log in, None where either is right; `heard` is the run whose report escalates.
    `first_errors` limits the errors of the first use, None where they are the library's own. `says`
    are regular expressions for what people read; no run may have one of the restraints in
    `never_restrained`.
    """

    ended: Mapping[str, tuple[int, int]]
    causes: tuple[str, ...]
    owner: str | None = None
    none_of: tuple[str, ...] = ()
    sooner_or_later: tuple[str, ...] = ()
    all_keep_one: bool = False
    even: tuple[str, ...] = ()
    served: bool | None = True
    heard: int | None = None
    first_errors: int | None = None
    says: tuple[str, ...] = ()
    never_restrained: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing that must be true, and what was found instead where it is not."""

    claim: str
    holds: bool
    found: str


# The cause of sessions that the guard did not terminate: their process may have died.
ENDED_BY_THEMSELVES = "ended by themselves"
# Advice and reasons that never help.
NEVER_SAID = (r"most often after: (COMMIT|BEGIN|ROLLBACK)\b",)


def judge(truth: Truth, found: Findings) -> tuple[Claim, ...]:
    """Return every claim of the truth, and whether it holds."""
    return tuple(_claims(truth, found))


def _claims(truth: Truth, found: Findings) -> Iterator[Claim]:
    for application in sorted(found.held.keys() | found.ended.keys() | truth.ended.keys()):
        least, most = truth.ended.get(application, (0, 0))
        ended = found.ended.get(application, 0)
        wanted = f"{least}" if least == most else f"{least} to {most}"
        yield Claim(f"{application} loses {wanted}", least <= ended <= most, f"{ended}")
    yield from _spread(truth, found)
    yield from _reachable(truth, found)
    yield from _diagnosed(truth, found)
    yield from _undisturbed(truth, found)


def _spread(truth: Truth, found: Findings) -> Iterator[Claim]:
    if truth.all_keep_one:
        emptied = [process for process, left in found.left.items() if left == 0]
        yield Claim("no process loses its last session", not emptied, f"{len(emptied)} did")
    for application in truth.even:
        left = [n for process, n in found.left.items() if process.partition("@")[0] == application]
        yield Claim(
            f"the processes of {application} lose evenly",
            max(left) - min(left) <= 1,
            f"left with {', '.join(map(str, sorted(left)))}",
        )


def _reachable(truth: Truth, found: Findings) -> Iterator[Claim]:
    if truth.served is not None:
        expected = "a new client is served" if truth.served else "a new client is refused"
        yield Claim(expected, found.served == truth.served, "served" if found.served else "refused")
    heard = next((place for place, run in enumerate(found.runs, 1) if run.escalation), None)
    with_report = f"with report {heard}" if heard else "never"
    if truth.heard is not None:
        yield Claim(f"action required with report {truth.heard}", heard == truth.heard, with_report)
    elif truth.served:
        yield Claim("no action required", heard is None, with_report)


def _diagnosed(truth: Truth, found: Findings) -> Iterator[Claim]:
    said = found.runs[0].diagnoses
    first = said[0].cause if said else "nothing"
    yield Claim(f"first cause: {' or '.join(truth.causes)}", first in truth.causes, first)
    if truth.owner is not None and said:
        owner = said[0].owner
        yield Claim(
            f"it is {truth.owner}'s", owner == truth.owner, owner or "an unnamed application"
        )
    worst = max(run.used for run in found.runs)
    named = {run.diagnoses[0].cause for run in found.runs if run.used == worst and run.diagnoses}
    steady = {*truth.causes, *truth.sooner_or_later}
    yield Claim(
        "the same cause while nothing changes",
        named <= steady or len(named) == 1,
        ", then ".join(sorted(named)),
    )
    causes = {each.cause for run in found.runs for each in run.diagnoses}
    for wrong in truth.none_of:
        yield Claim(f"never: {wrong}", wrong not in causes, ", ".join(sorted(causes)) or "nothing")
    for late in truth.sooner_or_later:
        yield Claim(
            f"sooner or later: {late}", late in causes, ", ".join(sorted(causes)) or "nothing"
        )
    text = "\n".join(_read_by_people(found))
    for wanted in truth.says:
        yield Claim(f"says: {wanted}", bool(re.search(wanted, text, re.MULTILINE)), "it does not")
    restraints = {run.restraint for run in found.runs if run.restraint}
    for wrong in truth.never_restrained:
        yield Claim(f"never: {wrong}", wrong not in restraints, ", ".join(sorted(restraints)))
    for unwanted in NEVER_SAID:
        match = re.search(unwanted, text)
        yield Claim(f"does not say: {unwanted}", not match, match[0] if match else "")


def _read_by_people(found: Findings) -> Iterator[str]:
    for run in found.runs:
        yield from (run.headline, run.explanation or "", run.escalation or "")
        for each in run.diagnoses:
            yield from (each.summary, each.advice)


def _undisturbed(truth: Truth, found: Findings) -> Iterator[Claim]:
    work = found.at_work
    yield Claim(
        "no errors at work", work.failed == 0, f"{work.failed} of {work.count}: {work.error}"
    )
    if truth.first_errors is not None:
        first = found.first
        holds = first.failed <= truth.first_errors
        wanted = f"at most {truth.first_errors} errors on first use"
        yield Claim(wanted, holds, f"{first.failed} of {first.count}: {first.error}")
    later = found.later
    yield Claim(
        "no errors later", later.failed == 0, f"{later.failed} of {later.count}: {later.error}"
    )
    causes = {each.cause for run in found.runs for each in run.diagnoses}
    for application, gone in found.lost.items():
        if application in found.crashed and gone < FEWEST_SESSIONS:
            continue  # so few are a coincidence; the report does not mention them
        if application in found.crashed:
            yield Claim(
                f"some report names: {ENDED_BY_THEMSELVES}",
                ENDED_BY_THEMSELVES in causes,
                f"{gone} more of {application} are gone, unmentioned",
            )
        else:
            yield Claim(
                f"the report names all of {application} that went",
                holds=False,
                found=f"{gone} are not in it",
            )


@dataclass(frozen=True, slots=True)
class Row:
    """One scenario with one client on one server. `problem` says why there are no findings."""

    scenario: str
    client: str
    version: int
    findings: Findings | None = None
    claims: tuple[Claim, ...] = ()
    problem: str | None = None
    is_unavailable: bool = False

    @property
    def holds(self) -> bool:
        """Whether all that must be true is. What could not be measured is not, unless something is
        not installed.
        """
        if self.findings is None:
            return self.is_unavailable
        return bool(self.claims) and all(claim.holds for claim in self.claims)

    @property
    def broken(self) -> tuple[Claim, ...]:
        return tuple(claim for claim in self.claims if not claim.holds)


def said(diagnosis: Mapping[str, Any]) -> Said:
    """Return what a diagnosis of a Report says."""
    return Said(
        str(diagnosis["cause"]),
        str(diagnosis["evidence"].get("application", "")),
        str(diagnosis["summary"]),
        str(diagnosis["advice"]),
    )
