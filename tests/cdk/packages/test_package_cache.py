"""Builds in a small project whose only library comes from a package index of its own: when a
package is built again, and what can go wrong.
"""

import os
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

import pytest

from connection_guard.errors import ConfigurationError
from tests.cdk.template import ROOT


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
        """Return variables with which pip uses only this index."""
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
        """Log nothing."""


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
    "from connection_guard_cdk.packages.build_package import *; print(build_package('greeter', "
    "Architecture.ARM64, {}, Path('packages').resolve()))"
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
        """Return what has been built, with the rest of what was not finished."""
        return [path.name for path in (self.folder / "packages").iterdir() if path.is_dir()]

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
        """Return the message of the error."""
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
from pathlib import Path
from connection_guard_cdk.packages import build_package as packages

def build(folder):
    folder.mkdir()
    (folder / "first").touch()
    print("half built", flush=True)
    input()
    (folder / "second").touch()

print(packages._built_once(build, {}, Path("packages").resolve()))
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


def test_a_version_that_does_not_exist_is_one_clear_line_and_leaves_nothing_behind(
    checkout: Checkout, index: Index
) -> None:
    (checkout.greeter / "requirements.txt").write_text("greetings==2.0\n")

    assert checkout.refusal(index.environment) == (
        "lambdas/greeter/requirements.txt: cannot be installed for Python 3.13 on aarch64: No "
        "matching distribution found for greetings==2.0; pin versions that exist, and check "
        "that pip can reach its package index"
    )
    assert checkout.cached == []


def test_without_pip_the_error_says_how_to_get_it(
    checkout: Checkout, index: Index, tmp_path: Path
) -> None:
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = str(tmp_path / "venv" / "bin" / "python")

    refusal = checkout.refusal(index.environment, python)

    assert refusal.startswith(
        "lambdas/greeter/requirements.txt: cannot be installed for Python 3.13 on aarch64: pip is "
    )
    assert f"{python}: run `python -m ensurepip` in it (`uv venv` leaves pip out" in refusal
