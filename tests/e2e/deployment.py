"""The application deployed with `cdk deploy`, from a copy of the project with this test's guard
files.

No setting of the product weakens TLS or trusts another authority than Amazon's. Hence the copy
differs from the project in two more files: the root certificates of each door are those of the
test's own authorities.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from string import Template
from typing import Any

from connection_guard.adapters.postgresql.login import ROOTS
from connection_guard.core.database.door import DoorName
from tests.e2e.account import environments
from tests.e2e.account.emulator import ACCOUNT, REGION, Emulator
from tests.e2e.databases import RESOURCES, USABLE

GUARD_FILE = Path(__file__).with_name("guard.toml")
TABLE = "[[databases]]"
# The CDK uploads packages here. In a real account, `cdk bootstrap` creates it.
ASSETS = f"cdk-hnb659fds-assets-{ACCOUNT}-{REGION}"
DEADLINE_SECONDS = 300


class Deployment:
    """A copy of the project in `folder`, and the emulated account that it is deployed to. `ports`
    are those of each database's doors.
    """

    def __init__(
        self,
        folder: Path,
        emulator: Emulator,
        ports: Mapping[str, Mapping[DoorName, int]],
        authorities: Mapping[DoorName, Path],
    ) -> None:
        self._folder = folder / "project"
        self._emulator = emulator
        shutil.copytree(
            environments.ROOT,
            self._folder,
            ignore=shutil.ignore_patterns(".*", "__pycache__", "cdk.out", "policy.toml"),
        )
        self._places = {
            **_create_network(emulator.client("ec2")),
            **{
                f"{database}_{door}_port": str(port)
                for database, doors in ports.items()
                for door, port in doors.items()
            },
        }
        for door, authority in authorities.items():
            shutil.copy(
                authority,
                self._folder / "lambdas/connection_guard/adapters/postgresql/roots" / ROOTS[door],
            )
        where = {"LocationConstraint": REGION}
        emulator.client("s3").create_bucket(Bucket=ASSETS, CreateBucketConfiguration=where)

    def deploy(self, stack: str, databases: Collection[str]) -> dict[str, str]:
        """Deploy a stack that guards these databases of guard.toml, and return its outputs."""
        guard_file = self._folder / f"{stack}.toml"
        guard_file.write_text(self._guard_file(stack, databases))
        outputs = self._folder / f"{stack}.outputs.json"
        application = ("--app", f"{sys.executable} app.py", "--context", f"guard={guard_file}")
        shown = ("--outputs-file", str(outputs), "--progress", "events")
        synthesized = ("--output", _synthesized(stack))
        self._cdk("deploy", *application, *synthesized, *shown, "--require-approval", "never")
        return dict(json.loads(outputs.read_text())[stack])

    def destroy(self, stack: str) -> None:
        """Destroy the stack; what is to be retained stays in the account."""
        self._cdk("destroy", "--app", _synthesized(stack), "--force")

    def deploy_release(self, stack: str, database: str) -> dict[str, str]:
        """Write a release, deploy its template for a database without a proxy as the command
        `aws cloudformation deploy` does, and return the stack's outputs.
        """
        release = self._folder / "release"
        write = ("-m", "connection_guard_cdk.release.write_release", str(release))
        self._run(sys.executable, *write, "--architecture", "x86_64")
        for package in (release / "functions").iterdir():
            key = f"connection-guard/{package.name}"
            self._emulator.client("s3").upload_file(str(package), ASSETS, key)
        places = self._places
        parameters = {
            "DatabaseIdentifier": database,
            "Endpoint": "localhost",  # the emulator does not check the values' patterns
            "Port": places[f"{database}_direct_port"],
            "ResourceId": RESOURCES[database][DoorName.DIRECT],
            "UsableConnections": str(USABLE),
            "Vpc": places["vpc"],
            "Subnets": f"{places['subnet_a']},{places['subnet_b']}",
            "DatabaseSecurityGroup": places["database_group"],
            "Email": "platform@example.com",
            "SlackSecret": "connection-guard/slack",
            "CodeBucket": ASSETS,
        }
        cloudformation = self._emulator.client("cloudformation")
        cloudformation.create_stack(
            StackName=stack,
            TemplateBody=(release / "instance.template.json").read_text(),
            Parameters=[
                {"ParameterKey": name, "ParameterValue": value}
                for name, value in parameters.items()
            ],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
        )
        cloudformation.get_waiter("stack_create_complete").wait(
            StackName=stack, WaiterConfig={"Delay": 1, "MaxAttempts": DEADLINE_SECONDS}
        )
        (described,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
        return {each["OutputKey"]: each["OutputValue"] for each in described["Outputs"]}

    def _guard_file(self, stack: str, databases: Collection[str]) -> str:
        start, *tables = GUARD_FILE.read_text().split(TABLE)
        names = [tomllib.loads(table)["instance"] for table in tables]
        chosen = [table for name, table in zip(names, tables, strict=True) if name in databases]
        assert len(chosen) == len(databases)
        return Template(TABLE.join([start, *chosen])).substitute(self._places, stack=stack)

    def _cdk(self, *command: str) -> None:
        self._run(str(environments.cdk()), *command, "--no-color", "--no-notices")

    def _run(self, *command: str) -> None:
        """Run the command in the copy of the project, with the permissions of the root user."""
        result = subprocess.run(
            command,
            cwd=self._folder,
            env={
                **{
                    name: value for name, value in os.environ.items() if not name.startswith("AWS_")
                },
                **self._emulator.root_environment,
                "NODE_EXTRA_CA_CERTS": self._emulator.root_environment["AWS_CA_BUNDLE"],
                "PYTHONPATH": f"{self._folder / 'lambdas'}:{self._folder / 'infra'}",
                "TMPDIR": str(self._folder.parent),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
        assert result.returncode == 0, f"{' '.join(command)} failed:\n{result.stdout}"


def _synthesized(stack: str) -> str:
    return f"synthesized/{stack}"


def _create_network(ec2: Any) -> dict[str, str]:
    """Create the databases' VPC, and return the ids that guard.toml needs."""
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]

    def subnet(block: str, zone: str) -> str:
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone=f"{REGION}{zone}")[
            "Subnet"
        ]
        return str(subnet["SubnetId"])

    def security_group(name: str) -> str:
        return str(
            ec2.create_security_group(VpcId=vpc, GroupName=name, Description=name)["GroupId"]
        )

    return {
        "vpc": vpc,
        "subnet_a": subnet("10.0.0.0/24", "a"),
        "subnet_b": subnet("10.0.1.0/24", "b"),
        "database_group": security_group("database"),
        "proxy_group": security_group("proxy"),
    }
