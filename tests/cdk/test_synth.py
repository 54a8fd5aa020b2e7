"""The application as `cdk` runs it: the shipped guard.toml, a wrong one, and what it may not
deploy.
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
from connection_guard_cdk.shared.packages import build_package
from tests.cdk.template import CONTEXT, ROOT, synthesize
from tests.support.configurations import POLICY_FILE, REGION, a_configuration, a_target

# CDK makes a function wait for its role, which naming the role does already.
LINT_EXCEPT = "W3005"


def app(
    outdir: Path, *program: str, guard_file: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """Runs it with no credentials, no home to find any in and, where the system can take that away,
    no network.
    """
    context = CONTEXT | ({"guard": str(guard_file)} if guard_file else {})
    environment = {
        "PATH": os.environ["PATH"],
        "CDK_OUTDIR": str(outdir),
        "CDK_CONTEXT_JSON": json.dumps(context),
    }
    return subprocess.run(
        [*without_network(), sys.executable, *(program or the_program_in_cdk_json())],
        cwd=ROOT,
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


def the_manifest(assembly: Path) -> Any:
    return json.loads((assembly / "manifest.json").read_text())


@pytest.fixture(scope="module", autouse=True)
def _packages() -> None:
    """Built before: libraries come over the network."""
    for function in ("reporter", "responder"):
        build_package(function, Architecture.ARM64, {})


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The assembly of the shipped guard.toml."""
    assembly = tmp_path_factory.mktemp("shipped")
    run = app(assembly)
    assert run.returncode == 0, run.stderr
    return assembly


def test_the_shipped_guard_file_synthesizes_as_it_is_and_asks_aws_for_nothing(
    shipped: Path,
) -> None:
    manifest = the_manifest(shipped)
    assert "missing" not in manifest  # what `cdk` would look up in the account
    stack = manifest["artifacts"]["ConnectionGuard"]
    assert stack["environment"] == "aws://123456789012/eu-central-1"
    assert stack["properties"]["tags"] == {"application": "connection-guard"}


def test_what_a_person_wants_to_know_of_it_is_four_lines(shipped: Path) -> None:
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "connection_guard_cdk.synthesized",
            "guard.toml",
            "--output",
            str(shipped),
            "--strict",
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'lambdas'}:{ROOT / 'infra'}:{ROOT}"},
        capture_output=True,
        text=True,
        check=True,
    )

    template = shipped / "ConnectionGuard.template.json"
    resources = len(json.loads(template.read_text())["Resources"])
    headline, counted, price, place = run.stdout.strip().splitlines()
    assert headline == "ConnectionGuard guards 1 database in eu-central-1: orders"
    assert counted == f"  {resources} of the 500 resources that CloudFormation allows in one stack"
    assert re.match(r"  about \d+ dollars per month", price)
    assert place == f"  template: {template}"


def test_the_same_file_gives_the_same_template_and_packages(shipped: Path, tmp_path: Path) -> None:
    assert app(tmp_path).returncode == 0
    for name in ("ConnectionGuard.template.json", "ConnectionGuard.assets.json"):
        assert (tmp_path / name).read_text() == (shipped / name).read_text()


@pytest.mark.parametrize("file", ["shipped", "template_file"])
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


def test_a_mistake_is_one_line_each_and_no_traceback(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    text = (ROOT / "guard.toml").read_text()
    text = text.replace('account = "123456789012"', 'account = "12"\nstack_name = "Wrong"')
    text = text.replace('vpc = "vpc-', 'vpc = "net-', 1)
    wrong.write_text(text.replace("[[databases]]", f'[[databases]]\npolicy = "{POLICY_FILE}"', 1))
    run = app(tmp_path / "assembly", guard_file=wrong)
    assert run.returncode == 1
    account, vpc = [line for line in run.stderr.splitlines() if "wrong.toml" in line]
    assert "account" in account
    assert 'databases[0] "orders"' in vpc
    assert "Traceback" not in run.stderr
    assert not list((tmp_path / "assembly").glob("*.template.json"))


def test_a_guard_file_that_is_not_there_is_a_line_and_no_traceback(tmp_path: Path) -> None:
    run = app(tmp_path / "assembly", guard_file=tmp_path / "nowhere.toml")
    assert run.returncode == 1
    assert "nowhere.toml" in run.stderr
    assert "Traceback" not in run.stderr


def test_another_file_never_replaces_the_stack_of_the_first(tmp_path: Path) -> None:
    second = tmp_path / "second.toml"
    second.write_text(
        (ROOT / "guard.toml")
        .read_text()
        .replace("[[databases]]", f'[[databases]]\npolicy = "{POLICY_FILE}"', 1)
    )
    run = app(tmp_path / "assembly", guard_file=second)
    assert run.returncode == 1
    assert (
        "second.toml: deploy: stack_name: is missing; write, for example, stack_name = "
        '"ConnectionGuard-2"' in run.stderr
    )
    assert not list((tmp_path / "assembly").glob("*.template.json"))


def test_more_databases_than_a_stack_holds_are_a_line_and_no_traceback(tmp_path: Path) -> None:
    text = (ROOT / "guard.toml").read_text()
    head, table = text.split("[[databases]]", 1)
    table = f'[[databases]]\npolicy = "{POLICY_FILE}"' + table.replace("[[databases]]", "")
    many = tmp_path / "many.toml"
    head = head.replace('# stack_name = "ConnectionGuard"', 'stack_name = "Many"')
    table = table.partition("# An Aurora cluster")[0].replace(
        "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ", "db-ORDERS"
    )
    many.write_text(
        head + "\n".join(re.sub("(?i)orders", rf"\g<0>{number}", table) for number in range(18))
    )
    run = app(tmp_path / "assembly", guard_file=many)
    assert run.returncode == 1
    assert "many.toml: its databases need more than the 500 resources" in run.stderr
    assert "Traceback" not in run.stderr


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


def test_what_cdk_nag_refuses_is_not_deployed(tmp_path: Path) -> None:
    run = app(tmp_path, "-c", CARELESS)
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
