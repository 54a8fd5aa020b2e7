"""The package that `pip install .` installs: complete, with the command `connection-guard`, and
with the construct for other people's apps.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from connection_guard import __version__
from connection_guard.configuration.guard.guard_configuration import Architecture
from connection_guard.configuration.policy.policy_file import SHIPPED_POLICY
from connection_guard_cdk.packages.build_package import build_package
from tests.integration.conftest import pip

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "connection_guard": ROOT / "lambdas" / "connection_guard",
    "connection_guard_cdk": ROOT / "infra" / "connection_guard_cdk",
    "connection_guard_cdk/functions/responder": ROOT / "lambdas" / "responder",
    "connection_guard_cdk/functions/reporter": ROOT / "lambdas" / "reporter",
}
DATA = {".sql", ".pem", ".toml", ".txt"}

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


def test_it_holds_what_is_imported_and_what_is_deployed_and_nothing_else(wheel: Path) -> None:
    packed = {
        name: content for name, content in contents(wheel).items() if ".dist-info/" not in name
    }

    assert packed == {
        f"{place}/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for place, folder in FOLDERS.items()
        for path in folder.rglob("*")
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


@pytest.fixture(scope="module")
def project(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an empty project with the example's app, which has been synthesized with what is
    installed.
    """
    folder = tmp_path_factory.mktemp("project")
    shutil.copyfile(ROOT / "examples" / "cdk" / "shop.py", folder / "app.py")
    before = files_in(installed)
    synthesized = subprocess.run(
        [sys.executable, "app.py"],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(installed),
            "PYTHONDONTWRITEBYTECODE": "1",
            "CDK_OUTDIR": "cdk.out",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert synthesized.returncode == 0, synthesized.stderr
    assert files_in(installed) == before
    return folder


def files_in(folder: Path) -> dict[Path, int]:
    """Return when each file in it was changed last."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_an_app_of_ten_lines_synthesizes_with_what_is_installed(project: Path) -> None:
    template = json.loads((project / "cdk.out" / "Shop.template.json").read_text())
    handlers = {
        each["Properties"]["Handler"]
        for each in template["Resources"].values()
        if each["Type"] == "AWS::Lambda::Function"
    }

    assert handlers == {"responder.handler.lambda_handler", "reporter.handler.lambda_handler"}


def test_its_functions_are_those_of_a_clone_to_the_byte(project: Path) -> None:
    built = project / ".connection-guard"
    [package] = [path.parents[1] for path in built.glob("*/responder/handler.py")]
    clone = build_package(
        "responder",
        Architecture.ARM64,
        {"policy.toml": SHIPPED_POLICY.read_bytes()},
        ROOT / ".cache" / "packages",
    )

    assert {path.name for path in project.iterdir()} == {"app.py", "cdk.out", built.name}
    assert contents_of(package) == contents_of(clone)
    assert (built / ".gitignore").read_text() == "*\n"


def contents_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


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
