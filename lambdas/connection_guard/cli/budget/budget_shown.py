"""A budget as people and programs read it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from connection_guard.cli.budget.pool_gate import DatabaseGate, Gate
from connection_guard.core.budget.observed import Seen
from connection_guard.core.budget.pool_budget import Proposal
from connection_guard.core.budget.service import Service
from connection_guard.core.words import shown


def gate_document(gate: Gate) -> Mapping[str, Any]:
    """Return the document that `--json` writes."""
    return {
        "fits": gate.fits,
        "databases": [_database_document(each) for each in gate.databases],
        "unplaced": [_place_document(each) for each in gate.unplaced],
        "elsewhere": [_place_document(each) for each in gate.elsewhere],
    }


def shown_gate(gate: Gate) -> Iterator[RenderableType]:
    """Yield a table per database with what follows from it, and then what was not counted."""
    for each in gate.databases:
        yield Text(f"{each.budget.database}: {each.budget.in_words()}", style=_style(each))
        yield Text(f"usable: {each.usable_from}", style="dim")
        yield _table(each)
        yield from _consequences(each)
        yield Text()
    for service in gate.unplaced:
        yield Text(
            f"{_name(service)} ({service.place}): which database it uses is not known: add "
            "--database NAME, or database to its [[services]] in guard.toml",
            style="red",
        )
    for service in gate.elsewhere:
        yield Text(
            f"not counted: {_name(service)} uses {shown(service.host or '')}, which is no database "
            "of guard.toml",
            style="dim",
        )


def _table(gate: DatabaseGate) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("service")
    table.add_column("read from", style="dim", overflow="fold")
    table.add_column("(replicas + surge) x processes x pool")
    table.add_column("connections", justify="right")
    if gate.observed is not None:
        table.add_column("now", justify="right")
        table.add_column("most seen", justify="right")
    for each in gate.budget.services:
        cells = [Text(_name(each)), Text(shown(each.place)), Text(_arithmetic(each)), _sum(each)]
        if gate.observed is not None:
            seen = gate.observed.get(each.name, Seen(0, 0))
            is_more = each.connections is not None and seen.most > each.connections
            cells += [Text(str(seen.latest)), Text(str(seen.most), style="red" if is_more else "")]
        table.add_row(*cells)
    return table


def _sum(service: Service) -> Text:
    if service.through is not None:
        return Text("-", style="dim")
    if service.connections is None:
        return Text("unknown", style="red")
    return Text(str(service.connections))


def _arithmetic(service: Service) -> str:
    replicas = str(service.replicas)
    if service.surge:
        replicas = f"({service.replicas} + {service.surge})"
    pool = "?" if service.pool_size is None else str(service.pool_size)
    if service.overflow:
        pool = f"({pool} + {service.overflow})"
    return f"{replicas} x {service.processes} x {pool}"


def _consequences(gate: DatabaseGate) -> Iterator[Text]:
    """Yield how figures were found, what is not known, and what the pools could be."""
    budget = gate.budget
    for each in budget.services:
        if each.through is not None:
            yield Text(f"  {_name(each)} counts at {shown(each.through)}", style="dim")
            continue
        if each.connections is None:
            yield Text(f"  {_name(each)}: pool size unknown: {each.missing}", style="red")
        if each.notes:
            yield Text(f"  {_name(each)}: {'; '.join(map(shown, each.notes))}", style="dim")
    for name, seen in (gate.undeclared or {}).items():
        yield Text(
            f"  {shown(name)} is open but not declared: {seen.latest} now, {seen.most} at most",
            style="yellow",
        )
    for name in gate.beyond:
        yield Text(f"  {shown(name)} has opened more than its pools allow", style="red")
    if not budget.over:
        return
    proposals = budget.proposals()
    if proposals is None:
        yield Text(
            f"Not even one connection per process fits: that would be {budget.fewest}. Run fewer "
            "replicas or processes, or put PgBouncer or RDS Proxy in front of the database.",
            style="red",
        )
        return
    yield Text("What the pools could be, so that all of them fit:")
    for proposal in proposals:
        yield Text(f"  {_proposed(proposal)}")


def _proposed(proposal: Proposal) -> str:
    service = proposal.service
    now = f"{service.pool_size}" + (f" + {service.overflow}" if service.overflow else "")
    could = f"{proposal.pool_size}" + (f" + {proposal.overflow}" if service.overflow else "")
    return f"{_name(service)}: {could} in place of {now}, {proposal.connections} connections in all"


def _style(gate: DatabaseGate) -> str:
    return "bold green" if gate.fits else "bold red"


def _name(service: Service) -> str:
    return shown(service.name)


def _database_document(gate: DatabaseGate) -> Mapping[str, Any]:
    budget = gate.budget
    proposals = budget.proposals() if budget.over else []
    return {
        "name": budget.database,
        "fits": gate.fits,
        "summary": budget.in_words(),
        "usable": budget.usable,
        "usable_from": gate.usable_from,
        "share": budget.share,
        "limit": budget.limit,
        "connections": budget.opened,
        "over": budget.over,
        "services": [_service_document(each, gate.observed) for each in budget.services],
        "proposals": None
        if proposals is None
        else [
            {
                "service": each.service.name,
                "pool_size": each.pool_size,
                "overflow": each.overflow,
                "connections": each.connections,
            }
            for each in proposals
        ],
        "fewest": budget.fewest,
        **({} if gate.undeclared is None else {"undeclared": _seen_document(gate.undeclared)}),
    }


def _service_document(service: Service, observed: Mapping[str, Seen] | None) -> Mapping[str, Any]:
    seen = None if observed is None else observed.get(service.name, Seen(0, 0))
    return {
        "name": service.name,
        "read_from": service.place,
        "replicas": service.replicas,
        "surge": service.surge,
        "processes": service.processes,
        "pool_size": service.pool_size,
        "overflow": service.overflow,
        "connections": service.connections,
        "through": service.through,
        "notes": list(service.notes),
        "missing": service.missing or None,
        **({} if seen is None else {"now": seen.latest, "most_seen": seen.most}),
    }


def _place_document(service: Service) -> Mapping[str, Any]:
    return {"name": service.name, "read_from": service.place, "host": service.host}


def _seen_document(seen: Mapping[str, Seen]) -> Sequence[Mapping[str, Any]]:
    return [
        {"application": name, "now": each.latest, "most_seen": each.most}
        for name, each in seen.items()
    ]
