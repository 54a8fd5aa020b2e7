"""What the containers of a pod are set to: environment variables, ConfigMaps and mounted files."""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connection_guard.cli.budget.files.located_yaml import place_of
from connection_guard.cli.budget.files.settings_files import application_settings, properties
from connection_guard.cli.budget.files.workload import (
    Document,
    Setting,
    as_list,
    as_map,
    canonical,
    setting,
)

_INI = "pgbouncer.ini"


@dataclass(frozen=True, slots=True)
class KeptValues:
    """The ConfigMaps and Secrets by kind and name, each with its values by their keys."""

    by_name: Mapping[tuple[str, str], Mapping[str, Setting]]

    def of(self, kind: str, name: object) -> Mapping[str, Setting]:
        """Return the values of one of them, none where it is not among what was read."""
        return self.by_name.get((kind, str(name)), {})


def kept_values(documents: Sequence[Document]) -> KeptValues:
    """Return what ConfigMaps and Secrets hold."""
    found: dict[tuple[str, str], dict[str, Setting]] = {}
    for each in documents:
        kind, name = each.content.get("kind"), as_map(each.content.get("metadata")).get("name")
        if kind not in ("ConfigMap", "Secret"):
            continue
        values: dict[str, Setting] = {}
        for part in ("data", "stringData"):
            table = as_map(each.content.get(part))
            for key, value in table.items():
                is_encoded = kind == "Secret" and part == "data"
                text = _decoded(value) if is_encoded else value
                values[key] = setting(text, place_of(each.source, table, key))
        found[str(kind), str(name)] = values
    return KeptValues(found)


def environment(value: object, source: str, kept: KeptValues) -> Iterator[tuple[str, Setting]]:
    """Yield the variables of an `env`, which is a list of Kubernetes or a mapping of a chart."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield name, _variable(each, place_of(source, value, name), kept)
    for each in as_list(value):
        table = as_map(each)
        if "name" in table:
            inner = table.get("value") if "valueFrom" not in table else table
            yield str(table["name"]), _variable(inner, place_of(source, table, "name"), kept)


def container_settings(
    container: Mapping[str, Any], pod: Mapping[str, Any], source: str, kept: KeptValues
) -> tuple[dict[str, Setting], Setting | None]:
    """Return the settings of a container, and the pgbouncer.ini that is mounted into it.

    As Kubernetes does, `env` wins over `envFrom`; mounted files come last.
    """
    found: dict[str, Setting] = {}
    ini = None
    for key, value in _mounted(container, pod, kept):
        if key == _INI:
            ini = value
        elif value.value is not None and key.endswith(".properties"):
            found |= properties(value.value, value.place.partition(":")[0])
        elif value.value is not None and key.startswith("application") and ".y" in key:
            found |= application_settings(value.value, value.place.partition(":")[0])
    for each in as_list(container.get("envFrom")):
        table = as_map(each)
        prefix = str(table.get("prefix") or "")
        for reference, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            for name, value in kept.of(kind, as_map(table.get(reference)).get("name")).items():
                found[canonical(prefix + name)] = value
    for name, value in environment(container.get("env"), source, kept):
        found[canonical(name)] = value
    return found, ini


def _variable(value: object, place: str, kept: KeptValues) -> Setting:
    if not isinstance(value, dict):
        return setting(value, place)
    origin = as_map(value.get("valueFrom")) or value
    for reference, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
        table = as_map(origin.get(reference))
        if found := kept.of(kind, table.get("name")).get(str(table.get("key"))):
            return found
    if "value" in value and not isinstance(value["value"], dict):
        return setting(value["value"], place)
    return Setting(None, place)


def _mounted(
    container: Mapping[str, Any], pod: Mapping[str, Any], kept: KeptValues
) -> Iterator[tuple[str, Setting]]:
    mounts = {as_map(each).get("name") for each in as_list(container.get("volumeMounts"))}
    for each in as_list(pod.get("volumes")):
        volume = as_map(each)
        if volume.get("name") in mounts:
            yield from kept.of("ConfigMap", as_map(volume.get("configMap")).get("name")).items()
            secret = as_map(volume.get("secret"))
            yield from kept.of("Secret", secret.get("secretName")).items()


def _decoded(value: object) -> str | None:
    try:
        return base64.b64decode(str(value), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
