"""Merge what AWS knows into the text of a guard.toml, whose comments, order and formatting stay.

No I/O. What a person decided is never touched: not the keys that AWS knows nothing of, nor where
the guard runs as long as the VPC is the same, nor which of the database's own security groups it
uses, nor through which proxy it comes.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tomlkit.exceptions import TOMLKitError

from connection_guard.cli.discover.new_tables import head_of_file, new_table
from connection_guard.cli.discover.toml_chunks import (
    chunks_of,
    editable,
    is_toml,
    tables_named,
    written_value,
)
from connection_guard.cli.discover.wanted_tables import DEFAULT_PORT, Fact, ProxyTable, WantedTable
from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.configuration.toml.tables import parse_document

_KINDS = ("instance", "cluster")
_PLACES = ("subnets", "availability_zones")


Names = tuple[str, str]
"""The kind of a database, and its identifier."""


@dataclass(frozen=True, slots=True)
class TableChange:
    """A key that changes. `key` is None where the database is new; None as a value is no key."""

    database: str
    key: str | None
    old: object = None
    new: object = None


@dataclass(slots=True)
class TableOfFile:
    """A table of the file: the places of its chunks, and what it says."""

    says: Mapping[str, Any]
    places: list[int]

    @property
    def names(self) -> Names:
        """Its kind and its identifier, as RDS stores it."""
        for kind in _KINDS:
            if isinstance(name := self.says.get(kind), str):
                return kind, name.lower()
        return "", ""


@dataclass(frozen=True, slots=True)
class Merged:
    """The new text, what changes, and what is worth a look: (database, note)."""

    text: str
    changes: tuple[TableChange, ...]
    notes: tuple[tuple[str, str], ...] = ()
    tables: tuple[TableOfFile, ...] = field(default=())


def merge_tables(
    text: str,
    name: str,
    wanted: Sequence[WantedTable],
    existing: Collection[Names],
    account: str,
    region: str,
) -> Merged:
    """Return the text of the file `name` with these databases. Merging again changes nothing.

    `existing` are the kinds and names of all databases in AWS: a table of one that is no longer
    among them may be that of a database that was renamed.

    Raise ConfigurationError where the text is not TOML, and UserMistakeError where its databases
    are not tables of their own.
    """
    document = parse_document(text, name, "[[databases]] above each database")
    chunks = chunks_of(text)
    tables = _tables(chunks, document.get("databases", []), name)
    newline = "\r\n" if "\r\n" in text else "\n"
    changes: list[TableChange] = []
    notes: list[tuple[str, str]] = []
    added: list[str] = []
    for table in wanted:
        if (known := _known(table, tables, existing)) is None:
            added.append(new_table(table))
            changes.append(TableChange(table.identifier, None, new=_as_toml(table.facts)))
        else:
            try:
                changes += _update(table, known, chunks, newline)
            except (ValueError, TOMLKitError) as error:
                raise UserMistakeError(
                    f"{name}: the table of {table.identifier} cannot be edited ({error}); write "
                    "it in a simpler way"
                ) from error
            notes += [(table.identifier, note) for note in _notes(table, known)]
    new = [*head_of_file(document, name, account, region, is_new=not text.strip()), *added]
    result = "".join(chunks)
    result += _appended(result, new, newline)
    if not is_toml(result):
        raise _not_tables(name)
    return Merged(result, tuple(changes), tuple(notes), tuple(tables))


def _tables(chunks: Sequence[str], written: object, name: str) -> list[TableOfFile]:
    tables: list[TableOfFile] = []
    says: list[Any] = written if isinstance(written, list) else [written]
    for place, chunk in enumerate(chunks):
        match tables_named(chunk, "databases"):
            case [_] if place:
                table = says[len(tables)] if len(tables) < len(says) else {}
                tables.append(TableOfFile(table, [place]))
            case dict() if tables:
                tables[-1].places.append(place)
    if len(tables) != len(says):
        raise _not_tables(name)
    return tables


def _not_tables(name: str) -> UserMistakeError:
    return UserMistakeError(
        f"{name}: databases: only tables of their own can be merged into; write "
        "[[databases]], in double brackets, above each database"
    )


def _known(
    wanted: WantedTable, tables: Sequence[TableOfFile], existing: Collection[Names]
) -> TableOfFile | None:
    """Return the table of the database, by its name or, where it was renamed, its resource ID."""
    for table in tables:
        if table.names == (wanted.kind, wanted.identifier):
            return table
    for table in tables:
        is_same = table.says.get("resource_id") == wanted.facts["resource_id"]
        if is_same and table.names[0] == wanted.kind and table.names not in existing:
            return table
    return None


def _update(
    wanted: WantedTable, table: TableOfFile, chunks: list[str], newline: str
) -> Iterator[TableChange]:
    """Write what differs into the chunks of a table, and yield it."""
    place = table.places[0]
    document = editable(chunks[place])
    [tables] = [document["databases"]]
    container: Any = tables[0]
    anchor = wanted.kind
    for key, fact in wanted.facts.items():
        old = table.says.get(key)
        if key in table.says and not _is_same(key, old, fact, wanted, table.says):
            yield TableChange(wanted.identifier, key, old, _toml_of(fact))
            if fact is None:
                # The line stays as a comment: a person may have written one behind it.
                container.value.item(key).trivia.indent += "# "
            else:
                container[key] = written_value(fact, newline, container.value.item(key))
        elif key not in table.says and fact is not None:
            yield TableChange(wanted.identifier, key, None, _toml_of(fact))
            line = f"{key} = {written_value(fact, newline).as_string()}{newline}"
            trivia = container.value.item(anchor).trivia
            end = "" if trivia.trail.endswith("\n") else newline
            trivia.trail += end + line
        if key in table.says:
            anchor = key
    chunks[place] = document.as_string()
    if (proxy := _same_proxy(wanted, table)) is not None:
        yield from _update_proxy(wanted.identifier, proxy, table, chunks, newline)


def _update_proxy(
    database: str, wanted: ProxyTable, table: TableOfFile, chunks: list[str], newline: str
) -> Iterator[TableChange]:
    says = table.says["proxy"]
    for place in table.places:
        document = editable(chunks[place])
        databases: Any = document["databases"]
        container = (databases[0] if isinstance(databases, list) else databases).get("proxy", {})
        for key, fact in wanted.facts.items():
            # An endpoint of the proxy that a person made has security groups of its own.
            is_custom = ".endpoint." in str(says.get("endpoint")) and key != "authentication"
            if key in container and not is_custom and not _is_same(key, says[key], fact):
                yield TableChange(database, f"proxy.{key}", says[key], _toml_of(fact))
                container[key] = written_value(fact, newline, container[key])
        chunks[place] = document.as_string()


def _same_proxy(wanted: WantedTable, table: TableOfFile) -> ProxyTable | None:
    """Return what AWS knows of the proxy that the table names, None where it names none of them."""
    says = table.says.get("proxy")
    if not isinstance(says, dict):
        return None
    for key in ("resource_id", "endpoint"):
        for proxy in wanted.proxies or ():
            if key in says and _is_same(key, says[key], proxy.facts[key]):
                return proxy
    return None


def _notes(wanted: WantedTable, table: TableOfFile) -> Iterator[str]:
    says = table.says.get("proxy")
    if wanted.proxies is None:
        return
    if says is None and wanted.proxies:
        yield (
            f"proxy {wanted.proxies[0].name} has it as target, and its table names no proxy: "
            "remove the table and run this again for one with it"
        )
    elif isinstance(says, dict) and not says.get("create") and not _same_proxy(wanted, table):
        yield "the proxy that its table names does not have it as target; it is kept"


def _is_same(
    key: str,
    old: object,
    fact: Fact,
    wanted: WantedTable | None = None,
    says: Mapping[str, Any] | None = None,
) -> bool:
    """Return whether the file may keep what it says."""
    if key in _PLACES and wanted and says:
        return bool(says.get("vpc") == wanted.facts["vpc"])
    if key == "security_groups" and isinstance(fact, tuple):
        return isinstance(old, list) and bool(old) and all(each in fact for each in old)
    if key == "endpoint":
        return str(old).lower().removesuffix(f":{DEFAULT_PORT}") == str(fact)
    if key in _KINDS:
        return str(old).lower() == fact
    if key == "max_connections":
        return str(old) == str(fact)
    return old == _toml_of(fact)


def _toml_of(fact: Fact) -> object:
    return list(fact) if isinstance(fact, tuple) else fact


def _as_toml(facts: Mapping[str, Fact]) -> dict[str, object]:
    return {key: _toml_of(fact) for key, fact in facts.items() if fact is not None}


def _appended(text: str, blocks: Sequence[str], newline: str) -> str:
    """Return what follows the text: the blocks, with an empty line above each but a first line."""
    if not blocks:
        return ""
    start = "" if not text else newline if text.endswith("\n") else 2 * newline
    return start + "\n".join(blocks).replace("\n", newline)
