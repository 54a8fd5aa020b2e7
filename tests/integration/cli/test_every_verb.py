"""What every verb promises in a bad situation: one line per mistake, a status, and no traceback."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

from connection_guard.cli.command_line import INTERRUPTED_STATUS, VERBS, main
from connection_guard.configuration.policy.policy_file import SHIPPED_POLICY
from tests.support.cli.running import COMMAND, environment_of
from tests.support.configurations import EXAMPLE_FILE

LONGEST_SECONDS = 10.0
"""The verb that takes longest gives up a login after 8 s; most answer at once."""

POLICY = ("--policy", str(SHIPPED_POLICY))
CALLS: dict[str, tuple[str, ...]] = {
    "discover": ("discover", "orders"),
    "doctor": ("doctor", "orders"),
    "top": ("top", "orders"),
    "plan": ("plan", "orders"),
    "terminate": ("terminate", "orders", "--plan", "--yes"),
    "replay": ("replay", "--database", "orders", *POLICY),
    "budget": ("budget", "--live"),
    "audit": ("audit", "orders"),
    "incidents": ("incidents", "orders"),
    "redrive": ("redrive", "--yes"),
    "drill": ("drill", "orders", "--user", "drill", "--yes"),
    "pause": ("pause", "orders"),
    "resume": ("resume", "orders"),
    "notify-test": ("notify-test",),
}
OF_A_DATABASE = ("doctor", "top", "plan", "terminate", "audit", "drill", "pause", "resume")
NOWHERE = ("--user", "postgres", "--host", "127.0.0.1:1")

Call = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Call:
    """Return what calls the command in a folder of its own, without credentials, and gives its
    status and its lines on standard error.
    """
    for name in [each for each in os.environ if each.startswith(("AWS_", "PG"))]:
        monkeypatch.delenv(name)
    for name, value in environment_of({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}).items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr("signal.signal", Mock())  # pytest's own handlers stay
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def called(*arguments: str) -> tuple[int, list[str]]:
        monkeypatch.setattr(sys, "argv", ["connection-guard", *arguments])
        begin = time.monotonic()
        with pytest.raises(SystemExit) as ended:
            main()
        assert time.monotonic() - begin < LONGEST_SECONDS
        written = capfd.readouterr()
        assert_promises(written.out + written.err)
        assert isinstance(ended.value.code, int)
        return ended.value.code, written.err.splitlines()

    return called


def assert_promises(written: str) -> None:
    assert "Traceback" not in written
    assert "Exception ignored" not in written
    assert "a defect of this command" not in written
    assert "of nobody" not in written, "that is the secret of the credentials"


def assert_one_line(outcome: tuple[int, list[str]], *parts: str) -> None:
    status, lines = outcome
    assert (status, len(lines)) == (2, 1), lines
    assert lines[0].startswith("connection-guard: ")
    assert all(part in lines[0] for part in parts), lines


def test_every_verb_is_called_here() -> None:
    assert {*CALLS, "completion"} == set(VERBS)


@pytest.mark.parametrize("verb", [each for each in CALLS if each not in ("discover", "budget")])
def test_without_a_guard_file_a_line_says_how_to_begin(verb: str, call: Call) -> None:
    assert_one_line(call(*CALLS[verb]), "guard.toml", "connection-guard discover")


@pytest.mark.parametrize("verb", CALLS)
def test_a_guard_file_that_is_not_toml_is_a_line(verb: str, call: Call, tmp_path: Path) -> None:
    (tmp_path / "guard.toml").write_text("[deploy\n")

    assert_one_line(call(*CALLS[verb]), "guard.toml: ", "line 1")


@pytest.mark.parametrize("verb", CALLS)
def test_a_guard_file_of_bytes_is_a_line(verb: str, call: Call, tmp_path: Path) -> None:
    (tmp_path / "guard.toml").write_bytes(b"\xff\xfe\x00")

    assert_one_line(call(*CALLS[verb]), "guard.toml is not UTF-8 text")


@pytest.mark.parametrize("verb", OF_A_DATABASE)
def test_a_name_that_is_not_there_is_a_line_with_the_nearest(
    verb: str, call: Call, tmp_path: Path
) -> None:
    (tmp_path / "guard.toml").write_text(EXAMPLE_FILE.read_text())
    misspelt = ["ordrs" if each == "orders" else each for each in CALLS[verb]]

    assert_one_line(call(*misspelt), '"ordrs" is not a database of', 'did you mean "orders"?')


@pytest.mark.parametrize("verb", [each for each in CALLS if each not in ("doctor", "budget")])
def test_without_credentials_a_line_says_how_to_get_them(
    verb: str, call: Call, tmp_path: Path
) -> None:
    (tmp_path / "guard.toml").write_text(EXAMPLE_FILE.read_text())

    assert_one_line(call(*CALLS[verb]), "AWS credentials are missing", "AWS_PROFILE")


@pytest.mark.parametrize("verb", ["discover", "replay", "incidents", "redrive", "drill"])
def test_where_aws_cannot_be_reached_a_line_says_so(
    verb: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "guard.toml").write_text(EXAMPLE_FILE.read_text())
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of nobody")

    assert_one_line(call(*CALLS[verb]), "AWS could not be asked", "127.0.0.1:1")


@pytest.mark.parametrize("verb", ["top", "plan", "terminate", "audit", "pause", "resume"])
def test_where_a_server_cannot_be_reached_a_line_says_where_and_what_to_do(
    verb: str, call: Call
) -> None:
    by_address = [each for each in CALLS[verb] if each != "orders"]

    outcome = call(*by_address, *NOWHERE)

    assert_one_line(
        outcome, 'no login as "postgres"', "at 127.0.0.1:1", "refused", "connection-guard doctor"
    )


def test_the_doctor_finds_what_others_stumble_over(call: Call, tmp_path: Path) -> None:
    (tmp_path / "guard.toml").write_text(EXAMPLE_FILE.read_text())

    assert call("doctor", *NOWHERE) == (1, [])
    assert call("doctor", "orders", "--no-aws", *NOWHERE) == (1, [])


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("doctr",), "Did you mean 'doctor'? See `connection-guard --help`"),
        (("plan", "--polcy", "x"), "--policy"),
        (("completion",), "Choose from: bash, fish, zsh; see"),
        (("plan", "--host", "localhost:x"), "write --host as HOST or HOST:PORT"),
        (("plan", "--host", f"localhost:{'9' * 5000}"), "write --host as HOST or HOST:PORT"),
        (("plan", "--guard", "a\nb"), "a b does not exist"),
        (("plan", "--profile", "nobody", "--user", "x", "--iam"), "guard.toml"),
    ],
)
def test_a_slip_of_the_finger_is_a_line(
    arguments: tuple[str, ...], problem: str, call: Call
) -> None:
    assert_one_line(call(*arguments), problem)


def test_a_variable_of_postgresql_that_is_wrong_is_a_line(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "default")

    assert_one_line(call("plan", "--host", "localhost"), 'at port "default" is no address')


@pytest.mark.parametrize(
    ("error", "status", "shown"),
    [
        (KeyboardInterrupt, INTERRUPTED_STATUS, ["connection-guard: interrupted"]),
        (BrokenPipeError, 0, []),
    ],
)
def test_an_interrupt_and_a_reader_that_left_are_no_defect(
    error: type[BaseException],
    status: int,
    shown: list[str],
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("click.Command.invoke", Mock(side_effect=error))

    ended, lines = call("completion", "bash")

    assert (ended, [line for line in lines if line]) == (status, shown)


def shell(command: str, folder: Path) -> tuple[int, str]:
    """Return how a shell's pipe ends, and what it shows; `$guard` is the command."""
    ran = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        env=environment_of({"guard": " ".join(COMMAND), "HOME": str(folder)}),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert_promises(ran.stdout + ran.stderr)
    return ran.returncode, ran.stderr


@pytest.mark.parametrize("arguments", ["--help", "completion bash", f"doctor {' '.join(NOWHERE)}"])
def test_an_output_that_is_full_is_a_line(arguments: str, tmp_path: Path) -> None:
    status, errors = shell(f"$guard {arguments} > /dev/full", tmp_path)

    assert status == 2
    assert errors == (
        "connection-guard: the output cannot be written: No space left on device; make room, or "
        "write elsewhere\n"
    )


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (f"$guard doctor {' '.join(NOWHERE)} | true", 0),
        (f"$guard doctor {' '.join(NOWHERE)} <&- >&-", 1),
        ("$guard plan 2>&-", 2),
        ("$guard plan > /dev/full 2>&1", 2),
    ],
)
def test_a_stream_that_nobody_holds_is_no_defect(command: str, status: int, tmp_path: Path) -> None:
    assert shell(command, tmp_path) == (status, "")


def test_help_and_completion_import_no_verb(tmp_path: Path) -> None:
    imports = (
        "import sys; sys.argv = ['connection-guard', '--help']\n"
        "from connection_guard.cli.command_line import main\n"
        "try: main()\n"
        "finally: assert not {'boto3', 'psycopg2', 'rich'} & set(sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", imports],
        env=environment_of(None),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    assert max(map(len, ran.stdout.splitlines())) < 80
    listed = ran.stdout.split("Commands:")[1].splitlines()
    assert len(listed) == 1 + len(VERBS), "a summary does not fit its line"
