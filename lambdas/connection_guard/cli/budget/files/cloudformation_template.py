"""Read the Amazon ECS resources of CloudFormation templates, such as those that the CDK writes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connection_guard.cli.budget.files.ecs_definitions import read_definitions
from connection_guard.cli.budget.files.located_yaml import LocatedMap
from connection_guard.cli.budget.files.workload import Document, Workload, as_map

_NAMES = {"AWS::ECS::TaskDefinition": "Family", "AWS::ECS::Service": "ServiceName"}
_TYPES = (*_NAMES, "AWS::ApplicationAutoScaling::ScalableTarget")
# As a variable that nobody knows, it is neither a host nor a size.
_UNKNOWN = "$UNKNOWN"


def is_template_of_ecs(content: Mapping[str, Any]) -> bool:
    """Return whether the mapping is a template with a task, a service, or what scales one."""
    return any(as_map(each).get("Type") in _TYPES for each in as_map(content["Resources"]).values())


def read_templates(documents: Sequence[Document]) -> Iterator[Workload]:
    """Yield the containers of each task, once per service that runs it, or once where none does."""
    return read_definitions(
        [
            Document(each.source, definition, each.beside)
            for each in documents
            for definition in _definitions(as_map(each.content["Resources"]))
        ]
    )


def _definitions(resources: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the resources as the API of Amazon ECS has them: the keys of its JSON begin small."""
    chosen = {name: each for name, each in resources.items() if as_map(each).get("Type") in _TYPES}
    names = {}
    for name, each in chosen.items():
        own = as_map(each.get("Properties")).get(_NAMES.get(each["Type"], ""))
        names[name] = own if isinstance(own, str) else name
    for name, each in chosen.items():
        definition = _resolved(each.get("Properties"), names)
        if not isinstance(definition, dict):
            continue
        match each["Type"]:
            case "AWS::ECS::TaskDefinition":
                definition["family"] = names[name]
            case "AWS::ECS::Service":
                definition["serviceName"] = names[name]
                definition.setdefault("desiredCount", 1)
        yield definition


def _resolved(value: Any, names: Mapping[str, str]) -> Any:
    """Return the value with references to the named resources replaced by their names."""
    match value:
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), *_]}:
            return names.get(name, _UNKNOWN)
        case {"Fn::Join": [str(between), [*parts]]}:
            return between.join(str(_resolved(each, names)) for each in parts)
        case dict() if any(key.startswith("Fn::") for key in value):
            return _UNKNOWN
        case LocatedMap():
            found = LocatedMap({_small(key): _resolved(value[key], names) for key in value})
            found.line = value.line
            found.lines = {_small(key): line for key, line in value.lines.items()}
            return found
        case list():
            return [_resolved(each, names) for each in value]
    return value


def _small(key: str) -> str:
    return key[:1].lower() + key[1:]
