"""Read what Amazon ECS calls task definitions and services, and what scales them: the JSON that its
command line takes and returns.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connection_guard.cli.budget.files.located_yaml import place_of
from connection_guard.cli.budget.files.workload import (
    Document,
    Setting,
    Workload,
    as_list,
    as_map,
    canonical,
    number,
    setting,
    words_of,
)

# Amazon ECS API Reference, DeploymentConfiguration: of the desired tasks, rounded down.
_MAXIMUM_PERCENT = 200
_ONE_PER_INSTANCE = "write replicas in guard.toml: a DAEMON service has one task per instance"

Part = tuple[str, Mapping[str, Any]]


def is_ecs(content: Mapping[str, Any]) -> bool:
    """Return whether the mapping is of Amazon ECS."""
    return bool(
        _parts("containerDefinitions", content)
        or _parts("desiredCount", content)
        or _parts("taskDefinition", content)
        or _maxima([("", content)])
    )


def read_definitions(documents: Sequence[Document]) -> Iterator[Workload]:
    """Yield the containers of each task, once per service that runs it, or once where none does."""
    tasks: list[Part] = []
    services: list[Part] = []
    for each in documents:
        tasks += [(each.source, part) for part in _parts("containerDefinitions", each.content)]
        services += [
            (each.source, part)
            for part in [
                *_parts("desiredCount", each.content),
                *_parts("schedulingStrategy", each.content),
            ]
            if "containerDefinitions" not in part
        ]
    services = list({id(part): (source, part) for source, part in services}.values())
    maxima = _maxima([(each.source, each.content) for each in documents])
    for source, task in tasks:
        family = str(task.get("family", "task"))
        running = [each for each in services if _family(each[1].get("taskDefinition")) == family]
        if not running:
            note = "1 task: no service that runs it was read"
            yield from _containers(source, task, family, 1, 0, (note,), "")
        for service_source, service in running:
            name = str(service.get("serviceName", service.get("service", family)))
            replicas, surge, notes = _tasks(service, service_source, maxima.get(name))
            is_daemon = service.get("schedulingStrategy") == "DAEMON"
            missing = _ONE_PER_INSTANCE if is_daemon else ""
            yield from _containers(source, task, name, replicas, surge, notes, missing)


def _parts(key: str, content: object) -> list[Mapping[str, Any]]:
    """Return the mappings that have the key: the document, or what it wraps or lists."""
    table = as_map(content)
    if key in table and not isinstance(table[key], dict):
        return [table]
    wrapped = [table.get(name) for name in ("taskDefinition", "service")]
    listed = [*as_list(table.get("services")), *as_list(content)]
    return [each for each in [*wrapped, *listed] if key in as_map(each)]


def _maxima(documents: Sequence[Part]) -> dict[str, int]:
    """Return the most tasks that autoscaling starts, by the name of the service."""
    found = {}
    for source, content in documents:
        targets = [content, *as_list(as_map(content).get("ScalableTargets"))]
        for each in map(as_map, targets):
            resource = str(each.get("ResourceId", each.get("resourceId", "")))
            if resource.startswith("service/"):
                key = "MaxCapacity" if "MaxCapacity" in each else "maxCapacity"
                found[resource.rpartition("/")[2]] = number(each, key, source, 1)
    return found


def _family(task_definition: object) -> str:
    return str(task_definition).rpartition("/")[2].partition(":")[0]


def _tasks(
    service: Mapping[str, Any], source: str, maximum: int | None
) -> tuple[int, int, tuple[str, ...]]:
    replicas = number(service, "desiredCount", source, 1) if maximum is None else maximum
    notes = () if maximum is None else ("tasks: the maximum of application autoscaling",)
    configuration = as_map(service.get("deploymentConfiguration"))
    percent = number(configuration, "maximumPercent", source, _MAXIMUM_PERCENT, 100)
    return replicas, replicas * percent // 100 - replicas, notes


def _containers(
    source: str,
    task: Mapping[str, Any],
    name: str,
    replicas: int,
    surge: int,
    notes: tuple[str, ...],
    missing: str,
) -> Iterator[Workload]:
    for place, container in enumerate(map(as_map, as_list(task["containerDefinitions"]))):
        settings: dict[str, Setting] = {}
        for each in map(as_map, as_list(container.get("secrets"))):
            settings[canonical(str(each.get("name")))] = Setting(None, place_of(source, each))
        for each in map(as_map, as_list(container.get("environment"))):
            value = setting(each.get("value"), place_of(source, each, "name"))
            settings[canonical(str(each.get("name")))] = value
        command = words_of(container.get("entryPoint"), container.get("command"))
        yield Workload(
            name=name if place == 0 else f"{name}/{container.get('name')}",
            place=place_of(source, container, "name"),
            replicas=replicas,
            surge=surge,
            settings=settings,
            words=[str(container.get("image", "")), *command],
            notes=notes,
            missing=missing,
            group=f"{source} {name}",
        )
