"""A folder to write guard.toml to."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.configuration.guard.guard_files import POLICY

Write = Callable[[str | bytes], Path]


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Write:
    """Return a function that writes guard.toml beside a policy.toml, and returns its path."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "policy.toml").write_text(POLICY, encoding="utf-8")

    def write(text: str | bytes) -> Path:
        path = folder / "guard.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write
