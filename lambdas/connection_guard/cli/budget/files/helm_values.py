"""Read the values of Helm charts, by the conventions that `helm create` and Bitnami have set."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from connection_guard.cli.budget.files.kubernetes_manifests import max_surge
from connection_guard.cli.budget.files.located_yaml import place_of
from connection_guard.cli.budget.files.pod_settings import KeptValues, environment
from connection_guard.cli.budget.files.workload import (
    Document,
    Setting,
    Workload,
    as_map,
    canonical,
    number,
    words_of,
)
from connection_guard.core.budget.service import surge_of

REPLICAS = ("replicaCount", "replicas")
AUTOSCALERS = ("autoscaling", "hpa", "keda", "horizontalPodAutoscaler")
MAXIMA = ("maxReplicas", "maxReplicaCount")
ENVIRONMENTS = (
    "env",
    "extraEnv",
    "extraEnvVars",
    "envVars",
    "environment",
    "environmentVariables",
    "config",
    "configMap",
    "configmap",
    "secretEnv",
)
_STRATEGIES = ("strategy", "updateStrategy", "deploymentStrategy")
_DATABASES = ("externalDatabase", "database", "externalPostgresql", "postgresql", "db")
_NOT_A_COMPONENT = frozenset(
    {
        *AUTOSCALERS,
        *ENVIRONMENTS,
        *_STRATEGIES,
        *_DATABASES,
        "image",
        "global",
        "redis",
        "ingress",
        "resources",
        "service",
    }
)
LOOKED_FOR = f"{', '.join(REPLICAS)}; autoscaling.maxReplicas; {', '.join(ENVIRONMENTS)}"


def are_values(content: Mapping[str, Any]) -> bool:
    """Return whether the mapping is that of a chart, or has components that are."""
    return any(True for _ in _components(content, (), 0))


def read_values(documents: Sequence[Document]) -> Iterator[Workload]:
    """Yield the components of charts. One without an environment has that of the mapping that it
    is in.
    """
    for each in documents:
        named = [each.content.get(key) for key in ("fullnameOverride", "nameOverride")]
        path = Path(each.source)
        folder = path.absolute().parent.name
        chart = folder if path.stem == "values" else f"{folder}/{path.stem}"
        chart = next((str(name) for name in named if name), chart)
        for keys, table, outer in _components(each.content, (), 0):
            yield _workload(each, "/".join(keys) or chart, table, outer)


def _components(
    table: Mapping[str, Any], keys: tuple[str, ...], depth: int, outer: tuple[Any, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any], tuple[Any, ...]]]:
    """Yield each mapping that has replicas, with its path and the mappings that it is in."""
    is_component = any(key in table for key in REPLICAS) or any(
        key in as_map(table.get(scaler)) for scaler in AUTOSCALERS for key in MAXIMA
    )
    if is_component:
        yield keys, table, outer
    for key, value in table.items():
        if isinstance(value, dict) and key not in _NOT_A_COMPONENT and depth < 4:
            yield from _components(value, (*keys, key), depth + 1, (*outer, table))


def _workload(
    document: Document, name: str, table: Mapping[str, Any], outer: tuple[Any, ...]
) -> Workload:
    source = document.source
    settings: dict[str, Setting] = {}
    for each in [*outer, table]:
        settings |= _settings(each, source) | _settings(as_map(each.get("global")), source)
    replicas, key, notes = _replicas(table, source)
    image = table.get("image")
    repository = as_map(image).get("repository", image if isinstance(image, str) else "")
    surge = _surge(table, source)
    return Workload(
        name=name,
        place=place_of(source, table, key),
        replicas=replicas,
        surge=surge_of(surge, replicas),
        settings=settings,
        words=[str(repository), *words_of(table.get("command"), table.get("args"))],
        notes=notes,
    )


def _settings(table: Mapping[str, Any], source: str) -> dict[str, Setting]:
    nothing = KeptValues({})
    found = {
        canonical(name): value
        for key in ENVIRONMENTS
        for name, value in environment(_data(table.get(key)), source, nothing)
    }
    for key in _DATABASES:
        for name, value in environment(as_map(table.get(key)), source, nothing):
            if name in ("host", "url", "poolSize", "maxOverflow") and value.value:
                found.setdefault(canonical(f"DB_{name}"), value)
    return found


def _data(value: object) -> object:
    return as_map(value).get("data", value)


def _replicas(table: Mapping[str, Any], source: str) -> tuple[int, str, tuple[str, ...]]:
    """Return the most replicas, the key that gives them, and how they were found."""
    for key in AUTOSCALERS:
        scaler = as_map(table.get(key))
        scaler = as_map(scaler.get("hpa")) or scaler  # Bitnami's
        for maximum in MAXIMA:
            if maximum in scaler and scaler.get("enabled", True) is True:
                note = "replicas: the autoscaler's maximum"
                return number(scaler, maximum, source, 1), key, (note,)
    for key in REPLICAS:
        if key in table:
            return number(table, key, source, 1), key, ()
    return 1, "", ("1 replica: none is stated, and no autoscaler is on",)


def _surge(table: Mapping[str, Any], source: str) -> int | str:
    for key in _STRATEGIES:
        strategy = as_map(table.get(key))
        if strategy.get("type") == "Recreate":
            return 0
        rolling = as_map(strategy.get("rollingUpdate"))
        if "maxSurge" in rolling:
            return max_surge(rolling["maxSurge"], place_of(source, rolling, "maxSurge"))
    return max_surge(None, source)
