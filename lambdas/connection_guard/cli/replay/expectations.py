"""What a policy has to do with saved evidence, as a file that a person reviews and a pipeline
checks.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from glob import escape

import tomlkit

from connection_guard.cli.replay.stored_names import stored_name
from connection_guard.configuration.policy.matchers import application_glob, glob
from connection_guard.configuration.toml import readers
from connection_guard.configuration.toml.tables import Key, parse_document, read_whole, unknown
from connection_guard.core.database.session import Session
from connection_guard.core.replay.replaying import Fate, Replayed
from connection_guard.core.words import counted, quoted
from connection_guard.errors import ConfigurationError

_MOST = 1_000_000_000
_HEADER = """\
What the policy has to do with this evidence: see docs/commands/replay.md.
Each [[expect]] is checked by `connection-guard replay EVIDENCE... --policy FILE --expect FILE`.\
"""


@dataclass(frozen=True, slots=True)
class ExpectedFates:
    """How many sessions of some evidence a policy terminates, or which.

    `evidence` is a glob of names, or of their ends. Of sessions those count whose application and
    role match. At least one of the others is given.
    """

    name: str
    evidence: str
    applications: tuple[str, ...]
    roles: tuple[str, ...]
    terminates: int | None
    at_least: int | None
    at_most: int | None
    pids: tuple[int, ...] | None


def read_expectations(text: str, source: str) -> tuple[ExpectedFates, ...]:
    """Return what the file expects. Raise ConfigurationError with one line per mistake."""
    document = parse_document(text, source, "[[expect]] above each expectation")
    mistakes = [unknown(key, ("expect",)) for key in document if key != "expect"]
    tables = document.get("expect", [])
    if not isinstance(tables, list) or not tables:
        mistakes.append("expect: is missing; write [[expect]] above each expectation")
        tables = []
    expected = []
    for place, table in enumerate(tables):
        where = f"expect[{place}]"
        if (fields := read_whole(table, _KEYS, where, mistakes)) is None:
            continue
        if all(fields[name] is None for name in _COUNTS):
            mistakes.append(f"{where}: says nothing; write one of {', '.join(_COUNTS)}")
        expected.append(ExpectedFates(**fields))
    if mistakes:
        raise ConfigurationError(*(f"{source}: {mistake}" for mistake in mistakes))
    return tuple(expected)


def _pids(value: object) -> tuple[int, ...]:
    return readers.list_of(readers.whole_number(1, _MOST))(value)


_COUNTS = ("terminates", "at_least", "at_most", "pids")
_COUNT = readers.whole_number(0, _MOST)
_KEYS: Mapping[str, Key] = {
    "name": Key("name", readers.name, default=""),
    "evidence": Key(
        "evidence",
        readers.matching("(?s:.+)", "the name of evidence", 'one, or a glob such as "reports/*"'),
        default="*",
    ),
    "applications": Key("applications", readers.list_of(application_glob), default=()),
    "roles": Key("roles", readers.list_of(glob), default=()),
    "terminates": Key("terminates", _COUNT),
    "at_least": Key("at_least", _COUNT),
    "at_most": Key("at_most", _COUNT),
    "pids": Key("pids", _pids),
}


class ExpectationCheck:
    """Compares what is expected with each replayed run, and keeps only counts."""

    def __init__(self, expected: Iterable[ExpectedFates]) -> None:
        self._expected = tuple(expected)
        self._terminated = [0] * len(self._expected)
        self._matched = [0] * len(self._expected)
        self._mismatches: list[str] = []

    def look(self, evidence: str, again: Replayed) -> None:
        """Compare a run with what is expected of it."""
        ended = set(again.anew.pids(Fate.TERMINATE))
        sessions = [each for each in again.run.snapshot.sessions if each.pid in ended]
        for place, each in enumerate(self._expected):
            if not _is_meant(evidence, each.evidence):
                continue
            matching = [session for session in sessions if _matches(session, each)]
            self._matched[place] += 1
            self._terminated[place] += len(matching)
            if each.pids is not None:
                pids = {session.pid for session in matching}
                self._mismatches += _other_pids(_label(place, each), evidence, pids, each.pids)

    def mismatches(self) -> list[str]:
        """Return a line for each expectation that was not met, once all runs were looked at."""
        lines = list(self._mismatches)
        for place, each in enumerate(self._expected):
            label, count = _label(place, each), self._terminated[place]
            if not self._matched[place]:
                lines.append(f"{label}: no evidence that was decided is named {each.evidence!r}")
                continue
            lines += [f"{label}: {wrong}" for wrong in _other_count(count, each)]
        return lines


def written_header() -> str:
    """Return how a file of expectations begins."""
    return "".join(f"# {line}\n" for line in _HEADER.splitlines())


def written_expectation(evidence: str, again: Replayed) -> str:
    """Return the lines of a file that expects exactly this result."""
    ended = again.anew.pids(Fate.TERMINATE)
    rules = [again.anew.of_sessions[pid].rule for pid in ended]
    by_rule = ", ".join(f"{rules.count(rule)} by {quoted(rule)}" for rule in sorted(set(rules)))
    restraint = f"; restrained: {again.anew.restraint}" if again.anew.restraint else ""
    total = f"{len(ended)} of {counted(len(again.anew.of_sessions), 'session')}"
    table = tomlkit.table()
    table.add(tomlkit.comment(f"{total}{': ' if by_rule else ''}{by_rule}{restraint}"))
    table["evidence"] = escape(_short(evidence))
    table["pids"] = sorted(ended)
    tables = tomlkit.aot()
    tables.append(table)
    document = tomlkit.document()
    document["expect"] = tables
    return tomlkit.dumps(document)


def _short(evidence: str) -> str:
    """Return a name that stays the same wherever the bucket, or its copy, is."""
    stored = stored_name(evidence)
    if stored is None:
        return evidence
    return evidence[evidence.rindex("reports/database=") :]


def _is_meant(evidence: str, pattern: str) -> bool:
    return fnmatchcase(evidence, pattern) or fnmatchcase(evidence, f"*/{pattern}")


def _matches(session: Session, expected: ExpectedFates) -> bool:
    return _any_of(session.application_name, expected.applications) and _any_of(
        session.role, expected.roles
    )


def _any_of(name: str, globs: Collection[str]) -> bool:
    return not globs or any(map(partial(fnmatchcase, name), globs))


def _label(place: int, expected: ExpectedFates) -> str:
    return f"expect[{place}]" + (f" {quoted(expected.name)}" if expected.name else "")


def _other_pids(
    label: str, evidence: str, pids: set[int], expected: Collection[int]
) -> Iterator[str]:
    for what, wrong in (
        ("terminates pids that are not expected", pids - set(expected)),
        ("spares pids that are expected", set(expected) - pids),
    ):
        if wrong:
            yield f"{label}: {evidence}: {what}: {', '.join(map(str, sorted(wrong)))}"


def _other_count(count: int, expected: ExpectedFates) -> Iterator[str]:
    if expected.terminates is not None and count != expected.terminates:
        yield f"terminates {count}, expected {expected.terminates}"
    if expected.at_least is not None and count < expected.at_least:
        yield f"terminates {count}, expected at least {expected.at_least}"
    if expected.at_most is not None and count > expected.at_most:
        yield f"terminates {count}, expected at most {expected.at_most}"
