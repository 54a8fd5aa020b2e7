"""Read one guard file or several: each is a stack with its own account and region."""

from collections import Counter
from collections.abc import Iterator, Mapping
from glob import has_magic
from pathlib import Path

from connection_guard.configuration.guard.guard_configuration import Configuration, Database
from connection_guard.configuration.guard.guard_file import read_configuration
from connection_guard.errors import ConfigurationError

_ONLY_WHILE_IT_MOVES = (
    "once the guard of the other stack works, remove the database from the file that it leaves"
)


def read_guard_files(
    files: str, folder: Path, first: Path | None = None
) -> dict[str, Configuration]:
    """Return what each file says, in the order of their paths, by the file's name, or by its path
    where another has the same name.

    `files` is a path or a glob, as seen from `folder`. `first` is the file whose stack may have the
    default name, None where every file's may. Raise ConfigurationError with one line for every
    mistake in any of them.
    """
    path = folder / files
    anchor = Path(path.anchor)
    paths = sorted(anchor.glob(str(path.relative_to(anchor)))) if has_magic(files) else [path]
    if not paths:
        raise ConfigurationError(f"{files}: no file has such a name; correct GUARD")
    times = Counter(each.name for each in paths)
    read: dict[str, Configuration] = {}
    mistakes: list[str] = []
    for each in paths:
        try:
            name = each.name if times[each.name] == 1 else str(each)
            read[name] = read_configuration(each, first)
        except ConfigurationError as wrong:
            mistakes += wrong.args
    mistakes += _same_stack(read)
    if mistakes:
        raise ConfigurationError(*mistakes)
    return read


def _same_stack(configurations: Mapping[str, Configuration]) -> Iterator[str]:
    """Yield a mistake for each file that would replace the stack of another."""
    files: dict[tuple[str, str, str], str] = {}
    for file, configuration in configurations.items():
        target = configuration.target
        first = files.setdefault((target.account, target.region, target.stack_name), file)
        if first != file:
            yield (
                f'{file}: deploy: stack_name: "{target.stack_name}" is the stack of {first} in '
                "that account and region, which this file would replace; write another name"
            )


def guarded_twice(configurations: Mapping[str, Configuration]) -> Iterator[tuple[str, str]]:
    """Yield, for each database that an earlier file guards as well, the file and what to say: it is
    right only while the database moves from one stack to the other.
    """
    files: dict[tuple[str, ...], str] = {}
    for file, configuration in configurations.items():
        target = configuration.target
        for database in configuration.databases:
            for name in _names(database):
                first = files.setdefault((target.account, target.region, *name), file)
                if first != file:
                    yield file, f"{first} guards {database.identifier}, too: {_ONLY_WHILE_IT_MOVES}"
                    break


def _names(database: Database) -> tuple[tuple[str, str], ...]:
    """Return what identifies the database in its account and region."""
    kind = "cluster" if database.is_cluster else "instance"
    return ("resource_id", database.resource_id), (kind, database.identifier)
