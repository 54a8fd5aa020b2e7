"""What is to be said of the file as a whole: its databases that AWS no longer has. No I/O."""

from collections.abc import Mapping, Sequence

from connection_guard.cli.discover.account.discovered import FoundDatabase, LeftOut
from connection_guard.cli.discover.database_findings import DatabaseFinding
from connection_guard.cli.discover.merge_tables import TableOfFile
from connection_guard.cli.discover.wanted_tables import Fact, WantedTable
from connection_guard.configuration.guard.database_size import estimate_max_connections, size_keys
from connection_guard.configuration.max_connections.estimate import DEFAULT_EXPRESSION


def findings_of_file(
    tables: Sequence[TableOfFile], found: Sequence[FoundDatabase], left_out: Sequence[LeftOut]
) -> list[DatabaseFinding]:
    """Return a finding for each database of the file that is not, or no longer, one to guard.

    `tables` are those of the file before anything is merged.
    """
    names = {(each.kind, each.identifier) for each in found}
    resources = {each.resource_id for each in found}
    others = {(each.kind, each.identifier): each for each in left_out}
    findings = []
    for table in tables:
        _kind, name = table.names
        other = others.get(table.names)
        if not name or table.names in names or table.says.get("resource_id") in resources:
            continue
        if other is None:
            findings.append(
                DatabaseFinding(
                    name,
                    "it is in the file, but no longer in AWS; its table is kept",
                    "remove the table, or correct its name",
                )
            )
        elif not other.is_of_cluster:
            findings.append(
                DatabaseFinding(
                    name,
                    f"it is in the file, but cannot be guarded ({other.why}); its table is kept",
                    "remove the table",
                )
            )
    return findings


def estimates_of(wanted: Sequence[WantedTable]) -> Mapping[str, int]:
    """Return how many connections applications can get at least, as far as that can be estimated
    from what AWS knows.
    """
    found = {}
    for table in wanted:
        if "max_connections" not in table.facts:
            continue
        fields: dict[str, Fact] = dict.fromkeys(size_keys({}))
        fields["max_connections"] = DEFAULT_EXPRESSION
        fields |= {key: fact for key, fact in table.facts.items() if fact is not None}
        if estimate := estimate_max_connections(fields, table.identifier, []):
            found[table.identifier] = estimate.usable
    return found
