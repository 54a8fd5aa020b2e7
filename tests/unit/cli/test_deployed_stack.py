"""Which guard of a stack is meant."""

import pytest

from connection_guard.cli.access.deployed_stack import guard_in
from connection_guard.cli.terminal.mistakes import UserMistakeError


def outputs(*keys: str) -> list[dict[str, str]]:
    return [{"OutputKey": key, "OutputValue": key.lower()} for key in keys]


TWO = outputs(
    "ApiReporterName0A1B2C3D",
    "ApiIncidentsTable0A1B2C3E",
    "WebReporterName0A1B2C3F",
    "SomebodysIncidentsTopic01234567",
)


def test_a_guard_is_found_by_the_name_of_its_construct() -> None:
    assert guard_in("Shop", TWO, "Api") == (
        "Api",
        {
            "ReporterName": "apireportername0a1b2c3d",
            "IncidentsTable": "apiincidentstable0a1b2c3e",
        },
    )


@pytest.mark.parametrize(
    ("guard", "problem"), [(None, "several guards"), ("Other", 'no guard "Other"')]
)
def test_a_guard_that_is_not_clear_is_a_line_with_those_that_there_are(
    guard: str | None, problem: str
) -> None:
    with pytest.raises(UserMistakeError) as refused:
        guard_in("Shop", TWO, guard)

    assert refused.value.message == (
        f"stack Shop has {problem}; there is --stack Shop/Api, --stack Shop/Web"
    )


def test_a_stack_without_a_guard_has_no_outputs_of_one() -> None:
    assert guard_in("Shop", outputs("ReporterNames", "IncidentsTable"), None) == ("", {})
