"""The options that choose a policy and a tier, for the verbs that decide as the responder does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.configuration.policy.consistency import target_not_below_warning
from connection_guard.configuration.policy.policy_file import parse_policy
from connection_guard.configuration.toml.readers import MistakeError
from connection_guard.configuration.toml.text_file import read_text
from connection_guard.core.policy import Policy, Tier

Verb = TypeVar("Verb", bound=Callable[..., Any])


def policy_options(verb: Verb) -> Verb:
    """Add `--policy`, as the argument `policy_file`, and `--tier`."""
    policy = click.option(
        "--policy",
        "policy_file",
        type=click.Path(path_type=Path),
        help="Decide by this policy.toml and not by the one that the database has.",
    )
    tier = click.option(
        "--tier",
        type=click.Choice(Tier, case_sensitive=False),
        default=Tier.CRITICAL.value,
        show_default=True,
        help="Decide as after an alarm of this tier.",
    )
    return policy(tier(verb))


def read_policy_file(file: Path, warning_percent: float) -> Policy:
    """Return the policy of a file. Raise UserMistakeError where it cannot be read, or its target is
    not below the warning alarm, and ConfigurationError with a line for each other mistake.
    """
    try:
        policy = parse_policy(read_text(file), str(file))
    except MistakeError as mistake:
        raise UserMistakeError(f"--policy: {mistake}") from mistake
    if too_high := target_not_below_warning(policy, warning_percent):
        raise UserMistakeError(f"{file}: {too_high}")
    return policy
