"""The packages of both functions, as the tests build them."""

import platform
import shutil
from pathlib import Path

import pytest

from connection_guard.configuration.guard.guard_configuration import Architecture
from connection_guard.configuration.policy.policy_file import SHIPPED_POLICY
from connection_guard.core.database.door import Door, DoorName
from connection_guard.core.deployment.reporter_settings import (
    APPLICATION_OWNERS_FILE,
    ApplicationOwner,
    Owner,
    ReporterSettings,
    write_application_owners,
)
from connection_guard_cdk.packages.build_package import build_package
from tests.cdk.template import ROOT
from tests.support.builders import some_settings

FUNCTIONS = ("responder", "reporter")
PACKAGES = ROOT / ".cache" / "packages"
THIS_PYTHON = ".".join(platform.python_version_tuple()[:2])
REPORTER_SETTINGS = ReporterSettings(
    "incidents",
    "evidence",
    "arn:aws:sns:eu-central-1:123456789012:incidents",
    "unreadable",
    "ConnectionGuard",
    "/connection-guard/ConnectionGuard/databases",
    "/connection-guard/ConnectionGuard",
)


APPLICATION_OWNERS = write_application_owners((ApplicationOwner("shop*", Owner("team-shop")),))
DATA = {
    "responder": {"policy.toml": SHIPPED_POLICY.read_bytes()},
    "reporter": {APPLICATION_OWNERS_FILE: APPLICATION_OWNERS.encode()},
}


SETTINGS = {
    # No server listens at the responder's door.
    "responder": some_settings(
        direct=Door(DoorName.DIRECT, "127.0.0.1", 1, "connection_guard")
    ).to_environment(),
    "reporter": REPORTER_SETTINGS.to_environment(),
}


only_where_it_runs = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"),
    reason="runs the package for the local machine, which is for Linux on x86_64",
)


def build(function: str, architecture: Architecture) -> Path:
    return build_package(function, architecture, DATA[function], PACKAGES)


def unpacked(function: str, folder: Path) -> Path:
    """Return the package as it is in Lambda: a copy, since running it leaves bytecode behind."""
    package = build_package(
        function, Architecture.X86_64, DATA[function], PACKAGES, python=THIS_PYTHON
    )
    return shutil.copytree(package, folder / function)
