"""Texts of policy.toml for tests, built from the base of the case files."""

from collections.abc import Mapping
from json import dumps
from pathlib import Path

import pytest

from connection_guard.configuration.policy.policy_file import parse_policy
from connection_guard.errors import ConfigurationError
from tests.unit.configuration.cases import as_toml, the_base

CASES = Path(__file__).with_name("cases")

_BASE = the_base(CASES / "rules.txt")
TIERS = as_toml(_BASE["tiers"])
STALE_IDLE = as_toml(_BASE["rules"][0])
LIMITS: dict[str, object] = _BASE["limits"]


def policy(
    *rules: str, tiers: str = TIERS, protect: str = "", limits: Mapping[str, object] = LIMITS
) -> str:
    """Return a policy in TOML without mistakes but for what a test puts into it."""
    lines = ["[tiers]", tiers, "[protect]", protect, "[limits]"]
    lines += [f"{key} = {dumps(value)}" for key, value in limits.items()]
    for rule in rules or (STALE_IDLE,):
        lines += ["[[rules]]", rule]
    return "\n".join(lines)


def terminating(
    name: str, more: str = "", states: str = '["idle"]', older_than: str = "10m"
) -> str:
    """Return a rule that terminates."""
    lines = [f'name = "{name}"', 'action = "terminate"', f"states = {states}"]
    return "\n".join([*lines, f'older_than = "{older_than}"', more])


def refusal(text: str) -> list[str]:
    """Return the lines that report the mistakes of the policy."""
    with pytest.raises(ConfigurationError) as refused:
        parse_policy(text)
    return str(refused.value).split("\n")
