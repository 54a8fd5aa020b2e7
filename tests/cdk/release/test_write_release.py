"""What `make release-template` writes, and its messages where it cannot."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from connection_guard.configuration.guard.guard_configuration import Architecture
from connection_guard.configuration.policy.policy_file import SHIPPED_POLICY
from connection_guard_cdk.packages.build_package import build_package
from connection_guard_cdk.release import write_release as written
from connection_guard_cdk.release.release_parameters import Variant
from connection_guard_cdk.release.write_release import write_release
from tests.cdk.packages.built import PACKAGES
from tests.cdk.template import ROOT

CAUTIOUS = SHIPPED_POLICY.read_text().replace("most_per_run = 100", "most_per_run = 99")


@pytest.fixture
def _only_instances(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(written, "VARIANTS", (Variant(is_cluster=False, has_proxy=False),))


@pytest.mark.usefixtures("_only_instances")
def test_the_same_policy_gives_the_same_bytes_and_another_one_other_names(tmp_path: Path) -> None:
    policy = tmp_path / "cautious.toml"
    policy.write_text(CAUTIOUS)

    first, second = write_release(tmp_path / "1"), write_release(tmp_path / "2")
    other = write_release(tmp_path / "3", policy)

    for one, another in zip(
        [*first.zips, *first.templates.values()],
        [*second.zips, *second.templates.values()],
        strict=True,
    ):
        assert one.name == another.name
        assert one.read_bytes() == another.read_bytes()
    names = [{each.name for each in release.zips} for release in (first, other)]
    assert len(names[0] & names[1]) == 1  # the reporter's, which has no policy
    [responder] = [each for each in other.zips if each.name not in names[0]]
    with ZipFile(responder) as archive:
        assert archive.read("policy.toml").decode() == CAUTIOUS


@pytest.mark.usefixtures("_only_instances")
def test_a_zip_is_the_package_that_guard_toml_deploys(tmp_path: Path) -> None:
    package = build_package(
        "responder",
        Architecture.ARM64,
        {"policy.toml": SHIPPED_POLICY.read_bytes()},
        PACKAGES,
    )
    files = {
        path.relative_to(package).as_posix(): path.read_bytes()
        for path in package.rglob("*")
        if path.is_file()
    }

    archives = [ZipFile(each) for each in write_release(tmp_path).zips]

    [responder] = [each for each in archives if "policy.toml" in each.namelist()]
    assert {name: responder.read(name) for name in responder.namelist()} == files
    assert {each.external_attr >> 16 for each in responder.infolist()} == {0o100644}
    for each in archives:
        each.close()


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "connection_guard_cdk.release.write_release", *arguments],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{ROOT / 'lambdas'}:{ROOT / 'infra'}"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("policy", "mistake"),
    [
        (None, "policy: cautious.toml does not exist; create it, or correct its path\n"),
        ("[tiers]\nwarning = 1\n", "cautious.toml: "),
    ],
)
def test_a_wrong_policy_is_a_line_each_and_nothing_is_written(
    tmp_path: Path, policy: str | None, mistake: str
) -> None:
    if policy is not None:
        (tmp_path / "cautious.toml").write_text(policy)
    ended = run(tmp_path, "out", "--policy", "cautious.toml")
    assert ended.returncode == 1
    assert all(line.startswith(mistake.strip()) for line in ended.stderr.splitlines())
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    ended = run(tmp_path, "out")
    assert ended.returncode == 1
    assert ended.stderr == (
        "out: cannot be written: Not a directory; name another folder: make release-template "
        "FOLDER=...\n"
    )
