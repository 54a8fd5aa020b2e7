"""Read [[services]]: what opens connections to the databases, for the arithmetic of their pools."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connection_guard.configuration.toml.readers import (
    MistakeError,
    anything,
    did_you_mean,
    given,
    name,
    truth,
    whole_number,
)
from connection_guard.configuration.toml.tables import Key, read_whole
from connection_guard.core.budget.service import DeclaredService

# Beyond any real service, and small enough for every product of them.
_MOST = 100_000
_ADVICE = "write [[services]], in double brackets, above each service"

_count = whole_number(1, _MOST)
_count_or_none = whole_number(0, _MOST)


def read_services(
    tables: object,
    source: str,
    databases: Sequence[str] | None,
    mistakes: list[str],
    homes: Mapping[str, str],
) -> tuple[DeclaredService, ...]:
    """Return the declared services, without those that have mistakes, which are added to
    `mistakes`.

    `databases` are the names of the databases that there are, None where not all of them are known.
    """
    if not isinstance(tables, list):
        mistakes.append(f"{source}: services: {given(tables)} is not a list of tables; {_ADVICE}")
        return ()
    places: dict[str, str] = {}
    services = []
    for index, table in enumerate(tables):
        written = table.get("name") if isinstance(table, dict) else None
        place = f"services[{index}] {given(written) if isinstance(written, str) else ''}".rstrip()
        fields = read_whole(table, _keys(databases), f"{source}: {place}", mistakes, homes)
        if fields is None:
            continue
        contradictions = [f"{source}: {place}: {each}" for each in _contradictions(fields)]
        if (first := places.setdefault(fields["name"], place)) != place:
            contradictions.append(
                f"{source}: {place}: name: {first} has the same name; remove one of them"
            )
        mistakes += contradictions
        if not contradictions:
            services.append(DeclaredService(place=f"{source}: {place}", **fields))
    return tuple(services)


def _keys(databases: Sequence[str] | None) -> dict[str, Key]:
    known = databases or ()
    only = known[0] if len(known) == 1 else None
    return {
        "name": Key("name", name, '"checkout-api"'),
        "database": Key(
            "database",
            _database(databases),
            given(known[0]) if len(known) > 1 else "",
            default=only,
        ),
        "replicas": Key("replicas", _count),
        "maximum_replicas": Key("maximum_replicas", _count),
        "surge": Key("surge", _surge),
        "processes": Key("processes", _count),
        "pool_size": Key("pool_size", _count_or_none),
        "overflow": Key("overflow", _count_or_none),
        "proxy": Key("is_proxy", truth, default=False),
        "application": Key("application", name),
    }


def _database(databases: Sequence[str] | None) -> Any:
    if databases is None:
        return anything

    def read(value: object) -> str:
        if not isinstance(value, str) or value.lower() not in databases:
            hint = did_you_mean(value, databases)
            raise MistakeError(
                f"{given(value)} is not a database of this file"
                f"{hint or '; there is ' + ', '.join(map(given, databases))}"
            )
        return value.lower()

    return read


def _surge(value: object) -> int | str:
    if isinstance(value, str) and re.fullmatch("[0-9]{1,4}%", value, re.ASCII):
        return value
    try:
        return _count_or_none(value)
    except MistakeError as mistake:
        raise MistakeError(
            f"{given(value)} is neither a number of replicas nor a percentage of them; write how "
            'many a rolling update adds, such as 1 or "25%"'
        ) from mistake


def _contradictions(fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong between values that are right by themselves."""
    replicas, maximum = fields["replicas"], fields["maximum_replicas"]
    if replicas and maximum and maximum < replicas:
        yield (
            f"maximum_replicas: {maximum} is less than replicas, {replicas}; write what the "
            "autoscaler starts at most, or leave it out"
        )
    if fields["is_proxy"]:
        if fields["pool_size"] is None:
            yield (
                "pool_size: is missing; write how many connections MaxConnectionsPercent leaves "
                "to the proxy, for example, pool_size = 60"
            )
        for key in ("replicas", "maximum_replicas", "surge", "processes", "overflow"):
            if fields[key] is not None:
                yield f"{key}: does not apply to a proxy; leave it out"
