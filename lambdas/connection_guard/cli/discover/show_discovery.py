"""What `discover` shows: the document for a program, and tables and lines for a person."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from connection_guard.cli.discover.account.discovered import FoundDatabase, LeftOut, MissingFact
from connection_guard.cli.discover.database_findings import DatabaseFinding
from connection_guard.cli.discover.merge_tables import TableChange
from connection_guard.configuration.toml.readers import given
from connection_guard.core.words import counted, printable, shown


@dataclass(frozen=True, slots=True)
class Discovery:
    """All that a call of `discover` found out. `text` is what it added to guard.toml."""

    region: str
    file: str
    databases: Sequence[FoundDatabase]
    left_out: Sequence[LeftOut]
    is_list: bool = False
    usable: Mapping[str, int] = field(default_factory=dict)
    proxies: Mapping[str, str] = field(default_factory=dict)
    findings: Sequence[DatabaseFinding] = ()
    changes: Sequence[TableChange] = ()
    notes: Sequence[tuple[str, str]] = ()
    missing: Sequence[MissingFact] = ()
    mistakes: Sequence[str] = ()
    added: str = ""
    is_written: bool = False

    @property
    def is_well(self) -> bool:
        """Whether nothing is left for a person to do."""
        return not (self.findings or self.missing or self.mistakes)


def discovery_document(discovery: Discovery) -> dict[str, Any]:
    """Return it for a program."""
    return {
        "region": discovery.region,
        "file": discovery.file,
        "written": discovery.is_written,
        "databases": [
            {
                "kind": each.kind,
                "name": each.identifier,
                "engine": each.engine,
                "version": each.version,
                "status": each.status,
                "class": each.instance_class,
                "endpoint": f"{each.host}:{each.port}",
                "resource_id": each.resource_id,
                "vpc": each.vpc,
                "iam_authentication": each.has_iam,
                "proxy": discovery.proxies.get(each.identifier),
                "usable_connections": discovery.usable.get(each.identifier),
                "tags": dict(each.tags),
            }
            for each in discovery.databases
        ],
        "changes": [
            {"database": each.database, "key": each.key, "old": each.old, "new": each.new}
            for each in discovery.changes
        ],
        "findings": [
            {"database": each.database, "problem": each.problem, "remedy": each.remedy}
            for each in discovery.findings
        ],
        "mistakes": list(discovery.mistakes),
        "notes": [{"database": name, "note": note} for name, note in discovery.notes],
        "missing_permissions": [
            {"action": each.action, "fact": each.fact} for each in discovery.missing
        ],
        "left_out": [
            {"kind": each.kind, "name": each.identifier, "why": each.why}
            for each in discovery.left_out
        ],
    }


def shown_discovery(discovery: Discovery) -> Iterator[RenderableType]:
    """Yield the same for a terminal."""
    if discovery.databases:
        yield _table(discovery)
    if discovery.is_list:
        yield from _section("Left out", _left_out(discovery.left_out))
        return
    yield from _section(f"Changes in {printable(discovery.file)}", _changes(discovery.changes))
    if discovery.added and not discovery.is_written:
        yield Text(f"\n{shown_lines(discovery.added)}", style="green")
    yield from _section("Left out", _left_out(discovery.left_out))
    yield from _section("For you to look at", _remarks(discovery))
    if discovery.mistakes:
        yield from _section(
            "What would still stop a deployment", (Text(each) for each in discovery.mistakes)
        )


def last_line_of_discovery(discovery: Discovery) -> str:
    """Return what follows from all of it."""
    if discovery.is_list:
        return _how_to_choose(discovery)
    file = printable(discovery.file)
    if not discovery.changes:
        return f"{file} is up to date."
    done = "Wrote" if discovery.is_written else "Nothing is written (--dry-run):"
    return f"{done} {counted(len(discovery.changes), 'change')} to {file}."


def shown_lines(text: str) -> str:
    """Return a text of several lines that a terminal only shows, and does not obey."""
    return "\n".join(
        line[: len(line) - len(line.lstrip())] + printable(line) for line in text.splitlines()
    )


def _table(discovery: Discovery) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("database", "kind", "PostgreSQL", "class", "IAM"):
        table.add_column(column, overflow="fold")
    if not discovery.is_list:
        table.add_column("usable", justify="right")
        table.add_column("proxy", overflow="fold")
    for each in discovery.databases:
        cells = [
            Text(printable(each.identifier)),
            Text(_kind(each)),
            Text(printable(each.version)),
            Text(_class(each)),
            Text("on") if each.has_iam else Text("off", style="red"),
        ]
        if not discovery.is_list:
            usable = discovery.usable.get(each.identifier)
            cells += [
                Text("?" if usable is None else f"{usable:,}"),
                Text(printable(discovery.proxies.get(each.identifier, "none"))),
            ]
        table.add_row(*cells)
    return table


def _kind(database: FoundDatabase) -> str:
    if database.is_multi_az_cluster:
        return "Multi-AZ cluster"
    return "Aurora cluster" if database.kind == "cluster" else database.kind


def _class(database: FoundDatabase) -> str:
    name = printable(database.instance_class)
    if database.minimum_acu is None or database.maximum_acu is None:
        return name
    return f"{name}, {database.minimum_acu:g} to {database.maximum_acu:g} ACUs"


def _section(title: str, lines: Iterator[Text]) -> Iterator[RenderableType]:
    for number, line in enumerate(lines):
        if number == 0:
            yield Text(f"\n{title}", style="bold")
        # Padding wraps every line, and rich's print each bare text.
        yield Group(line) if line.no_wrap else Padding(line, (0, 0, 0, 2))


def _changes(changes: Sequence[TableChange]) -> Iterator[Text]:
    for change in changes:
        line = Text(f"{printable(change.database)}: ")
        if change.key is None:
            yield line.append("added", style="green")
            continue
        line.append(f"{change.key} ")
        line.append(_value(change.old), style="red")
        yield line.append(" -> ").append(_value(change.new), style="green")


def _value(value: object) -> str:
    if isinstance(value, list):
        return shown(f"[{', '.join(map(given, value))}]")
    return "(not there)" if value is None else shown(given(value))


def _left_out(left_out: Sequence[LeftOut]) -> Iterator[Text]:
    names: dict[str, list[str]] = {}
    for each in left_out:
        names.setdefault(each.why, []).append(printable(each.identifier))
    for why, those in names.items():
        yield Text(f"{', '.join(those)}: {why}")


def _remarks(discovery: Discovery) -> Iterator[Text]:
    for each in discovery.findings:
        whose = f"{printable(each.database)}: " if each.database else ""
        yield Text(whose, style="bold").append(Text(each.problem, style="not bold"))
        yield Text(f"    {each.remedy}", no_wrap=True, overflow="ignore")  # to be copied
    for missing in discovery.missing:
        yield Text(
            f"not known for want of the permission {missing.action}: {printable(missing.fact)}"
        )
    for name, note in discovery.notes:
        yield Text(f"{printable(name)}: {printable(note)}")


def _how_to_choose(discovery: Discovery) -> str:
    if not discovery.databases:
        return f"There is no database with PostgreSQL in {printable(discovery.region)}."
    return (
        f"Choose by name, by --tag KEY=VALUE, or with --all, and they are written into "
        f"{printable(discovery.file)}."
    )
