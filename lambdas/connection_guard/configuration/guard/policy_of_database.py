"""Read the policy that a database names: its file, or policy.toml beside guard.toml, or the shipped
one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from connection_guard.configuration.policy.consistency import target_not_below_warning
from connection_guard.configuration.policy.policy_file import SHIPPED_POLICY, parse_policy
from connection_guard.configuration.toml.readers import MistakeError, given
from connection_guard.configuration.toml.text_file import read_text
from connection_guard.core.policy import Policy
from connection_guard.errors import ConfigurationError

DEFAULT_POLICY = "policy.toml"


class PolicyFile(NamedTuple):
    """A policy and the file that it is in."""

    file: Path
    policy: Policy


def policy_path(value: object) -> str:
    """Read the path of a policy, from the folder of guard.toml."""
    if not isinstance(value, str) or not value or not value.isprintable():
        raise MistakeError(
            f'{given(value)} is not the path of a file; write one such as "{DEFAULT_POLICY}"'
        )
    return value


def read_policy(
    fields: Mapping[str, Any], folder: Path, place: str, mistakes: list[str]
) -> PolicyFile | None:
    """Return the policy of a database with these fields, or None where it has mistakes, which are
    added to `mistakes`.
    """
    if "policy" not in fields:
        return None
    name, file = _policy_file(fields["policy"], folder)
    try:
        policy = parse_policy(read_text(file), name)
    except MistakeError as mistake:
        mistakes.append(f"{place}: policy: {mistake}")
        return None
    except ConfigurationError as error:
        mistakes += error.args
        return None
    if "warning" in fields and (too_high := target_not_below_warning(policy, fields["warning"])):
        mistakes.append(f"{place}: policy: {name}: {too_high}")
    return PolicyFile(file, policy)


def _policy_file(written: str | None, folder: Path) -> tuple[str, Path]:
    """Return the name of the policy in messages, and its file."""
    if written is not None:
        return written, folder / written
    if (beside := folder / DEFAULT_POLICY).exists():
        return DEFAULT_POLICY, beside
    return f"the shipped policy (a {DEFAULT_POLICY} beside this file replaces it)", SHIPPED_POLICY
