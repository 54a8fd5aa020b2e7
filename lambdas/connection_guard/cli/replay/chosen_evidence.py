"""All the evidence that a call names: found, put in order, and read side by side."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from multiprocessing.pool import AsyncResult, ThreadPool
from pathlib import Path

import boto3

from connection_guard.cli.access.aws_session import aws_session
from connection_guard.cli.access.deployed_stack import named_stack
from connection_guard.cli.access.guard_file_option import chosen_database
from connection_guard.cli.replay.all_replays import Loaded
from connection_guard.cli.replay.evidence_files import evidence_files
from connection_guard.cli.replay.evidence_objects import (
    SCHEME,
    SIDE_BY_SIDE,
    evidence_at,
    evidence_objects,
)
from connection_guard.cli.replay.evidence_source import EvidenceSource, load
from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.core.deployment.stack_output import StackOutput
from connection_guard.core.words import quoted

# What is read before it is needed is held in memory.
_READ_AHEAD = 2 * SIDE_BY_SIDE


@dataclass(frozen=True, slots=True)
class EvidenceChoice:
    """What a call names. None and () do not restrict anything."""

    places: tuple[str, ...]
    database: str | None
    since: datetime | None
    until: datetime | None
    guard_file: Path
    stack: str | None
    profile: str | None
    region: str | None


def chosen_sources(choice: EvidenceChoice) -> list[EvidenceSource]:
    """Return the evidence by databases, in the order of time.

    Raise UserMistakeError where there is none, and botocore's errors where AWS does not list it.
    """
    if choice.since and choice.until and choice.since >= choice.until:
        raise UserMistakeError("--since is not before --until: no evidence is between them")
    if not choice.places and choice.database is None:
        raise UserMistakeError(
            "no evidence is named: name files, folders or s3://BUCKET/PREFIX, or add --database "
            "NAME --since 30d for that of the deployed guard"
        )
    found = _at_places(choice) if choice.places else _of_deployed_guard(choice)
    sources = {each.name: each for each in found if _is_meant(each, choice)}
    if not sources:
        whose = f" of {quoted(choice.database)}" if choice.database else ""
        raise UserMistakeError(
            f"there is no evidence{whose}{_between(choice)}: correct --database, --since or --until"
        )
    return sorted(sources.values(), key=lambda each: (each.database, each.at, each.name))


def loaded_side_by_side(sources: Iterable[EvidenceSource]) -> Iterator[Loaded]:
    """Yield what each piece of evidence holds, in the same order. Few are in memory at a time.

    Raise botocore's errors where AWS refuses more than a single object.
    """
    # Unlike an executor's, its threads do not keep an interrupted process from ending.
    with ThreadPool(SIDE_BY_SIDE) as pool:
        waiting: deque[AsyncResult[Loaded]] = deque()
        for source in sources:
            waiting.append(pool.apply_async(_loaded, (source,)))
            if len(waiting) >= _READ_AHEAD:
                yield waiting.popleft().get()
        while waiting:
            yield waiting.popleft().get()


def _loaded(source: EvidenceSource) -> Loaded:
    try:
        return source.name, load(source)
    except ValueError as problem:
        return source.name, problem


def _at_places(choice: EvidenceChoice) -> Iterator[EvidenceSource]:
    @cache
    def session() -> boto3.Session:
        return aws_session(choice.profile, choice.region)

    for place in choice.places:
        if place.startswith(SCHEME):
            yield from evidence_at(place, session())
        else:
            yield from evidence_files(Path(place))


def _of_deployed_guard(choice: EvidenceChoice) -> Iterator[EvidenceSource]:
    stack = named_stack(choice.guard_file, choice.stack, choice.profile, choice.region)
    database = choice.database
    if stack.configuration is not None:
        found = chosen_database(stack.configuration, database, choice.guard_file)
        database = found.identifier
    bucket = stack.output(StackOutput.EVIDENCE_BUCKET)
    prefix = f"reports/database={database}/"
    first = f"{prefix}date={choice.since:%Y-%m-%d}/" if choice.since else ""
    for each in evidence_objects(bucket, prefix, stack.session, first_key=first):
        if choice.until and each.at > _written(choice.until):
            return
        yield each


def _is_meant(source: EvidenceSource, choice: EvidenceChoice) -> bool:
    """Return whether the evidence is of the database and within the time. What is not known of
    evidence that cannot be read leaves it in, so that it is named.
    """
    return (
        (not choice.database or source.database in ("", choice.database))
        and (not choice.since or not source.at or source.at >= _written(choice.since))
        and (not choice.until or not source.at or source.at <= _written(choice.until))
    )


def _written(time: datetime) -> str:
    """Return a time as the bucket's names have it."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H%M%S.%f}"


def _between(choice: EvidenceChoice) -> str:
    since = f" since {choice.since:%Y-%m-%d %H:%M}" if choice.since else ""
    until = f" until {choice.until:%Y-%m-%d %H:%M}" if choice.until else ""
    return f"{since}{until}"
