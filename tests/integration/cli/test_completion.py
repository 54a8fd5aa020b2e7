"""A shell completes what `connection-guard` knows, here in a real bash."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.cli.running import COMMAND, ROOT, in_a_pipe
from tests.support.configurations import EXAMPLE_FILE

COMPLETE = """
eval "$(connection-guard completion bash)"
COMP_WORDS=({words})
COMP_CWORD={place}
_connection_guard_completion connection-guard 2> /dev/null
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a guard.toml, and the command on the PATH of a shell."""
    (tmp_path / "guard.toml").write_text(EXAMPLE_FILE.read_text())
    command = tmp_path / "connection-guard"
    command.write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} "$@"\n')
    command.chmod(0o755)
    return tmp_path


def completed(folder: Path, *words: str) -> list[str]:
    script = COMPLETE.format(words=" ".join(words), place=len(words) - 1)
    environment = {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT / 'lambdas'}:{ROOT / 'infra'}",
    }
    bash = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return bash.stdout.split()


def test_verbs_are_completed(folder: Path) -> None:
    assert completed(folder, "connection-guard", "notify") == ["notify-test"]


def test_options_are_completed(folder: Path) -> None:
    assert completed(folder, "connection-guard", "notify-test", "--prof") == ["--profile"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_a_script(shell: str) -> None:
    ran = in_a_pipe("completion", shell)

    assert ran.status == 0
    assert "_CONNECTION_GUARD_COMPLETE" in ran.output


def test_an_unknown_shell_is_a_line() -> None:
    ran = in_a_pipe("completion", "tcsh")

    assert (ran.status, ran.output) == (2, "")
    assert ran.errors.startswith("connection-guard: Invalid value for '{bash|fish|zsh}'")
    assert len(ran.errors.splitlines()) == 1
