"""A drill logs in as a role of the operator's, also with an IAM token."""

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from connection_guard.cli.access import database_access
from connection_guard.cli.access.database_access import DatabaseAccess, database_access_options
from tests.support.configurations import EXAMPLE_FILE


@click.command()
@database_access_options
def _log_in(access: DatabaseAccess) -> None:
    access.connect(access.door)


@pytest.mark.parametrize(
    ("options", "role", "has_token"),
    [
        (["--user", "drill", "--iam"], "drill", True),
        (["--user", "drill"], "drill", False),
        ([], "connection_guard", True),
    ],
)
def test_the_token_is_signed_for_the_role_that_logs_in(
    monkeypatch: pytest.MonkeyPatch, options: list[str], role: str, has_token: bool
) -> None:
    passwords: list[str | None] = []

    def start_login(_door: Any, _name: str, _roots: Path, password: str | None, _at: Any) -> None:
        passwords.append(password)

    monkeypatch.setattr(database_access, "start_login", start_login)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")

    arguments = ["--guard", str(EXAMPLE_FILE), "orders", *options]
    ran = CliRunner().invoke(_log_in, arguments, catch_exceptions=False)

    assert ran.exit_code == 0, ran.output
    [password] = passwords
    assert (password is not None) == has_token
    assert password is None or f"Action=connect&DBUser={role}&" in password
