"""What `make release-template` writes, and its messages where it cannot."""

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


@pytest.mark.parametrize(
    ("policy", "mistake"),
    [
        (None, "policy: cautious.toml does not exist; create it, or correct its path"),
        ("[tiers]\nwarning = 1\n", "cautious.toml: "),
    ],
)
def test_a_wrong_policy_is_a_line_each_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str | None, mistake: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if policy is not None:
        Path("cautious.toml").write_text(policy)
    lines = refusal(monkeypatch, "out", "--policy", "cautious.toml").splitlines()
    assert lines
    assert all(line.startswith(mistake) for line in lines)
    assert not Path("out").exists()


def test_a_folder_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("out").write_text("a file")
    assert refusal(monkeypatch, "out") == (
        "out: cannot be written: Not a directory; name another folder: make release-template "
        "FOLDER=..."
    )


def refusal(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """Return what the command ends with."""
    monkeypatch.setattr(sys, "argv", ["write_release", *arguments])
    with pytest.raises(SystemExit) as ended:
        written.main()
    return str(ended.value)
