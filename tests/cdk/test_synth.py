"""The application as `cdk` runs it: with the example for a guard.toml, without one, with a wrong
one, and what it must not deploy.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from connection_guard.configuration.guard.guard_configuration import Architecture, Synthesizer
from connection_guard_cdk.cost import resources_of
from connection_guard_cdk.packages.build_package import build_package
from tests.cdk.template import CONTEXT, ROOT, synthesize
from tests.support.configurations import EXAMPLE_FILE, REGION, a_configuration, a_target

# The CDK adds a dependency on the role, which the reference to the role implies already.
LINT_EXCEPT = "W3005"


def app(
    project: Path, outdir: Path, *program: str, guard_file: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run it in the project with no credentials, no home to find any in and, where the system can
    take that away, no network.
    """
    context = CONTEXT | ({"guard": str(guard_file)} if guard_file else {})
    environment = {
        "PATH": os.environ["PATH"],
        "CDK_OUTDIR": str(outdir),
        "CDK_CONTEXT_JSON": json.dumps(context),
    }
    return subprocess.run(
        [*without_network(), sys.executable, *(program or the_program_in_cdk_json())],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def the_program_in_cdk_json() -> list[str]:
    interpreter, *program = shlex.split(json.loads((ROOT / "cdk.json").read_text())["app"])
    assert interpreter == ".venv/bin/python"
    return program


def without_network() -> list[str]:
    unshare = [shutil.which("unshare") or "false", "--map-root-user", "--net"]
    possible = subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode == 0
    return unshare if possible else []


def a_copy_of_the_project(folder: Path) -> Path:
    """Return a folder that has of the project what the application reads: no guard.toml."""
    for name in ("app.py", "cdk.json", "examples", "infra", "lambdas", ".cache", ".venv"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def the_manifest(assembly: Path) -> Any:
    return json.loads((assembly / "manifest.json").read_text())


@pytest.fixture(scope="module", autouse=True)
def _packages() -> None:
    """Build them before, because libraries come over the network."""
    for function in ("reporter", "responder"):
        build_package(function, Architecture.ARM64, {}, ROOT / ".cache" / "packages")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project whose guard.toml is a copy of the example."""
    folder = a_copy_of_the_project(tmp_path_factory.mktemp("project"))
    shutil.copyfile(EXAMPLE_FILE, folder / "guard.toml")
    return folder


@pytest.fixture(scope="module")
def example(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the assembly of the example."""
    assembly = tmp_path_factory.mktemp("example")
    run = app(project, assembly)
    assert run.returncode == 0, run.stderr
    return assembly


def test_without_a_guard_file_one_line_says_how_to_begin(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    path = a_copy_of_the_project(copy) / "guard.toml"

    run = app(copy, tmp_path / "assembly")

    assert run.returncode == 1
    (line,) = [line for line in run.stderr.splitlines() if "guard.toml" in line]
    assert line == (
        f"{path} does not exist; let `connection-guard discover` write it, begin with a copy of "
        "the project's examples/guard.toml, or name the file where it is"
    )
    assert "Traceback" not in run.stderr


def test_the_example_synthesizes_as_it_is_and_asks_aws_for_nothing(example: Path) -> None:
    manifest = the_manifest(example)
    assert "missing" not in manifest  # what `cdk` would look up in the account
    stack = manifest["artifacts"]["ConnectionGuard"]
    assert stack["environment"] == "aws://123456789012/eu-central-1"
    assert stack["properties"]["tags"] == {"application": "connection-guard"}


def the_last_lines(guard_file: Path, assembly: Path) -> list[str]:
    """Return what `make synth` ends with."""
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "connection_guard_cdk.synthesized",
            str(guard_file),
            "--output",
            str(assembly),
            "--strict",
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'lambdas'}:{ROOT / 'infra'}:{ROOT}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.strip().splitlines()


def test_what_a_person_wants_to_know_of_it_is_five_lines(project: Path, example: Path) -> None:
    template = example / "ConnectionGuard.template.json"
    resources = len(resources_of(template))
    headline, counted, price, place, roles = the_last_lines(project / "guard.toml", example)
    assert headline == "ConnectionGuard guards 1 database in eu-central-1: orders"
    assert counted == f"  {resources} of the 2,500 resources that CloudFormation deploys at once"
    assert re.match(r"  about \d+ dollars per month", price)
    assert place == f"  template: {template}"
    assert roles == (
        '  the roles on orders: psql "host=orders.c1abcdefghij.eu-central-1.rds.amazonaws.com '
        'port=5432 dbname=postgres user=<master>" -v guard_role=connection_guard -f '
        "bootstrap/bootstrap.sql"
    )
    assert (ROOT / "bootstrap/bootstrap.sql").is_file()


def test_each_of_several_files_is_a_stack_in_its_own_place(project: Path, tmp_path: Path) -> None:
    guards = tmp_path / "guards"
    guards.mkdir()
    text = EXAMPLE_FILE.read_text()
    text = text.replace('# stack_name = "ConnectionGuard"', 'stack_name = "Guard"')
    (guards / "east.toml").write_text(text)
    (guards / "west.toml").write_text(text.replace("eu-central-1", "eu-west-1"))
    (guards / "moving.toml").write_text(text.replace('"Guard"', '"Moving"'))
    assembly = tmp_path / "assembly"

    run = app(project, assembly, guard_file=guards / "*.toml")

    assert run.returncode == 0, run.stderr
    artifacts = the_manifest(assembly)["artifacts"]
    stacks = {
        name: (each["environment"], each["properties"].get("stackName", name))
        for name, each in artifacts.items()
        if each["type"] == "aws:cloudformation:stack"
    }
    east, west = "aws://123456789012/eu-central-1", "aws://123456789012/eu-west-1"
    assert stacks == {
        "Guard-123456789012-eu-central-1": (east, "Guard"),
        "Guard-123456789012-eu-west-1": (west, "Guard"),
        "Moving": (east, "Moving"),
    }
    assert "east.toml guards orders, too" in run.stderr
    headlines = [line for line in the_last_lines(guards / "*.toml", assembly) if " guards " in line]
    assert headlines == [
        "Guard guards 1 database in eu-central-1: orders",
        "Moving guards 1 database in eu-central-1: orders",
        "Guard guards 1 database in eu-west-1: orders",
    ]


def test_more_databases_than_aws_allows_are_a_line_and_no_traceback(
    project: Path, tmp_path: Path
) -> None:
    head, header, table = EXAMPLE_FILE.read_text().partition("[[databases]]")
    table = header + table
    many = tmp_path / "many.toml"
    head = head.replace('# stack_name = "ConnectionGuard"', 'stack_name = "Many"')
    table = table.partition("# An Aurora cluster")[0].replace(
        "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ", "db-ORDERS"
    )
    many.write_text(
        head + "\n".join(re.sub("(?i)orders", rf"\g<0>{number}", table) for number in range(194))
    )
    run = app(project, tmp_path / "assembly", guard_file=many)
    assert run.returncode == 1
    assert "many.toml: its databases need " in run.stderr
    assert "make deploy GUARD=second.toml" in run.stderr
    assert "Traceback" not in run.stderr
    assert not list((tmp_path / "assembly").glob("*.template.json"))


@pytest.mark.parametrize(
    ("pool_size", "line"),
    [
        (
            "pool_size = 100",
            (
                "  warning: orders: services may open 700 connections; 80 % of 773 usable are 618: "
                "over by 82; see `connection-guard budget`"
            ),
        ),
        (
            "",
            (
                "  warning: orders: services may open 0 connections; 80 % of 773 usable are 618, "
                "without 1 pool of unknown size; see `connection-guard budget`"
            ),
        ),
        (
            "pool_size = 10",
            "  orders: services may open 70 connections; 80 % of 773 usable are 618: 548 to spare",
        ),
    ],
)
def test_pools_that_are_declared_are_added_up(
    example: Path, tmp_path: Path, pool_size: str, line: str
) -> None:
    guard_file = tmp_path / "guard.toml"
    declared = f'[[services]]\nname = "api"\nreplicas = 5\n{pool_size}\n'
    guard_file.write_text(f"{EXAMPLE_FILE.read_text()}\n{declared}")

    assert the_last_lines(guard_file, example)[5:] == [line]


def test_the_same_file_gives_the_same_template_and_packages(
    project: Path, example: Path, tmp_path: Path
) -> None:
    assert app(project, tmp_path).returncode == 0
    for name in ("ConnectionGuard.template.json", "ConnectionGuard.assets.json"):
        assert (tmp_path / name).read_text() == (example / name).read_text()


@pytest.mark.parametrize("file", ["example", "template_file"])
def test_cfn_lint_finds_nothing(file: str, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(file)
    template = path / "ConnectionGuard.template.json" if path.is_dir() else path
    lint = [
        str(Path(sys.executable).with_name("cfn-lint")),
        "--regions",
        REGION,
        "--ignore-checks",
        LINT_EXCEPT,
    ]
    run = subprocess.run([*lint, "--", str(template)], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, ""), run.stdout + run.stderr


def test_a_mistake_is_one_line_each_and_no_traceback(project: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    text = EXAMPLE_FILE.read_text()
    text = text.replace('account = "123456789012"', 'account = "12"\nstack_name = "Wrong"')
    text = text.replace('vpc = "vpc-', 'vpc = "net-', 1)
    wrong.write_text(text)
    run = app(project, tmp_path / "assembly", guard_file=wrong)
    assert run.returncode == 1
    account, vpc = [line for line in run.stderr.splitlines() if "wrong.toml" in line]
    assert "account" in account
    assert 'databases[0] "orders"' in vpc
    assert "Traceback" not in run.stderr
    assert not list((tmp_path / "assembly").glob("*.template.json"))


def test_a_guard_file_that_is_not_there_is_a_line_and_no_traceback(
    project: Path, tmp_path: Path
) -> None:
    run = app(project, tmp_path / "assembly", guard_file=tmp_path / "nowhere.toml")
    assert run.returncode == 1
    assert "nowhere.toml" in run.stderr
    assert "Traceback" not in run.stderr


def test_another_file_never_replaces_the_stack_of_the_first(project: Path, tmp_path: Path) -> None:
    second = shutil.copyfile(EXAMPLE_FILE, tmp_path / "second.toml")
    run = app(project, tmp_path / "assembly", guard_file=second)
    assert run.returncode == 1
    assert (
        "second.toml: deploy: stack_name: is missing; write, for example, stack_name = "
        '"ConnectionGuard-2"' in run.stderr
    )
    assert not list((tmp_path / "assembly").glob("*.template.json"))


CARELESS = """
import app
from aws_cdk import aws_s3 as s3

class Careless(app.ConnectionGuardStack):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        s3.Bucket(self, "Careless")

app.ConnectionGuardStack = Careless
app.main()
"""


def test_what_cdk_nag_refuses_is_not_deployed(project: Path, tmp_path: Path) -> None:
    run = app(project, tmp_path, "-c", CARELESS)
    assert run.returncode == 1
    assert "ConnectionGuard/Careless/Resource" in run.stderr
    assert "AwsSolutions-S10" in run.stderr  # a bucket that answers without TLS
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("synthesizer", "assumes_a_role"),
    [(Synthesizer.BOOTSTRAP_ROLES, True), (Synthesizer.CLI_CREDENTIALS, False)],
)
def test_the_stack_is_deployed_with_the_permissions_that_were_chosen(
    tmp_path: Path, synthesizer: Synthesizer, assumes_a_role: bool
) -> None:
    synthesize(a_configuration(target=a_target(synthesizer=synthesizer)), tmp_path)
    properties = the_manifest(tmp_path)["artifacts"]["connection-guard"]["properties"]
    assert ("assumeRoleArn" in properties) is assumes_a_role
