"""Write the guard as CloudFormation templates with parameters, and the functions' zips beside them:
`make release-template` does.
"""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from aws_cdk import App

from connection_guard.configuration.guard.guard_configuration import Architecture
from connection_guard.configuration.guard.policy_of_database import PolicyFile
from connection_guard.configuration.policy.policy_file import SHIPPED_POLICY, parse_policy
from connection_guard.configuration.toml.readers import MistakeError
from connection_guard.configuration.toml.text_file import read_text
from connection_guard.errors import ConfigurationError
from connection_guard_cdk.release.release_parameters import Variant
from connection_guard_cdk.release.release_stack import STACK_NAME, ReleaseStack
from connection_guard_cdk.release.released_template import released

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "dist" / "release"
FUNCTIONS = "functions"

VARIANTS = tuple(
    Variant(is_cluster, has_proxy) for is_cluster in (False, True) for has_proxy in (False, True)
)


@dataclass(frozen=True, slots=True)
class Release:
    """What was written: the template of each variant, by its name, and the functions' zips, which
    are to be uploaded under their own names.
    """

    templates: Mapping[str, Path]
    zips: tuple[Path, ...]


def write_release(
    folder: Path,
    policy_file: Path = SHIPPED_POLICY,
    architecture: Architecture = Architecture.ARM64,
) -> Release:
    """Write the templates and the zips into the folder, which is created where it is missing.

    Raise ConfigurationError where the policy has mistakes, or the folder cannot be written.
    """
    policy = _read_policy(policy_file)
    try:
        functions = folder / FUNCTIONS
        functions.mkdir(parents=True, exist_ok=True)
        templates, zips = {}, set()
        for variant in VARIANTS:
            with TemporaryDirectory() as temporary:
                assembly = _synthesize(Path(temporary), variant, policy, architecture)
                templates[variant.name] = _write_template(assembly, variant, folder)
                zips |= {_write_zip(each, functions) for each in assembly.glob("asset.*/")}
        return Release(templates, tuple(sorted(zips)))
    except OSError as error:
        raise ConfigurationError(
            f"{folder}: cannot be written: {error.strerror}; name another folder: "
            "make release-template FOLDER=..."
        ) from error


def _synthesize(
    assembly: Path, variant: Variant, policy: PolicyFile, architecture: Architecture
) -> Path:
    """Return the folder, with the variant's template and its packages in it."""
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    app = App(outdir=str(assembly), context=context, analytics_reporting=False)
    ReleaseStack(app, variant, policy, architecture)
    app.synth()
    return assembly


def _read_policy(file: Path) -> PolicyFile:
    try:
        return PolicyFile(file, parse_policy(read_text(file), str(file)))
    except MistakeError as mistake:
        raise ConfigurationError(f"policy: {mistake}") from mistake


def _write_template(assembly: Path, variant: Variant, folder: Path) -> Path:
    """Write it as briefly as possible: CloudFormation takes 51,200 bytes inline."""
    [synthesized] = assembly.glob("*.template.json")
    template = released(json.loads(synthesized.read_text()), STACK_NAME)
    path = folder / f"{variant.name}.template.json"
    path.write_text(json.dumps(template, separators=(",", ":")))
    return path


def _write_zip(package: Path, folder: Path) -> Path:
    """Write the package as a zip that has the same bytes each time, under the name that the
    templates have for it, which is a digest of its files.
    """
    path = folder / f"{package.name.removeprefix('asset.')}.zip"
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for file in sorted(each for each in package.rglob("*") if each.is_file()):
            entry = ZipInfo(file.relative_to(package).as_posix())  # of 1980-01-01
            entry.external_attr = 0o100644 << 16
            entry.create_system = 3  # the attributes are Unix's
            archive.writestr(entry, file.read_bytes(), ZIP_DEFLATED)
    return path


def main() -> None:
    """Write a release, and print where it is and what to do with it."""
    parser = ArgumentParser(allow_abbrev=False)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    parser.add_argument("--policy", type=Path, default=SHIPPED_POLICY)
    parser.add_argument(
        "--architecture", type=Architecture, choices=list(Architecture), default=Architecture.ARM64
    )
    arguments = parser.parse_args()
    try:
        release = write_release(arguments.folder, arguments.policy, arguments.architecture)
    except ConfigurationError as mistakes:
        sys.exit(str(mistakes))
    for template in release.templates.values():
        print(template)
    print("Upload the functions, then deploy one of the templates: see docs/cloudformation.md")
    print(f"  aws s3 cp --recursive {arguments.folder / FUNCTIONS} s3://BUCKET/connection-guard/")


if __name__ == "__main__":
    main()
