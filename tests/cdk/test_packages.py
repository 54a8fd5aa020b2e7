"""What is deployed: only what a function imports, the same bytes wherever it is built, and it
runs.
"""

import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from zipfile import ZipFile

import boto3
import pytest
from aws_cdk import App, Stack
from aws_cdk.aws_s3_assets import Asset
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from connection_guard.configuration.guard.guard_configuration import Architecture
from connection_guard.core.database.door import Door, DoorName
from connection_guard.core.deployment.reporter_settings import (
    DATABASES_FILE,
    ReporterSettings,
    WatchedDatabase,
    write_databases,
)
from connection_guard.errors import ConfigurationError
from connection_guard_cdk.shared import packages
from connection_guard_cdk.shared.packages import LAMBDAS, ROOT, build_package
from doubles.lambda_runtime import ExecutionEnvironment
from tests.support.builders import a_heartbeat_event, an_alarm_event, some_settings

POLICY = ROOT / "policy.toml"
FUNCTIONS = ("responder", "reporter")
MEGABYTE = 1_000_000
THIS_PYTHON = ".".join(platform.python_version_tuple()[:2])

REPORTER_SETTINGS = ReporterSettings(
    "incidents",
    "evidence",
    "arn:aws:sns:eu-central-1:123456789012:incidents",
    None,
    "ConnectionGuard",
)
DATABASES = write_databases([WatchedDatabase("orders", False, "guard-orders")])
DATA = {
    "responder": {"policy.toml": POLICY.read_bytes()},
    "reporter": {DATABASES_FILE: DATABASES.encode()},
}
SETTINGS = {
    # Nobody listens at the responder's door.
    "responder": some_settings(
        direct=Door(DoorName.DIRECT, "127.0.0.1", 1, "connection_guard")
    ).to_environment(),
    "reporter": REPORTER_SETTINGS.to_environment(),
}

only_where_it_runs = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"),
    reason="runs the package for the local machine, which is for Linux on x86_64",
)

# What Lambda's Python runtime brings: boto3 and what that requires. Packed versions come first.
IN_THE_RUNTIME = ("boto3", "botocore", "dateutil", "s3transfer", "six.py", "urllib3")

# Imports a handler as Lambda does, and prints which files it came from.
IMPORT = """
import importlib, json, sys
importlib.import_module(sys.argv[1])
print(json.dumps([m.__file__ for m in list(sys.modules.values()) if getattr(m, "__file__", None)]))
"""


def build(function: str, architecture: Architecture) -> Path:
    return build_package(function, architecture, DATA[function])


def unpacked(function: str, folder: Path) -> Path:
    """As it lies in Lambda: a copy, since running it leaves bytecode behind."""
    package = build_package(function, Architecture.X86_64, DATA[function], python=THIS_PYTHON)
    return shutil.copytree(package, folder / function)


def files_of(package: Path) -> dict[str, tuple[int, bytes]]:
    """Every file and folder in it, its permissions and its content."""
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
    """Each distribution in the function's requirements.txt, and its version."""
    lines = (LAMBDAS / function / "requirements.txt").read_text().splitlines()
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


# What is in it


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
    # What psycopg2 is linked with, and slack_sdk by the name that it had before.
    no_modules = {*DATA[function], "psycopg2_binary.libs" if function == "responder" else "slack"}
    assert {name for name in unused if not name.endswith(".dist-info")} == no_modules


def test_each_function_has_its_own_data_and_none_of_the_others() -> None:
    responder, reporter = (build(function, Architecture.ARM64) for function in FUNCTIONS)
    data = [
        path.relative_to(LAMBDAS)
        for path in (LAMBDAS / "connection_guard").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc", ".toml")
    ]

    assert {path.suffix for path in data} == {".sql", ".pem"}
    assert [
        path for path in data if (responder / path).read_bytes() != (LAMBDAS / path).read_bytes()
    ] == []
    assert [path for path in data if (reporter / path).exists()] == []
    assert (responder / "policy.toml").read_bytes() == POLICY.read_bytes()
    assert not (reporter / "policy.toml").exists()
    assert (reporter / "databases.json").read_text() == DATABASES
    assert not (responder / "databases.json").exists()


def test_neither_function_holds_what_the_other_alone_needs() -> None:
    responder, reporter = (build(function, Architecture.ARM64) for function in FUNCTIONS)

    assert not list(reporter.glob("psycopg2*"))
    assert own_modules_in(reporter).isdisjoint(
        f"connection_guard/adapters/postgresql/{name}.py"
        for name in ("login", "guard_session", "doors", "observe", "terminate")
    )
    assert own_modules_in(responder).isdisjoint(
        {
            "reporter/handler.py",
            "connection_guard/adapters/aws/store.py",
            "connection_guard/core/deployment/reporter_settings.py",
        }
    )


def test_production_is_arm64_and_the_responder_at_most_25_mb() -> None:
    package = build("responder", Architecture.ARM64)
    compiled = [path.name for path in package.rglob("_psycopg*.so")]

    assert compiled == ["_psycopg.cpython-313-aarch64-linux-gnu.so"]
    assert (
        sum(path.stat().st_size for path in package.rglob("*") if path.is_file()) <= 25 * MEGABYTE
    )


def test_the_other_architecture_has_the_same_runtime() -> None:
    (compiled,) = build_package("responder", Architecture.X86_64, DATA["responder"]).rglob(
        "_psycopg*.so"
    )

    assert compiled.name == "_psycopg.cpython-313-x86_64-linux-gnu.so"


# The same bytes


@pytest.fixture
def colleagues_package(tmp_path: Path) -> Path:
    """The responder's, from a checkout elsewhere, with another umask and another home."""
    checkout = tmp_path / "another" / "checkout"
    for folder in ("infra", "lambdas"):
        shutil.copytree(ROOT / folder, checkout / folder, copy_function=shutil.copyfile)
    shutil.copyfile(POLICY, checkout / "policy.toml")
    program = (
        "import os; os.umask(0o077); from pathlib import Path; "
        "from connection_guard_cdk.shared.packages import *; "
        "print(build_package('responder', Architecture.ARM64, "
        "{'policy.toml': Path('policy.toml').read_bytes()}))"
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
def test_a_package_is_silent_on_who_built_it_and_keeps_what_scanners_and_licences_need(
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

    other = build_package("responder", Architecture.ARM64, {"policy.toml": b"# gentler\n"})

    assert other != ours
    assert (other / "policy.toml").read_text() == "# gentler\n"
    assert build("responder", Architecture.ARM64) == ours


# The cache, in a small project of its own whose one library comes from an index of its own


class Index(ThreadingHTTPServer):
    """A package index that can hold back its answers."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(_IndexRequest, directory=str(folder)))
        self.wheels = folder / "greetings"
        self.asked = Event()
        self.may_answer = Event()
        self.may_answer.set()

    @property
    def environment(self) -> dict[str, str]:
        """Keeps pip to this index."""
        return {
            **os.environ,
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": f"http://127.0.0.1:{self.server_port}/",
        }


class _IndexRequest(SimpleHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        self.server.asked.set()
        self.server.may_answer.wait()
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the overridden method's name for it
        """Requests are no news."""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    folder = tmp_path / "index" / "greetings"
    folder.mkdir(parents=True)
    with ZipFile(folder / "greetings-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("greetings.py", "HELLO = 'hello'\n")
        wheel.writestr(
            "greetings-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: greetings\nVersion: 1.0\n",
        )
        wheel.writestr(
            "greetings-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"
        )
        wheel.writestr("greetings-1.0.dist-info/RECORD", "")
    with Index(folder.parent) as server:
        Thread(target=server.serve_forever, args=(0.05,)).start()
        yield server
        server.may_answer.set()
        server.shutdown()


BUILD = (
    "from connection_guard_cdk.shared.packages import *; print(build_package('greeter', "
    "Architecture.ARM64, {}))"
)


@dataclass(frozen=True)
class Checkout:
    """A checkout with one function, `greeter`."""

    folder: Path

    @property
    def greeter(self) -> Path:
        return self.folder / "lambdas" / "greeter"

    @property
    def cached(self) -> list[str]:
        return [path.name for path in (self.folder / ".cache" / "packages").iterdir()]

    def start(
        self, program: str, environment: dict[str, str], python: str = sys.executable
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [python, "-c", program],
            cwd=self.folder,
            env={**environment, "PYTHONPATH": f"{self.folder / 'lambdas'}:{self.folder / 'infra'}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def build(self, environment: dict[str, str]) -> Path:
        output, errors = self.start(BUILD, environment).communicate()
        assert not errors
        return Path(output.strip())

    def refusal(self, environment: dict[str, str], python: str = sys.executable) -> str:
        """What the error says."""
        output, errors = self.start(BUILD, environment, python).communicate()
        assert not output
        *_traceback, error = errors.strip().splitlines()
        kind, _, message = error.partition(": ")
        assert kind == f"{ConfigurationError.__module__}.{ConfigurationError.__name__}"
        return message


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    made = Checkout(tmp_path / "checkout")
    for folder in ("infra", "lambdas/connection_guard"):
        shutil.copytree(
            ROOT / folder, made.folder / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    made.greeter.mkdir()
    (made.greeter / "__init__.py").touch()
    (made.greeter / "handler.py").write_text(
        "import greetings\ndef lambda_handler(event, context):\n    from greeter import later\n"
    )
    (made.greeter / "later.py").write_text("import sys\n")
    (made.greeter / "never.py").write_text("import greeter.later\n")
    (made.greeter / "requirements.txt").write_text("greetings==1.0\n")
    return made


def test_what_is_imported_later_is_packed_and_what_never_is_is_not(
    checkout: Checkout, index: Index
) -> None:
    package = checkout.build(index.environment)

    assert {path.relative_to(package).as_posix() for path in package.rglob("*.py")} == {
        "greetings.py",
        "greeter/__init__.py",
        "greeter/handler.py",
        "greeter/later.py",
    }


def test_a_package_is_built_once_until_something_in_it_changes(
    checkout: Checkout, index: Index
) -> None:
    first = checkout.build(index.environment)
    index.asked.clear()
    built_at = first.stat().st_mtime_ns

    (checkout.greeter / "never.py").write_text("")
    assert checkout.build(index.environment) == first
    assert first.stat().st_mtime_ns == built_at

    (checkout.greeter / "later.py").write_text("import os\n")
    second = checkout.build(index.environment)
    assert second != first
    assert (second / "greeter" / "later.py").read_text() == "import os\n"
    assert not index.asked.is_set()

    (checkout.greeter / "requirements.txt").write_text("greetings==1.0  # not 2.0\n")
    checkout.build(index.environment)
    assert index.asked.is_set()


BUILD_IN_TWO_STEPS = """
from connection_guard_cdk.shared import packages

def build(folder):
    folder.mkdir()
    (folder / "first").touch()
    print("half built", flush=True)
    input()
    (folder / "second").touch()

print(packages._built_once(build, {}))
"""


def test_an_interrupted_build_is_not_taken_for_a_finished_one(checkout: Checkout) -> None:
    interrupted = checkout.start(BUILD_IN_TWO_STEPS, dict(os.environ))
    assert interrupted.stdout
    assert interrupted.stdout.readline() == "half built\n"
    interrupted.kill()
    interrupted.communicate()

    output, errors = checkout.start(BUILD_IN_TWO_STEPS, dict(os.environ)).communicate("go on\n")

    _, built = output.splitlines()
    assert errors == ""
    assert sorted(path.name for path in Path(built).iterdir()) == ["first", "second"]


def test_two_builds_at_once_do_not_break_each_other(checkout: Checkout, index: Index) -> None:
    index.may_answer.clear()
    slower = checkout.start(BUILD, index.environment)
    assert index.asked.wait(60)
    faster = checkout.build(
        {**index.environment, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index.wheels)}
    )

    index.may_answer.set()
    output, errors = slower.communicate()

    assert (output.strip(), errors) == (str(faster), "")
    assert (faster / "greetings.py").is_file()
    assert not [name for name in checkout.cached if name.startswith("unfinished-")]


# What can go wrong


def test_a_version_that_does_not_exist_is_one_clear_line_and_leaves_nothing_behind(
    checkout: Checkout, index: Index
) -> None:
    (checkout.greeter / "requirements.txt").write_text("greetings==2.0\n")

    assert checkout.refusal(index.environment) == (
        "lambdas/greeter/requirements.txt: cannot be installed for Python 3.13 on aarch64: No "
        "matching distribution found for greetings==2.0; pin what exists, and see that pip reaches "
        "its package index"
    )
    assert checkout.cached == []


def test_an_environment_without_pip_is_told_how_to_get_it(
    checkout: Checkout, index: Index, tmp_path: Path
) -> None:
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = str(tmp_path / "venv" / "bin" / "python")

    refusal = checkout.refusal(index.environment, python)

    assert refusal.startswith(
        "lambdas/greeter/requirements.txt: cannot be installed for Python 3.13 on aarch64: pip is "
    )
    assert f"{python}: run `python -m ensurepip` in it (`uv venv` leaves pip out" in refusal


# It runs


@only_where_it_runs
def test_the_packaged_responder_serves_a_heartbeat(tmp_path: Path) -> None:
    package = unpacked("responder", tmp_path)

    with ExecutionEnvironment(
        package, "responder.handler.lambda_handler", SETTINGS["responder"]
    ) as environment:
        answer = environment.invoke(a_heartbeat_event(), timeout=6)

    assert not answer.is_error, answer.payload
    assert (answer.payload["kind"], answer.payload["database"]) == ("locked_out", "orders-prod")
    assert "Connection refused" in answer.payload["doors"][0]["error"]


@only_where_it_runs
def test_the_packaged_reporter_refuses_what_is_no_delivery(tmp_path: Path) -> None:
    package = unpacked("reporter", tmp_path)

    with ExecutionEnvironment(
        package, "reporter.handler.lambda_handler", SETTINGS["reporter"]
    ) as environment:
        answer = environment.invoke(a_heartbeat_event())

    assert (answer.is_error, answer.payload["errorType"]) == (True, "ForeignEventError"), (
        answer.payload
    )
    assert answer.payload["errorMessage"].startswith(
        "expected an SNS notification with Lambda's record of a Report"
    )


@only_where_it_runs
def test_the_packaged_reporter_lets_its_own_word_on_the_incidents_topic_be(tmp_path: Path) -> None:
    """It hears of alarms from there: were its own word to it a report, it would never stop."""
    package = unpacked("reporter", tmp_path)
    event = an_alarm_event()
    topic = REPORTER_SETTINGS.incidents_topic
    event["Records"][0]["Sns"] |= {"TopicArn": topic, "Message": '{"database": "orders-prod"}'}

    with ExecutionEnvironment(
        package, "reporter.handler.lambda_handler", SETTINGS["reporter"]
    ) as environment:
        answer = environment.invoke(event)

    assert (answer.is_error, answer.payload) == (False, None), answer.payload
