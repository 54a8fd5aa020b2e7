"""Another file is another stack, which never replaces that of the first."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from connection_guard.configuration.guard.guard_file import read_configuration
from connection_guard.errors import ConfigurationError
from tests.unit.configuration.cases import LEFT_OUT
from tests.unit.configuration.guard.conftest import Write
from tests.unit.configuration.guard.guard_files import (
    DEPLOY,
    guard,
    payments,
)

SECOND_NEEDS_A_NAME = (
    "second.toml: deploy: stack_name: is missing; write, for example, stack_name = "
    '"ConnectionGuard-2": without its own name, this stack would replace that of guard.toml'
)


def the_second(first: str, deploy: Mapping[str, object], write: Write) -> tuple[Path, Path]:
    """Write guard.toml and a second file beside it; return the second one, and the first."""
    path = write(first)
    second = path.with_name("second.toml")
    second.write_text(guard(payments(), deploy=deploy))
    return second, path


def test_another_file_than_the_first_names_its_stack(write: Write) -> None:
    second, first = the_second(guard(), DEPLOY, write)

    with pytest.raises(ConfigurationError) as refused:
        read_configuration(second, first)

    assert str(refused.value) == SECOND_NEEDS_A_NAME
    assert read_configuration(first, first).target.stack_name == "ConnectionGuard"


@pytest.mark.parametrize("name", ["ConnectionGuard", "Guard-A"])
def test_another_file_cannot_have_the_name_of_the_first_ones_stack(name: str, write: Write) -> None:
    named = LEFT_OUT if name == "ConnectionGuard" else name
    second, first = the_second(
        guard(deploy=DEPLOY | {"stack_name": named}), DEPLOY | {"stack_name": name}, write
    )

    with pytest.raises(ConfigurationError) as refused:
        read_configuration(second, first)

    assert str(refused.value) == (
        f'second.toml: deploy: stack_name: "{name}" is the stack of guard.toml, which this file '
        "would replace; write another name"
    )


@pytest.mark.parametrize(
    ("first", "deploy"),
    {
        "another name": (guard(), DEPLOY | {"stack_name": "Guard-2"}),
        "the same name in another account": (
            guard(),
            {**DEPLOY, "account": "210987654321", "stack_name": "ConnectionGuard"},
        ),
        "beside a first file that cannot be read": (
            "[",
            DEPLOY | {"stack_name": "ConnectionGuard"},
        ),
    }.values(),
    ids=str,
)
def test_a_stack_of_another_name_or_account_is_another_one(
    first: str, deploy: dict[str, object], write: Write
) -> None:
    second, path = the_second(first, deploy, write)

    assert read_configuration(second, path).target.stack_name == deploy["stack_name"]


def test_the_first_file_is_the_same_by_another_path(write: Write) -> None:
    path = write(guard())

    assert read_configuration(path.parent / ".." / path.parent.name / path.name, path)
