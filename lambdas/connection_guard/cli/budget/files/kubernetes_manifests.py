"""Read Kubernetes manifests: workloads, with their autoscalers and settings."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connection_guard.cli.budget.files.located_yaml import place_of
from connection_guard.cli.budget.files.pod_settings import (
    KeptValues,
    container_settings,
    kept_values,
)
from connection_guard.cli.budget.files.workload import (
    Document,
    Workload,
    as_list,
    as_map,
    number,
    words_of,
)
from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.configuration.toml.readers import given
from connection_guard.core.budget.service import DEFAULT_SURGE, surge_of

# https://keda.sh/docs/latest/reference/scaledobject-spec/: maxReplicaCount is 100 by default.
_KEDA_DEFAULT = 100
_WORKLOADS = (
    "Deployment",
    "StatefulSet",
    "ReplicaSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "Pod",
    "ReplicationController",
    "ScaledJob",
    "Rollout",
)
_ONE_PER_NODE = "write replicas in guard.toml: a DaemonSet has one per node"


def read_manifests(documents: Sequence[Document]) -> Iterator[Workload]:
    """Yield the containers of every workload."""
    everything = [
        Document(each.source, content, each.beside)
        for each in documents
        for content in _unpacked(each.content)
    ]
    kept = kept_values(everything)
    autoscaled = dict(_autoscaled(everything))
    services = [each.content for each in everything if each.content.get("kind") == "Service"]
    for each in everything:
        if each.content.get("kind") in _WORKLOADS:
            yield from _containers(each, kept, autoscaled, services)


def max_surge(written: object, place: str) -> int | str:
    """Return maxSurge, Kubernetes' default of 25 % where nothing is written.

    Raise UserMistakeError where it is neither a number nor a percentage.
    """
    if written is None:
        return DEFAULT_SURGE
    text = str(written).strip()
    if re.fullmatch("[0-9]{1,4}%?", text):
        return text if text.endswith("%") else int(text)
    raise UserMistakeError(
        f"{place}: maxSurge: {given(written)} is neither a number nor a percentage"
    )


def _unpacked(content: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(content, dict):
        if str(content.get("kind")).endswith("List") and isinstance(content.get("items"), list):
            for each in content["items"]:
                yield from _unpacked(each)
        else:
            yield content


def _autoscaled(documents: Sequence[Document]) -> Iterator[tuple[tuple[str, str], int]]:
    """Yield the most replicas of each autoscaler's target, by kind and name."""
    for each in documents:
        spec = as_map(each.content.get("spec"))
        target = as_map(spec.get("scaleTargetRef"))
        name, kind = str(target.get("name")), str(target.get("kind", "Deployment"))
        match each.content.get("kind"):
            case "HorizontalPodAutoscaler":
                yield (kind, name), number(spec, "maxReplicas", each.source, 1, 1)
            case "ScaledObject":
                yield (kind, name), number(spec, "maxReplicaCount", each.source, _KEDA_DEFAULT)


def _containers(
    document: Document,
    kept: KeptValues,
    autoscaled: Mapping[tuple[str, str], int],
    services: Sequence[Mapping[str, Any]],
) -> Iterator[Workload]:
    content, source = document.content, document.source
    kind, name = str(content.get("kind")), str(as_map(content.get("metadata")).get("name"))
    template = _template(content)
    pod = as_map(template.get("spec")) if kind != "Pod" else as_map(content.get("spec"))
    labels = as_map(as_map(template.get("metadata")).get("labels"))
    replicas, surge, notes = _replicas(content, kind, source, autoscaled.get((kind, name)))
    sidecars = [
        each
        for each in as_list(pod.get("initContainers"))
        if as_map(each).get("restartPolicy") == "Always"
    ]
    containers = [as_map(each) for each in [*as_list(pod.get("containers")), *sidecars]]
    for place, container in enumerate(containers):
        settings, ini = container_settings(container, pod, source, kept)
        image = str(container.get("image", ""))
        if "pgbouncer" not in image:
            ini = None
        own_name = name if place == 0 else f"{name}/{container.get('name')}"
        yield Workload(
            name=own_name,
            place=place_of(source, container, "name"),
            replicas=replicas,
            surge=surge,
            settings=settings,
            words=[image, *words_of(container.get("command"), container.get("args"))],
            notes=notes,
            missing=_ONE_PER_NODE if kind == "DaemonSet" else "",
            group=f"{source} {kind} {name}",
            ini=ini,
            names=_names(labels, services),
        )


def _template(content: Mapping[str, Any]) -> Mapping[str, Any]:
    spec = as_map(content.get("spec"))
    spec = as_map(as_map(spec.get("jobTemplate")).get("spec")) or spec
    spec = as_map(spec.get("jobTargetRef")) or spec
    return as_map(spec.get("template"))


def _replicas(
    content: Mapping[str, Any], kind: str, source: str, autoscaled: int | None
) -> tuple[int, int, tuple[str, ...]]:
    """Return the most replicas, those that a rolling update adds, and how they were found."""
    spec = as_map(content.get("spec"))
    match kind:
        case "CronJob":
            job = as_map(as_map(spec.get("jobTemplate")).get("spec"))
            policy = spec.get("concurrencyPolicy", "Allow")
            notes = ("runs that overlap are not counted",) if policy == "Allow" else ()
            return number(job, "parallelism", source, 1), 0, notes
        case "ScaledJob":
            jobs = number(spec, "maxReplicaCount", source, _KEDA_DEFAULT)
            return jobs * number(as_map(spec.get("jobTargetRef")), "parallelism", source, 1), 0, ()
        case "Job":
            return number(spec, "parallelism", source, 1), 0, ()
        case "Pod" | "DaemonSet":
            return 1, 0, ()
    replicas = number(spec, "replicas", source, 1) if autoscaled is None else autoscaled
    notes = () if autoscaled is None else ("replicas: the autoscaler's maximum",)
    strategy = as_map(spec.get("strategy"))
    if kind not in ("Deployment", "Rollout") or strategy.get("type") == "Recreate":
        return replicas, 0, notes
    if strategy.get("blueGreen") is not None:  # https://argo-rollouts.readthedocs.io
        return replicas, replicas, notes
    rolling = as_map(strategy.get("rollingUpdate") or strategy.get("canary"))
    surge = max_surge(rolling.get("maxSurge"), place_of(source, rolling, "maxSurge"))
    return replicas, surge_of(surge, replicas), notes


def _names(labels: Mapping[str, Any], services: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Return the names of the Services that lead to a pod with the labels."""
    selectors = {
        str(as_map(each.get("metadata")).get("name")): as_map(
            as_map(each.get("spec")).get("selector")
        )
        for each in services
    }
    return frozenset(
        name
        for name, selector in selectors.items()
        if selector and selector.items() <= labels.items()
    )
