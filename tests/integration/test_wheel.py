"""The package that `pip install .` installs: complete, without what is only deployed, and with the
command `connection-guard`.
"""

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from connection_guard import __version__
from connection_guard.configuration.policy.policy_file import SHIPPED_POLICY
from tests.integration.conftest import pip

ROOT = Path(__file__).parents[2]
ROOTS = {"connection_guard": ROOT / "lambdas", "connection_guard_cdk": ROOT / "infra"}
DATA = {".sql", ".pem", ".toml"}

# Any import of the CDK ends the program.
WITHOUT_CDK = """
import importlib, pkgutil, sys
sys.modules["aws_cdk"] = None
import connection_guard
for module in pkgutil.walk_packages(connection_guard.__path__, "connection_guard."):
    importlib.import_module(module.name)
print(connection_guard.__file__)
"""


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wheel is installed in, without what it depends on."""
    folder = tmp_path_factory.mktemp("installed")
    pip("install", "--no-deps", "--target", folder, wheel)
    return folder


def run(installed: Path, elsewhere: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Python in another directory, where only the installed folder has the package."""
    return subprocess.run(
        [sys.executable, *command],
        cwd=elsewhere,
        env={"PATH": os.defpath, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_holds_both_import_roots_with_their_data_and_nothing_else(wheel: Path) -> None:
    packed = {
        name: content for name, content in contents(wheel).items() if ".dist-info/" not in name
    }

    assert packed == {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for root, folder in ROOTS.items()
        for path in (folder / root).rglob("*")
        if path.suffix in {".py", *DATA}
    }
    assert SHIPPED_POLICY.read_bytes() in packed.values()
    assert {Path(name).suffix for name in packed} == {".py", *DATA}


def contents(wheel: Path) -> dict[str, bytes]:
    with ZipFile(wheel) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def test_without_the_extra_nothing_needs_the_cdk(installed: Path, tmp_path: Path) -> None:
    imported = run(installed, tmp_path, "-c", WITHOUT_CDK)

    assert imported.returncode == 0, imported.stderr
    assert Path(imported.stdout.strip()).is_relative_to(installed)


def test_the_command_gives_the_version(installed: Path, tmp_path: Path) -> None:
    command = run(installed, tmp_path, installed / "bin" / "connection-guard", "--version")

    assert (command.returncode, command.stderr) == (0, "")
    assert command.stdout == f"connection-guard {__version__}\n"


def test_the_help_says_what_it_is_and_where_its_documentation_is(
    installed: Path, tmp_path: Path
) -> None:
    command = run(installed, tmp_path, installed / "bin" / "connection-guard", "--help")

    assert (command.returncode, command.stderr) == (0, "")
    text = " ".join(command.stdout.split())
    assert "keeps Amazon RDS and Aurora PostgreSQL reachable when connections run out" in text
    assert "documentation is README.md and the folder docs/" in text


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "Missing command"),
        (["--quickly"], "No such option '--quickly'"),
        (["report"], "No such command 'report'"),
    ],
)
def test_anything_else_is_one_line_and_status_2(
    installed: Path, tmp_path: Path, arguments: list[str], problem: str
) -> None:
    command = run(installed, tmp_path, installed / "bin" / "connection-guard", *arguments)

    assert (command.returncode, command.stdout) == (2, "")
    assert command.stderr == f"connection-guard: {problem}; see `connection-guard --help`\n"


def test_the_versions_that_are_tested_are_within_the_ranges_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    files = [ROOT / "requirements.txt", *(ROOT / "lambdas").glob("*/requirements.txt")]
    pins = {
        canonicalize_name(pin.name): next(iter(pin.specifier)).version
        for file in files
        for line in file.read_text().splitlines()
        if line and not line.startswith(("#", "-r"))
        for pin in [Requirement(line)]
    }

    for written in project["dependencies"] + project["optional-dependencies"]["cdk"]:
        requirement = Requirement(written)
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, written
