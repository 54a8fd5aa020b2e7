"""The order of the code: an import goes down, never up and never round, the core is pure, and a
folder is small enough to be read.
"""

import ast
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IMPORT_ROOTS = ("lambdas", "infra", ".")
PRODUCT = ("lambdas", "infra")
OTHERS = ("doubles", "demo", "benchmarks", "clients", "tests")

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
    ("connection_guard.core.policy",),
    ("connection_guard.core.deployment*",),
    ("connection_guard.core.decision*",),
    ("connection_guard.core.diagnosis*",),
    ("connection_guard.core.report*",),
    ("connection_guard.core.incident*",),
    ("connection_guard.core.notification*",),
    (
        "connection_guard.adapters.postgresql*",
        "connection_guard.adapters.aws*",
        "connection_guard.adapters.slack*",
    ),
    ("connection_guard.configuration*",),
    ("connection_guard.cli*", "responder*", "reporter*"),
    ("connection_guard_cdk*",),
    ("app",),
    ("doubles*",),
    ("demo*", "tests.support*"),
    ("benchmarks*", "clients*"),
    ("tests*",),
)

# The core has no clock, socket, SDK, driver, file or environment: this is all that it may import.
PURE = frozenset(
    {
        "base64",
        "bisect",
        "collections",
        "collections.abc",
        "dataclasses",
        "datetime",
        "enum",
        "fnmatch",
        "functools",
        "gzip",
        "heapq",
        "ipaddress",
        "itertools",
        "json",
        "lzma",
        "math",
        "operator",
        "re",
        "statistics",
        "textwrap",
        "types",
        "typing",
        "unicodedata",
        "urllib.parse",
    }
)
# Configuration reads files, among them botocore's list of AWS regions, and suggests the name that
# was meant.
PURE_CONFIGURATION = PURE | {
    "ast",
    "botocore.loaders",
    "botocore.regions",
    "difflib",
    "pathlib",
    "tomllib",
}
# Clocks and files, of whichever module: datetime.now(), date.today(), gzip.open().
REACHING_OUTSIDE = frozenset({"input", "now", "open", "print", "today", "utcnow"})

MOST_MODULES = 11
SHARED_NAMES = frozenset({"__init__.py", "handler.py"})

# What is still to be mended: each importer with what it may not import. Nothing is added here.
STILL_IMPORTED: Mapping[str, frozenset[str]] = {
    "clients.__main__": frozenset({"clients.scenarios"}),
    "clients.rows": frozenset({"clients.scenarios"}),
    "connection_guard.configuration.toml.tables": frozenset(
        {"connection_guard.configuration.policy.values"}
    ),
    "tests.support.examples": frozenset({"demo.quick"}),
}
STILL_LARGE: Mapping[str, int] = {
    "demo": 13,
    "doubles": 14,
    "lambdas/connection_guard/adapters/postgresql": 15,
}


@dataclass(frozen=True)
class Module:
    """A module of the project by the name that it is imported by."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def folder(self) -> str:
        """The package that holds it."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]


def read_modules(root: Path = ROOT) -> dict[str, Module]:
    """Return every module of the project by its name."""
    files = [root / "app.py"]
    for folder in (*PRODUCT, *OTHERS):
        files += sorted((root / folder).rglob("*.py"))
    modules = {}
    for path in files:
        place = path.relative_to(root)
        parts = place.with_suffix("").parts
        parts = parts[1:] if place.parts[0] in PRODUCT else parts
        name = ".".join(parts).removesuffix(".__init__")
        modules[name] = Module(name, place, ast.parse(path.read_text()))
    return modules


CONFIGURATION = "connection_guard.configuration"
MODULES = read_modules()


def project_imports(module: Module) -> set[str]:
    """Return the modules of the project that it imports at any place, also for type checkers."""
    found = set()
    for node in ast.walk(module.tree):
        match node:
            case ast.Import(names):
                found |= {each.name for each in names}
            case ast.ImportFrom(package, names):
                for each in names:
                    name = f"{package}.{each.name}"
                    found.add(name if name in MODULES else str(package))
    return found & MODULES.keys()


IMPORTS = {
    name: project_imports(module) - STILL_IMPORTED.get(name, frozenset())
    for name, module in MODULES.items()
}


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


def impurities(tree: ast.AST, allowed: frozenset[str]) -> list[str]:
    """Return what it imports that is neither allowed nor the package's own, and its calls that read
    a clock or a file.
    """
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Import(names):
                found += [
                    f"imports {each.name}" for each in names if is_outside(each.name, allowed)
                ]
            case ast.ImportFrom(module) if is_outside(str(module), allowed):
                found.append(f"imports {module}")
            case ast.Call(ast.Name(name) | ast.Attribute(_, name)) if name in REACHING_OUTSIDE:
                found.append(f"calls {name}()")
    return found


def is_outside(module: str, allowed: frozenset[str]) -> bool:
    return module not in allowed and module.partition(".")[0] != "connection_guard"


def needed_by(names: Iterable[str]) -> set[str]:
    """Return the modules with all that they import, directly or not."""
    needed: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += IMPORTS[name]
    return needed


def under(package: str) -> list[str]:
    return [name for name in MODULES if name == package or name.startswith(f"{package}.")]


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
        ("connection_guard.adapters.aws.store", "connection_guard.adapters.slack.client"),
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


# Pure


def test_the_core_and_the_configuration_reach_nothing_outside() -> None:
    """Nor do the modules that they import."""
    found = [
        f"{MODULES[name].path} {what}, but the core and the configuration are pure: do it in an "
        "adapter or a handler, and pass the result as an argument"
        for name in needed_by(under("connection_guard.core") + under(CONFIGURATION))
        for what in impurities(
            MODULES[name].tree, PURE_CONFIGURATION if name in under(CONFIGURATION) else PURE
        )
    ]
    assert not found, listed(found)


@pytest.mark.parametrize(
    "code",
    [
        "import boto3",
        "from botocore.session import Session",
        "import psycopg2",
        "from aws_lambda_powertools import Logger",
        "import os",
        "import os.path",
        "import pathlib",
        "import socket",
        "import time",
        "import urllib.request",
        "from subprocess import run",
        "from . import sibling",
        "def later():\n    import random",
        "if TYPE_CHECKING:\n    import aws_cdk",
        "from datetime import datetime\ndatetime.now()",
        "import datetime\ndatetime.date.today()",
        "open('policy.toml')",
        "import gzip\ngzip.open('policy.toml')",
    ],
)
def test_what_reaches_outside_is_found(code: str) -> None:
    assert impurities(ast.parse(code), PURE)


@pytest.mark.parametrize(
    "code",
    [
        "from collections.abc import Mapping",
        "from datetime import datetime, timedelta",
        "from connection_guard.core.words import spelled",
        "run(now=3)\nnow = 3",
    ],
)
def test_what_the_core_may_use_is_no_finding(code: str) -> None:
    assert not impurities(ast.parse(code), PURE)


# Small, with names that differ


def test_no_folder_has_more_modules_than_can_be_read_at_a_glance() -> None:
    modules: dict[Path, int] = defaultdict(int)
    for module in MODULES.values():
        modules[module.path.parent] += module.path.name != "__init__.py"
    large = [
        f"{folder} has {count} modules, more than {MOST_MODULES}: put those that belong together "
        "into a folder of their own"
        for folder, count in modules.items()
        if count > max(MOST_MODULES, STILL_LARGE.get(str(folder), 0))
    ]
    assert not large, listed(large)


def test_no_two_modules_of_the_product_have_the_same_name() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for module in MODULES.values():
        if module.path.parts[0] in PRODUCT:
            places[module.path.name].append(str(module.path))
    same = [
        f"{' and '.join(paths)} have the same name: name each after what it alone holds"
        for name, paths in places.items()
        if len(paths) > 1 and name not in SHARED_NAMES
    ]
    assert not same, listed(same)
