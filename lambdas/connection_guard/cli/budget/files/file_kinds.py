"""Which kind of file it is, and what reads it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connection_guard.cli.budget.files.cloudformation_template import (
    is_template_of_ecs,
    read_templates,
)
from connection_guard.cli.budget.files.compose_file import read_compose
from connection_guard.cli.budget.files.ecs_definitions import is_ecs, read_definitions
from connection_guard.cli.budget.files.helm_values import LOOKED_FOR, are_values, read_values
from connection_guard.cli.budget.files.kubernetes_manifests import read_manifests
from connection_guard.cli.budget.files.workload import Reader, as_map


@dataclass(frozen=True, slots=True)
class FileKind:
    """A kind of document: its name, the keys by which it is recognized, and what reads it."""

    name: str
    keys: str
    recognizes: Callable[[Mapping[str, Any]], bool]
    read: Reader


KINDS: Sequence[FileKind] = (
    FileKind(
        "Kubernetes manifest",
        "apiVersion and kind",
        lambda content: "kind" in content and "apiVersion" in content,
        read_manifests,
    ),
    FileKind(
        "docker-compose file",
        "services",
        lambda content: isinstance(content.get("services"), dict),
        read_compose,
    ),
    FileKind(
        "ECS definition",
        "containerDefinitions, desiredCount or ScalableTargets",
        is_ecs,
        read_definitions,
    ),
    FileKind(
        "CloudFormation template",
        "Resources, of Amazon ECS",
        lambda content: "Resources" in content and is_template_of_ecs(content),
        read_templates,
    ),
    FileKind("Helm values", LOOKED_FOR, are_values, read_values),
)


def kind_of(content: object) -> FileKind | None:
    """Return the kind of a document, None where it is not known."""
    table = as_map(content)
    if isinstance(content, list):  # as `aws ecs describe-services --query services` writes
        table = {"services": content}
    return next((each for each in KINDS if table and each.recognizes(table)), None)


def is_spring(content: object) -> bool:
    """Return whether it is an application.yaml of Spring."""
    return any(key == "spring" or key.startswith("spring.") for key in as_map(content))


def is_rails(content: object) -> bool:
    """Return whether it is a config/database.yml of Rails."""
    return any(
        "postgres" in str(as_map(each).get("adapter", as_map(as_map(each).get("primary"))))
        for each in as_map(content).values()
    )


def known_kinds() -> str:
    """Return what a message lists: each kind, and the keys that were looked for."""
    kinds = [f"{each.name} ({each.keys})" for each in KINDS]
    return "; ".join([*kinds, "application.yaml (spring)", "database.yml (adapter)"])
