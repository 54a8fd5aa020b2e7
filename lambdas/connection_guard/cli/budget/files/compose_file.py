"""Read docker-compose files, with the variables of the .env beside them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connection_guard.cli.budget.files.located_yaml import place_of
from connection_guard.cli.budget.files.settings_files import properties
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

# https://docs.docker.com/reference/compose-file/interpolation/
_VARIABLE = re.compile(r"\$(?:\$|\{(\w+)(?:(:?[-?+])([^}]*))?\}|(\w+))")
_ONE_PER_NODE = "write replicas in guard.toml: deploy.mode is global, one per node"


def read_compose(documents: Sequence[Document]) -> Iterator[Workload]:
    """Yield the services of each file."""
    for each in documents:
        variables = properties(each.beside(".env") or "", ".env")
        for name, service in as_map(each.content.get("services")).items():
            yield _workload(each, name, as_map(service), variables)


def _workload(
    document: Document, name: str, service: Mapping[str, Any], variables: Mapping[str, Setting]
) -> Workload:
    source = document.source
    deploy = as_map(service.get("deploy"))
    counts = {key: _filled(value, variables) for key, value in {**service, **deploy}.items()}
    key = "replicas" if "replicas" in deploy else "scale"
    replicas = number(counts, key, source, 1)
    update = as_map(deploy.get("update_config"))
    surge = 0
    if update.get("order") == "start-first":  # the default is stop-first
        parallelism = number(update, "parallelism", source, 1)
        surge = min(parallelism, replicas) if parallelism else replicas
    command = words_of(service.get("entrypoint"), service.get("command"))
    return Workload(
        name=name,
        place=place_of(source, document.content["services"], name),
        replicas=replicas,
        surge=surge,
        settings=_settings(document, service, variables),
        words=[str(_filled(each, variables)) for each in [service.get("image", ""), *command]],
        missing=_ONE_PER_NODE if deploy.get("mode") == "global" else "",
        names=frozenset({str(service.get("container_name", name)), *_aliases(service)}),
    )


def _settings(
    document: Document, service: Mapping[str, Any], variables: Mapping[str, Setting]
) -> dict[str, Setting]:
    found: dict[str, Setting] = {}
    files = service.get("env_file")
    for each in files if isinstance(files, list) else [files]:
        path = as_map(each).get("path", each)
        if isinstance(path, str):
            found |= properties(document.beside(path) or "", path)
    environment = service.get("environment")
    source = document.source
    pairs = [
        (name, value, place_of(source, environment, name))
        for name, value in as_map(environment).items()
    ]
    for each in as_list(environment):
        name, equals, value = str(each).partition("=")
        pairs.append((name, value if equals else None, place_of(source, service, "environment")))
    for name, value, place in pairs:
        known = variables.get(canonical(name))
        filled = _filled(value, variables)
        is_passed_on = value is None and known is not None
        found[canonical(name)] = known if is_passed_on and known else setting(filled, place)
    return found


def _filled(value: object, variables: Mapping[str, Setting]) -> object:
    """Return the value with its variables replaced, those that are not known left as they are."""
    if not isinstance(value, str):
        return value

    def fill(match: re.Match[str]) -> str:
        name, operator, alternative = match[1] or match[4], match[2] or "", match[3] or ""
        if name is None:
            return "$"
        found = variables.get(canonical(name))
        text = found.value if found else None
        if operator.endswith("+"):
            return alternative if text else ""
        if text or (text is not None and ":" not in operator):
            return text
        return alternative if operator.endswith("-") else match[0]

    return _VARIABLE.sub(fill, value)


def _aliases(service: Mapping[str, Any]) -> list[str]:
    networks = as_map(service.get("networks")).values()
    return [str(alias) for each in networks for alias in as_list(as_map(each).get("aliases"))]
