"""What the end-to-end test installs for itself, once, below `.cache` in the checkout.

`python -m tests.e2e.environments` does it beforehand, as `make e2e` does: it takes a minute.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache"


def localemu() -> Path:
    """The Python of an environment that holds LocalEmu: it would change the versions of the project's own."""
    requirements = Path(__file__).with_name("requirements-localemu.txt")
    return _virtual_environment("localemu", _python_for_localemu(), requirements)


def lambda_runtime() -> Path:
    """The Python that runs functions: of the version that packages for the local machine are built for."""
    return _virtual_environment("lambda-runtime", sys.executable, Path(__file__).with_name("requirements-lambda.txt"))


def cdk() -> Path:
    """The CDK's command, which the Makefile installs."""
    command = CACHE / "cdk" / "node_modules" / ".bin" / "cdk"
    assert command.exists(), f"{command} is missing: run `make e2e`"
    return command


def _python_for_localemu() -> str:
    """LocalEmu 1.3.2 says that 3.10 will do, but is written in the syntax of 3.12."""
    if sys.version_info >= (3, 12):
        return sys.executable
    for version in ("3.13", "3.12"):
        # pyenv's commands of this name are there, but do nothing unless the version is asked for.
        environment = {**os.environ, "PYENV_VERSION": version}
        ask = [f"python{version}", "-c", "import sys; print(sys.executable)"]
        try:
            answer = subprocess.run(ask, env=environment, capture_output=True, text=True, check=True)
        except (FileNotFoundError, subprocess.CalledProcessError):
            continue
        return answer.stdout.strip()
    raise AssertionError("LocalEmu needs Python 3.12 or 3.13, and there is neither: install one")


def _virtual_environment(name: str, interpreter: str, requirements: Path) -> Path:
    folder = CACHE / name
    python = folder / "bin" / "python"

    def make() -> None:
        _run([interpreter, "-m", "venv", str(folder)])
        quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
        _run([str(python), "-m", "pip", "install", *quiet, "--requirement", str(requirements)])

    _make_once(folder, f"{interpreter}\n{requirements.read_text()}", make)
    return python


def _make_once(folder: Path, inputs: str, make: Callable[[], None]) -> None:
    """Anew where the inputs have changed or the last attempt was interrupted; a second run waits for the first's."""
    stamp = folder / "made-from"
    digest = hashlib.sha256(inputs.encode()).hexdigest()
    with _lock(folder):
        if stamp.is_file() and stamp.read_text() == digest:
            return
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make()
        stamp.write_text(digest)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(command: Sequence[str]) -> None:
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{' '.join(command)} failed:\n{result.stdout}{result.stderr}"


if __name__ == "__main__":
    try:
        localemu()
        lambda_runtime()
    except AssertionError as error:
        sys.exit(str(error))
