"""What the end-to-end test installs for itself, once, below `.cache` in the checkout.

`make e2e` does so beforehand, with `python -m tests.e2e.account.environments`; it takes a minute.
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

from connection_guard_cdk.packages.build_package import PYTHON

ROOT = Path(__file__).parents[3]
CACHE = ROOT / ".cache"


def localemu() -> Path:
    """Return the Python of an environment with LocalEmu, whose dependencies differ from the
    project's own.
    """
    return _virtual_environment("localemu", Path(__file__).with_name("requirements-localemu.txt"))


def lambda_runtime() -> Path:
    """Return the Python that runs functions, of their runtime's version."""
    return _virtual_environment(
        "lambda-runtime", Path(__file__).with_name("requirements-lambda.txt")
    )


def cdk() -> Path:
    """Return the CDK's command, which the Makefile installs."""
    command = CACHE / "cdk" / "node_modules" / ".bin" / "cdk"
    assert command.exists(), f"{command} is missing: run `make e2e`"
    return command


def _python_of_the_functions() -> str:
    """Return an interpreter of the functions' own version. LocalEmu claims to run on 3.10, but
    needs at least 3.12.
    """
    # pyenv's commands of this name are there, but do nothing unless the version is asked for.
    environment = {**os.environ, "PYENV_VERSION": PYTHON}
    ask = [f"python{PYTHON}", "-c", "import sys; print(sys.executable)"]
    try:
        answer = subprocess.run(ask, env=environment, capture_output=True, text=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        raise AssertionError(
            f"python{PYTHON} is missing: install it, since the functions run under it"
        ) from None
    return answer.stdout.strip()


def _virtual_environment(name: str, requirements: Path) -> Path:
    interpreter = _python_of_the_functions()
    folder = CACHE / name
    python = folder / "bin" / "python"

    def make() -> None:
        _run([interpreter, "-m", "venv", str(folder)])
        quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
        _run([str(python), "-m", "pip", "install", *quiet, "--requirement", str(requirements)])

    _make_once(folder, f"{interpreter}\n{requirements.read_text()}", make)
    return python


def _make_once(folder: Path, inputs: str, make: Callable[[], None]) -> None:
    """Make the folder where the inputs have changed or the last attempt was interrupted; a second
    run waits for the first.
    """
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
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, f"{' '.join(command)} failed:\n{result.stdout}{result.stderr}"


if __name__ == "__main__":
    try:
        localemu()
        lambda_runtime()
    except AssertionError as error:
        sys.exit(str(error))
