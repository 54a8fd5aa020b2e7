"""What is deployed: only what a function imports, with the same bytes wherever it is built."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from aws_cdk import App, Stack
from aws_cdk.aws_s3_assets import Asset
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from connection_guard.configuration.guard.guard_configuration import Architecture
from connection_guard.configuration.policy.policy_file import SHIPPED_POLICY
from connection_guard_cdk.packages import build_package as packages
from connection_guard_cdk.packages.build_package import LIBRARY, build_package
from tests.cdk.packages.built import (
    APPLICATION_OWNERS,
    DATA,
    FUNCTIONS,
    PACKAGES,
    SETTINGS,
    build,
    only_where_it_runs,
    unpacked,
)
from tests.cdk.template import ROOT

MEGABYTE = 1_000_000


# Lambda's Python runtime contains boto3 and what it requires. Packed versions take precedence.
IN_THE_RUNTIME = ("boto3", "botocore", "dateutil", "s3transfer", "six.py", "urllib3")


# Imports a handler as Lambda does, and prints which files it came from.
IMPORT = """
import importlib, json, sys
importlib.import_module(sys.argv[1])
print(json.dumps([m.__file__ for m in list(sys.modules.values()) if getattr(m, "__file__", None)]))
"""


def files_of(package: Path) -> dict[str, tuple[int, bytes]]:
    """Return each file and folder in it with its permissions and its content."""
    return {
        path.relative_to(package).as_posix(): (
            path.stat().st_mode,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in package.rglob("*")
    }


def own_modules_in(package: Path) -> set[str]:
    return {
        path.relative_to(package).as_posix()
        for own in ("connection_guard", *FUNCTIONS)
        for path in (package / own).rglob("*.py")
    }


def pins_of(function: str) -> dict[str, str]:
    """Return the version of each distribution in the function's requirements.txt."""
    lines = (LIBRARY / function / "requirements.txt").read_text().splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    pins: dict[str, str] = {}
    for requirement in requirements:
        (pin,) = requirement.specifier
        assert pin.operator == "==", f"{requirement} is not pinned"
        assert "*" not in pin.version, f"{requirement} is not pinned"
        pins[canonicalize_name(requirement.name)] = pin.version
    return pins


def hash_in_cdk(package: Path, out: Path) -> str:
    return Asset(Stack(App(outdir=str(out))), "Package", path=str(package)).asset_hash


@pytest.mark.parametrize("architecture", Architecture)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_package_holds_exactly_the_pinned_libraries_and_all_that_they_require(
    function: str, architecture: Architecture
) -> None:
    distributions = list(
        importlib.metadata.distributions(path=[str(build(function, architecture))])
    )
    packed = {
        canonicalize_name(distribution.name): distribution.version for distribution in distributions
    }
    required = {
        canonicalize_name(requirement.name)
        for distribution in distributions
        for requirement in map(Requirement, distribution.requires or [])
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    }

    assert packed == pins_of(function)
    assert required <= packed.keys()


def test_both_functions_agree_on_the_libraries_that_they_share() -> None:
    responder, reporter = map(pins_of, FUNCTIONS)

    shared = responder.keys() & reporter.keys()
    assert "aws-lambda-powertools" in shared
    assert {name: responder[name] for name in shared} == {name: reporter[name] for name in shared}


@only_where_it_runs
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_package_holds_all_that_its_handler_imports_and_nothing_else(
    function: str, tmp_path: Path
) -> None:
    package = unpacked(function, tmp_path)
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    for name in IN_THE_RUNTIME:
        (runtime / name).symlink_to(Path(boto3.__file__).parent.parent / name)

    process = subprocess.run(
        [
            sys.executable,
            "-B",
            "-S",
            "-c",
            IMPORT,
            f"{function}.handler",
        ],  # -S: without the tests' own libraries
        env={
            **SETTINGS[function],
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_REGION": "eu-central-1",
            "AWS_LAMBDA_FUNCTION_NAME": "reporter",
            "LAMBDA_TASK_ROOT": str(package),
            "PYTHONPATH": f"{package}:{runtime}",
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert process.returncode == 0, process.stderr
    imported = {Path(file) for file in json.loads(process.stdout)}
    used = {path.relative_to(package) for path in imported if path.is_relative_to(package)}
    assert {path.as_posix() for path in used} >= own_modules_in(package)
    unused = {path.name for path in package.iterdir()} - {path.parts[0] for path in used}
    # The libraries that psycopg2 is linked with, and slack_sdk under its former name.
    no_modules = {*DATA[function], "psycopg2_binary.libs" if function == "responder" else "slack"}
    assert {name for name in unused if not name.endswith(".dist-info")} == no_modules


def test_each_function_has_its_own_data_and_none_of_the_others() -> None:
    responder, reporter = (build(function, Architecture.ARM64) for function in FUNCTIONS)
    data = [
        path.relative_to(LIBRARY)
        for path in (LIBRARY / "connection_guard").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc", ".toml")
    ]

    assert {path.suffix for path in data} == {".sql", ".pem"}
    assert [
        path for path in data if (responder / path).read_bytes() != (LIBRARY / path).read_bytes()
    ] == []
    assert [path for path in data if (reporter / path).exists()] == []
    assert (responder / "policy.toml").read_bytes() == SHIPPED_POLICY.read_bytes()
    assert not (reporter / "policy.toml").exists()
    assert not list(responder.rglob(SHIPPED_POLICY.name))
    assert (reporter / "application_owners.json").read_text() == APPLICATION_OWNERS
    assert not (responder / "application_owners.json").exists()


def test_neither_function_holds_what_only_the_other_needs() -> None:
    responder, reporter = (build(function, Architecture.ARM64) for function in FUNCTIONS)

    assert not list(reporter.glob("psycopg2*"))
    of_the_responder = (
        "adapters/postgresql/",
        "core/decision/",
        "core/diagnosis/",
        "core/database/snapshot.py",
        "core/report/run.py",
        "core/report/report.py",
    )
    names = {
        "core/decision/__init__.py",
        "core/decision/reason.py",
        "core/decision/restraint.py",
        "core/diagnosis/__init__.py",
        "core/diagnosis/cause.py",
    }
    modules = {each.removeprefix("connection_guard/") for each in own_modules_in(reporter)}
    assert {each for each in modules if each.startswith(of_the_responder)} == names
    of_the_reporter = (
        "adapters/aws/incident_table.py",
        "adapters/channels/",
        "core/deployment/reporter_settings.py",
        "core/incident/",
        "core/notification/",
        "reporter/",
    )
    modules = {each.removeprefix("connection_guard/") for each in own_modules_in(responder)}
    assert {each for each in modules if each.startswith(of_the_reporter)} == set()


def test_production_is_arm64_and_the_responder_at_most_25_mb() -> None:
    package = build("responder", Architecture.ARM64)
    compiled = [path.name for path in package.rglob("_psycopg*.so")]

    assert compiled == ["_psycopg.cpython-313-aarch64-linux-gnu.so"]
    assert (
        sum(path.stat().st_size for path in package.rglob("*") if path.is_file()) <= 25 * MEGABYTE
    )


def test_the_other_architecture_has_the_same_runtime() -> None:
    (compiled,) = build("responder", Architecture.X86_64).rglob("_psycopg*.so")

    assert compiled.name == "_psycopg.cpython-313-x86_64-linux-gnu.so"


@pytest.fixture
def colleagues_package(tmp_path: Path) -> Path:
    """Return the responder's package, built in another folder and with another umask."""
    checkout = tmp_path / "another" / "checkout"
    for folder in ("infra", "lambdas"):
        shutil.copytree(ROOT / folder, checkout / folder, copy_function=shutil.copyfile)
    shutil.copyfile(SHIPPED_POLICY, checkout / "policy.toml")
    program = (
        "import os; os.umask(0o077); from pathlib import Path; "
        "from connection_guard_cdk.packages.build_package import *; "
        "print(build_package('responder', Architecture.ARM64, "
        "{'policy.toml': Path('policy.toml').read_bytes()}, Path('packages').resolve()))"
    )
    process = subprocess.run(
        [sys.executable, "-c", program],
        cwd=checkout,
        env={
            **os.environ,
            "PYTHONPATH": f"{checkout / 'lambdas'}:{checkout / 'infra'}",
            "PYTHONHASHSEED": "1",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(process.stdout.strip())


def test_two_builds_in_different_folders_at_different_times_are_the_same_to_the_byte_and_to_the_cdk(
    colleagues_package: Path, tmp_path: Path
) -> None:
    ours = build("responder", Architecture.ARM64)

    assert colleagues_package.is_relative_to(tmp_path)
    assert files_of(colleagues_package) == files_of(ours)
    assert hash_in_cdk(colleagues_package, tmp_path / "their.out") == hash_in_cdk(
        ours, tmp_path / "our.out"
    )


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_package_does_not_show_who_built_it_and_keeps_what_scanners_and_licences_need(
    function: str,
) -> None:
    package = build(function, Architecture.ARM64)
    files = files_of(package)

    assert [name for name, (_, content) in files.items() if str(ROOT).encode() in content] == []
    assert [
        name for name in files if re.search(r"__pycache__|\.pyc$|/RECORD$|/INSTALLER$|^bin", name)
    ] == []
    for information in package.glob("*.dist-info"):
        assert (information / "METADATA").is_file()
        assert any("licen" in path.name.lower() for path in information.rglob("*")), (
            information.name
        )
    assert {mode & 0o777 for mode, _ in files.values()} == {0o755, 0o644}


def test_another_policy_is_another_package_and_needs_no_package_index(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = build("responder", Architecture.ARM64)
    monkeypatch.setattr(
        packages, "_install", lambda *_arguments: pytest.fail("asked the package index")
    )

    other = build_package(
        "responder", Architecture.ARM64, {"policy.toml": b"# gentler\n"}, PACKAGES
    )

    assert other != ours
    assert (other / "policy.toml").read_text() == "# gentler\n"
    assert build("responder", Architecture.ARM64) == ours
