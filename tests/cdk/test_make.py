"""The messages of `make` where a prerequisite is missing, and the arguments that it passes on."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cdk.template import ROOT

NEEDS_NODE = (
    "test",
    "e2e",
    "bench",
    "examples",
    "pictures",
    "release-template",
    "bootstrap",
    "synth",
    "diff",
    "deploy",
    "destroy",
)
NEEDS_CREDENTIALS = ("bootstrap", "diff", "deploy", "destroy")


def make(
    folder: Path, *arguments: str, node: str | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run the Makefile in an empty folder where `node` has this version, or is missing."""
    programs = folder / "bin"
    programs.mkdir()
    for name in ("python3", "sh", "tr", "cut"):
        (programs / name).symlink_to(shutil.which(name) or name)
    for name in ("node", "npm") if node else ():
        (programs / name).write_text(f"#!/bin/sh\necho {node}\n")
        (programs / name).chmod(0o755)
    return subprocess.run(
        [shutil.which("make") or "make", f"--makefile={ROOT / 'Makefile'}", *arguments],
        cwd=folder,
        env={"PATH": str(programs)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("target", NEEDS_NODE)
def test_missing_node_is_one_line_before_anything_is_installed(tmp_path: Path, target: str) -> None:
    run = make(tmp_path, target)

    first, *rest = run.stderr.splitlines()
    assert first == "Node.js is missing: install version 22, with npm"
    assert len(rest) == 1, "make's own line"
    assert run.stdout == ""


def test_a_node_that_is_too_old_is_one_line(tmp_path: Path) -> None:
    run = make(tmp_path, "synth", node="v18.20.8")

    assert run.returncode != 0
    assert run.stderr.startswith(
        "Node.js 18 is too old: install version 22 (20 is the oldest that works)\n"
    )


@pytest.mark.parametrize("node", ["v20.20.2", "v22.1.0", "v24.0.0"])
def test_a_node_that_works_is_not_mentioned(tmp_path: Path, node: str) -> None:
    run = make(tmp_path, "node", node=node)

    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize("target", ["synth", *NEEDS_CREDENTIALS])
def test_arguments_reach_the_cdk(tmp_path: Path, target: str) -> None:
    run = make(
        tmp_path,
        "-C",
        str(ROOT),
        "--dry-run",
        target,
        "ARGS=--require-approval never",
        "GUARD=second.toml",
        node="v22.1.0",
    )

    commands = run.stdout.replace("\\\n", " ").splitlines()
    [command] = [line for line in commands if f"cdk {target} " in line]
    assert command.endswith("--context guard='second.toml' --require-approval never")
    # With several stacks these ask for one by its name, or for all.
    assert ("--all" in command) is (target in {"diff", "deploy", "destroy"})


@pytest.mark.parametrize("target", NEEDS_CREDENTIALS)
def test_credentials_are_asked_for_before_the_cdk_is_started(tmp_path: Path, target: str) -> None:
    run = make(
        tmp_path, "-C", str(ROOT), "--dry-run", target, "ARGS=--profile production", node="v22.1.0"
    )

    asked, started = [
        line
        for line in run.stdout.splitlines()
        if "connection_guard.cli.credentials" in line or "cdk " in line
    ][-2:]
    assert asked.endswith("-m connection_guard.cli.credentials --profile production")
    assert f"cdk {target} " in started


def test_notify_test_asks_the_stack_of_the_guard_file(tmp_path: Path) -> None:
    run = make(
        tmp_path,
        "-C",
        str(ROOT),
        "--dry-run",
        "notify-test",
        "GUARD=second.toml",
        "ARGS=--profile production",
    )

    assert "notify-test --guard second.toml --profile production" in run.stdout


def test_notify_test_asks_the_stack_of_each_file(tmp_path: Path) -> None:
    run = make(tmp_path, "-C", str(ROOT), "--dry-run", "notify-test", "GUARD=examples/*.toml")

    assert "notify-test --guard examples/guard.toml" in run.stdout
    assert "*" not in run.stdout.splitlines()[-1]


def credentials(
    home: Path, *arguments: str, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Look for credentials where the home folder and the environment are the only places."""
    nowhere_else = {
        "PATH": os.defpath,
        "HOME": str(home),
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONPATH": "lambdas",
    }
    return subprocess.run(
        [sys.executable, "-m", "connection_guard.cli.credentials", *arguments],
        cwd=ROOT,
        env=nowhere_else | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_missing_credentials_are_one_line(tmp_path: Path) -> None:
    run = credentials(tmp_path, "--require-approval", "never")

    assert run.returncode == 1
    [line] = run.stderr.splitlines()
    assert line.startswith("AWS credentials are missing: set them in the shell")


def test_a_profile_that_does_not_exist_is_one_line(tmp_path: Path) -> None:
    run = credentials(tmp_path, "--profile", "production")

    assert run.returncode == 1
    assert (
        run.stderr
        == "AWS credentials cannot be read: The config profile (production) could not be found\n"
    )


def test_credentials_that_exist_are_not_mentioned(tmp_path: Path) -> None:
    run = credentials(
        tmp_path, AWS_ACCESS_KEY_ID="AKIAIOSFODNN7EXAMPLE", AWS_SECRET_ACCESS_KEY="of nobody"
    )

    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
