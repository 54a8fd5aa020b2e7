"""The order of the code: an import goes down, never up and never round, and a folder is small
enough to be read at a glance.
"""

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.unit.project_modules import IMPORTS, MODULES, OTHERS, PRODUCT, ROOT

# From low to high: a module imports what is on a lower line, or under its own pattern. Patterns on
# the same line do not know each other. The first pattern that matches a module's name counts.
LAYERS = (
    (
        "connection_guard",
        "connection_guard.adapters",
        "connection_guard.core",
        "connection_guard.core.words",
        "connection_guard.errors",
    ),
    ("connection_guard.core.database*",),
    ("connection_guard.core.budget*", "connection_guard.core.policy"),
    ("connection_guard.core.deployment*",),
    ("connection_guard.core.decision*",),
    ("connection_guard.core.diagnosis*",),
    ("connection_guard.core.report*",),
    ("connection_guard.core.incident*",),
    ("connection_guard.core.notification*", "connection_guard.core.replay*"),
    (
        "connection_guard.adapters.postgresql*",
        "connection_guard.adapters.aws*",
        "connection_guard.adapters.channels*",
    ),
    ("connection_guard.configuration*",),
    ("connection_guard.cli*", "responder*", "reporter*"),
    ("connection_guard_cdk*",),
    ("app",),
    ("doubles*",),
    ("demo*", "tests.support*"),
    ("benchmarks*", "clients*", "examples*"),
    ("tests*",),
)

MOST_MODULES = 11
SHARED_NAMES = frozenset({"__init__.py", "__main__.py", "conftest.py", "handler.py"})
ENTRY_POINTS = frozenset({"main", "lambda_handler"})


def layer_of(name: str) -> tuple[int, str] | None:
    """Return the number of the module's layer, and its pattern there."""
    for number, patterns in enumerate(LAYERS):
        for pattern in patterns:
            if fnmatchcase(name, pattern):
                return number, pattern
    return None


def is_down(importer: str, imported: str) -> bool:
    """Return whether the import goes to a lower layer, or stays under its own pattern."""
    high, low = layer_of(importer), layer_of(imported)
    return high is not None and low is not None and (low[0] < high[0] or low == high)


def folders() -> dict[str, set[str]]:
    """Return each folder with the folders that its modules import from."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, imports in IMPORTS.items():
        folder = MODULES[name].folder
        found[folder] |= {MODULES[each].folder for each in imports} - {folder}
    return found


def cycle_in(graph: Mapping[str, set[str]]) -> list[str]:
    """Return the names in a cycle, an empty list where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def listed(problems: Iterable[str]) -> str:
    return "\n" + "\n".join(sorted(problems))


# Down, never up, never round


def test_every_module_has_a_layer() -> None:
    homeless = [
        f"{module.path} is in no line of LAYERS: add it where it belongs"
        for name, module in MODULES.items()
        if layer_of(name) is None
    ]
    assert not homeless, listed(homeless)


def test_every_folder_with_modules_is_looked_at() -> None:
    """Any other would escape each test here, and `make check`."""
    folders = {path.parts[-1] for path in ROOT.glob("[!.]*/") if any(path.rglob("*.py"))}
    folders -= {"build", "venv"}  # of `pip install .`, and an environment
    assert folders == {*PRODUCT, *OTHERS}
    sources = re.search(r"^SOURCES = app\.py (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert sources
    assert set(sources[1].split()) == folders


def test_imports_go_down() -> None:
    wrong = [
        f"{MODULES[name].path} imports {each}, which is above or beside it: move what it needs "
        "down, or pass it as an argument"
        for name, imports in IMPORTS.items()
        for each in imports
        if not is_down(name, each)
    ]
    assert not wrong, listed(wrong)


def test_no_module_imports_itself_through_others() -> None:
    cycle = cycle_in(IMPORTS)
    assert not cycle, "cut one of these imports: " + " -> ".join(cycle)


def test_no_folder_imports_itself_through_others() -> None:
    cycle = cycle_in(folders())
    assert not cycle, "move a module, or cut one of these imports: " + " -> ".join(cycle)


def test_imports_are_written_in_full() -> None:
    relative = [
        f"{module.path}:{node.lineno} imports from a relative place: write the module's full name"
        for module in MODULES.values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert not relative, listed(relative)


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("connection_guard.core.database.session", "connection_guard.core.decision.plan"),
        ("connection_guard.core.words", "connection_guard.errors"),
        ("connection_guard.adapters.aws.store", "connection_guard.adapters.channels.slack_bot"),
        ("connection_guard.core.report.run", "connection_guard.adapters.aws.store"),
        ("responder.respond", "reporter.reporter"),
        ("responder.respond", "connection_guard_cdk.stack"),
        ("doubles.slack_double", "tests.support.builders"),
        ("tests.support.builders", "demo.quick"),
        ("tests.support.builders", "tests.conftest"),
        ("connection_guard.cli.credentials", "a_folder_without_a_layer.module"),
    ],
)
def test_what_goes_up_or_sideways_is_found(importer: str, imported: str) -> None:
    assert not is_down(importer, imported)


def test_a_cycle_is_found() -> None:
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})
    assert not cycle_in({"a": {"b", "c"}, "b": {"c"}, "c": set()})


# Small, with names that differ


def test_no_folder_has_more_modules_than_can_be_read_at_a_glance() -> None:
    modules = Counter(
        module.path.parent for module in MODULES.values() if module.path.name != "__init__.py"
    )
    large = [
        f"{folder} has {count} modules, more than {MOST_MODULES}: put those that belong together "
        "into a folder of their own"
        for folder, count in modules.items()
        if count > MOST_MODULES
    ]
    assert not large, listed(large)


def test_no_two_modules_have_the_same_name() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for module in MODULES.values():
        places[module.path.name].append(str(module.path))
    same = [
        f"{' and '.join(paths)} have the same name: name each after what only it holds"
        for name, paths in places.items()
        if len(paths) > 1 and name not in SHARED_NAMES
    ]
    assert not same, listed(same)


def test_no_two_public_classes_or_functions_of_the_product_have_the_same_name() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for module in MODULES.values():
        if module.path.parts[0] in PRODUCT:
            for node in module.tree.body:
                if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name[0] != "_":
                    places[node.name].append(f"{module.path}:{node.lineno}")
    same = [
        f"{name} is at {' and at '.join(found)}: name each after what only it does"
        for name, found in places.items()
        if len(found) > 1 and name not in ENTRY_POINTS
    ]
    assert not same, listed(same)
