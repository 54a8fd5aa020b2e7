"""Read [deploy]: the stack, and where it is deployed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from connection_guard.configuration.guard import aws_identifiers
from connection_guard.configuration.guard.guard_configuration import Architecture, Synthesizer
from connection_guard.configuration.toml.readers import MistakeError, given, one_of
from connection_guard.configuration.toml.tables import NOWHERE, Key, parse_document, read_fields
from connection_guard.configuration.toml.text_file import read_text
from connection_guard.errors import ConfigurationError

_DEPLOY = {
    "account": Key("account", aws_identifiers.account, '"123456789012"'),
    "region": Key("region", aws_identifiers.region, f'"{aws_identifiers.EXAMPLE_REGION}"'),
    "stack_name": Key("stack_name", aws_identifiers.stack_name, default="ConnectionGuard"),
    "architecture": Key("architecture", one_of(Architecture), default=Architecture.ARM64),
    "synthesizer": Key("synthesizer", one_of(Synthesizer), default=Synthesizer.BOOTSTRAP_ROLES),
    "tags": Key("tags", aws_identifiers.tags, default={}),
}


def deploy_keys(table: object, *, is_first: bool) -> dict[str, Key]:
    """Return the keys of the table. Only in the first file is the stack's name optional."""
    region = table.get("region") if isinstance(table, dict) else None
    key_arn = aws_identifiers.key_arn(region if isinstance(region, str) else None)
    keys = {**_DEPLOY, "kms_key": Key("kms_key", key_arn)}
    if not is_first:
        example = (
            '"ConnectionGuard-2": without its own name, this stack would replace that of guard.toml'
        )
        keys["stack_name"] = Key("stack_name", aws_identifiers.stack_name, example)
    return keys


def read_deploy(
    document: Mapping[str, object],
    source: str,
    mistakes: list[str],
    homes: Mapping[str, str],
    other: Path | None,
) -> dict[str, Any]:
    """Return the fields of [deploy] without those that have mistakes, which are added to
    `mistakes`.

    `other` is the file whose stack this one must not replace, None where this is that file.
    """
    place = f"{source}: deploy"
    table = document.get("deploy", {})
    deploy = read_fields(table, deploy_keys(table, is_first=other is None), place, mistakes, homes)
    if other and "stack_name" in deploy and _stack_of(deploy) == _stack_in(other):
        mistakes.append(
            f"{place}: stack_name: {given(deploy['stack_name'])} is the stack of {other.name}, "
            "which this file would replace; write another name"
        )
    return deploy


def _stack_in(path: Path) -> tuple[str, ...] | None:
    """Return the stack of the file, None where it cannot be read."""
    try:
        document = parse_document(read_text(path), path.name, "")
    except (MistakeError, ConfigurationError):
        return None
    return _stack_of(read_deploy(document, "", [], NOWHERE, None))


def _stack_of(deploy: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what identifies the stack to CloudFormation, as far as it is written correctly."""
    return tuple(deploy[key] for key in ("account", "region", "stack_name") if key in deploy)
