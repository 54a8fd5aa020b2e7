"""Many databases in one deployment: sizes of the templates, and what a change of one touches."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connection_guard.configuration.guard.guard_configuration import Configuration
from connection_guard_cdk.fleet_limits import RESOURCES_OF_STACK
from connection_guard_cdk.nested_stacks import nested_stack_of
from tests.cdk.template import synthesize
from tests.support.configurations import a_configuration, a_new_proxy
from tests.support.fleets import a_fleet, numbered

# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
LARGEST_TEMPLATE = 1_000_000
LARGEST_INLINE_TEMPLATE = 51_200
PARAMETERS = 200
OUTPUTS_OF_GUARD = 7
MOST_PER_DATABASE = 18

Templates = dict[str, Any]


def templates(configuration: Configuration, folder: Path) -> Templates:
    """Return each template by the name of its nested stack, or "" for the stack itself."""
    synthesize(configuration, folder)
    found = {}
    for path in folder.glob("*.template.json"):
        _, nested, rest = path.name.partition("Databases")
        found[f"{nested}{rest[:1]}" if nested else ""] = json.loads(path.read_text())
    return found


def assets(folder: Path) -> set[str]:
    """Return the names of the functions' packages."""
    return {path.name for path in folder.glob("asset.*")}


def changed(before: Templates, after: Templates) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def of_type(template: Any, resource_type: str) -> dict[str, Any]:
    return {
        name: each for name, each in template["Resources"].items() if each["Type"] == resource_type
    }


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Configuration, Path, Templates]:
    """Return a configuration of twelve databases, the folder of its assembly, and its templates."""
    folder = tmp_path_factory.mktemp("fleet")
    configuration = a_fleet(12)
    return configuration, folder, templates(configuration, folder)


Fleet = tuple[Configuration, Path, Templates]


def test_a_hundred_databases_stay_below_the_limits_of_templates(tmp_path: Path) -> None:
    found = templates(a_fleet(100, security_groups=("sg-00000000000000001",)), tmp_path)

    resources = sum(len(each["Resources"]) for each in found.values())
    assert resources <= MOST_PER_DATABASE * 100
    for path in tmp_path.glob("*.template.json"):
        assert path.stat().st_size < LARGEST_TEMPLATE
    for template in found.values():
        assert len(template["Resources"]) <= RESOURCES_OF_STACK
        assert len(template.get("Outputs", {})) <= OUTPUTS_OF_GUARD
        assert len(template.get("Parameters", {})) <= PARAMETERS


def test_no_database_takes_more_than_its_share_even_with_a_new_proxy(tmp_path: Path) -> None:
    one, two = (
        templates(a_fleet(size, proxy=a_new_proxy()), tmp_path / f"{size}") for size in (1, 2)
    )

    resources = [sum(len(each["Resources"]) for each in found.values()) for found in (one, two)]
    nested = len(two) - len(one)
    assert resources[1] - resources[0] - nested <= MOST_PER_DATABASE


def test_the_nested_templates_of_a_small_fleet_are_small(fleet: Fleet) -> None:
    _, folder, _ = fleet
    nested = list(folder.glob("*.nested.template.json"))
    assert nested
    assert max(path.stat().st_size for path in nested) < LARGEST_INLINE_TEMPLATE


def test_a_change_of_one_database_changes_only_its_own_nested_stack(
    fleet: Fleet, tmp_path: Path
) -> None:
    configuration, folder, before = fleet
    one, *others = configuration.databases
    after = templates(a_configuration(replace(one, warning_percent=60.0), *others), tmp_path)

    own = nested_stack_of(one.identifier)
    assert changed(before, after) == {"", own}
    stacks = [of_type(each[""], "AWS::CloudFormation::Stack") for each in (before, after)]
    differing = [name for name in stacks[0] if stacks[0][name] != stacks[1][name]]
    [name] = differing
    assert own in name
    for each in stacks:
        del each[name]["Properties"]["TemplateURL"]
    assert before[""]["Resources"] | stacks[0] == after[""]["Resources"] | stacks[1]
    unchanged = [
        name
        for name, resource in before[own]["Resources"].items()
        if "orders0" not in name and resource != after[own]["Resources"][name]
    ]
    assert unchanged == []
    assert assets(folder) == assets(tmp_path)


def test_a_further_database_changes_its_nested_stack_and_its_way_in(
    fleet: Fleet, tmp_path: Path
) -> None:
    configuration, folder, before = fleet
    new = numbered(12)
    after = templates(a_configuration(*configuration.databases, new), tmp_path)

    own = nested_stack_of(new.identifier)
    assert changed(before, after) == {"", own}
    types = {
        (after[""]["Resources"][name])["Type"]
        for name in after[""]["Resources"]
        if before[""]["Resources"].get(name) != after[""]["Resources"][name]
    }
    assert types <= {
        "AWS::CloudFormation::Stack",
        "AWS::EC2::SecurityGroup",
        "AWS::EC2::SecurityGroupIngress",
        "AWS::CloudWatch::Dashboard",
    }
    kept = {name: after[own]["Resources"].get(name) for name in before[own]["Resources"]}
    assert kept == before[own]["Resources"]
    assert assets(folder) == assets(tmp_path)
