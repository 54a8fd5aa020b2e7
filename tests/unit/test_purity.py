"""The core and the configuration are pure: what they may import is listed."""

import ast
from collections.abc import Iterable

import pytest

from tests.unit.project_modules import IMPORTS, MODULES

CONFIGURATION = "connection_guard.configuration"

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
# What reads a clock or a file, of whichever module and also where it is only passed on:
# datetime.now, date.today, gzip.open, from gzip import open.
REACHING_OUTSIDE = frozenset({"GzipFile", "LZMAFile", "now", "open", "today", "utcnow"})
# Python's own functions that do, or that get at anything by its name.
BUILT_IN = frozenset(
    {"__import__", "breakpoint", "eval", "exec", "globals", "input", "open", "print"}
)


def impurities(tree: ast.AST, allowed: frozenset[str]) -> list[str]:
    """Return what it imports that is neither allowed nor the package's own, and what it uses that
    reads a clock or a file.
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
            case ast.ImportFrom(_, names):
                found += [f"imports {each.name}" for each in names if each.name in REACHING_OUTSIDE]
            case ast.Attribute(_, name) if name in REACHING_OUTSIDE:
                found.append(f"uses {name}")
            case ast.Name(name) if name in BUILT_IN:
                found.append(f"uses {name}")
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
    assert not found, "\n" + "\n".join(found)


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
        "import gzip\ngzip.GzipFile('policy.toml')",
        "from gzip import open as read\nread('policy.toml')",
        "read = open\nread('policy.toml')",
        "from datetime import datetime\nfield(default_factory=datetime.now)",
        "from datetime import datetime\nclock = datetime.now\nclock()",
        "__import__('os')",
        "eval('open')",
        "import re, os",
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
def test_what_the_core_may_use_is_not_a_finding(code: str) -> None:
    assert not impurities(ast.parse(code), PURE)
