"""`connection-guard discover` against an AWS account that moto plays."""

import os
import signal
import subprocess
import tomllib
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

import pytest

from connection_guard.configuration.guard.guard_file import read_configuration
from tests.support.cli.aws_account import AwsAccount, an_aurora_cluster, aws_account
from tests.support.cli.running import (
    COMMAND,
    ROOT,
    Ran,
    at_a_terminal,
    in_a_pipe,
    in_this_process,
    raw_terminal,
)
from tests.support.configurations import ACCOUNT, REGION

CHANNEL = '[notifications]\nemails = ["platform@example.com"]\n'
MOST = timedelta(minutes=1)


@pytest.fixture(scope="module")
def shared_account() -> Iterator[AwsAccount]:
    with aws_account() as account:
        yield account


@pytest.fixture
def account(shared_account: AwsAccount) -> Iterator[AwsAccount]:
    """An account without databases."""
    yield shared_account
    shared_account.forget()


def discover(account: AwsAccount, folder: Path, *arguments: str, **environment: str) -> Ran:
    return in_this_process(
        "discover", *arguments, environment={**account.environment, **environment}, folder=folder
    )


def names_in(file: Path) -> list[str]:
    tables = tomllib.loads(file.read_text())["databases"]
    return [table.get("instance") or table["cluster"] for table in tables]


def test_forty_databases_are_described_in_a_minute_so_that_they_can_be_deployed(
    account: AwsAccount, tmp_path: Path
) -> None:
    """The list of RDS has more than a page: 40 of 115 instances are chosen."""
    for number in range(40):
        account.instance(f"shop-{number:02}", tags={"team": "shop"})
    for number in range(75):
        account.instance(f"other-{number:02}", Engine="mysql", EngineVersion="8.0.35")
    file = tmp_path / "guard.toml"
    file.write_text(CHANNEL)

    account.gate.asked.clear()
    started = monotonic()
    ran = in_a_pipe("discover", "--all", environment=account.environment, folder=tmp_path)
    took = monotonic() - started

    assert took < MOST.total_seconds()
    assert Counter(account.gate.asked) == {
        "DescribeDBInstances": 2,
        "DescribeDBClusters": 1,
        "DescribeDBProxies": 1,
        "DescribeRouteTables": 1,
    }
    assert names_in(file) == [f"shop-{number:02}" for number in range(40)]
    configuration = read_configuration(file)
    assert (configuration.target.account, configuration.target.region) == (ACCOUNT, REGION)
    assert set(configuration.databases[0].network.subnets) == set(account.private)
    assert len(ran.document["left_out"]) == 75
    assert ran.document["written"]
    assert ran.document["mistakes"] == []
    assert ran.document["findings"] == []
    assert ran.status == 0

    text = file.read_text()
    again = discover(account, tmp_path, "--tag", "team=shop")
    assert again.document["changes"] == []
    assert not again.document["written"]
    assert file.read_text() == text


def test_a_cluster_a_proxy_and_a_parameter_group_are_described(
    account: AwsAccount, tmp_path: Path
) -> None:
    an_aurora_cluster(account)
    a_parameter_group(account)
    account.instance("orders", DBParameterGroupName="mine")
    (tmp_path / "guard.toml").write_text(CHANNEL)
    a_proxy(account, "orders-proxy", "orders", default_auth_scheme="IAM_AUTH")

    ran = discover(account, tmp_path, "orders", "payments")

    assert ran.document["findings"] == []
    assert (ran.status, ran.errors) == (0, "")
    orders, payments = read_configuration(tmp_path / "guard.toml").databases
    assert orders.proxy is not None
    assert (orders.max_connections.max_connections, orders.proxy.role) == (500, "connection_guard")
    assert (payments.is_cluster, payments.max_connections.max_connections) == (True, 2000)
    table = tomllib.loads((tmp_path / "guard.toml").read_text())["databases"][1]
    assert (table["minimum_acu"], table["maximum_acu"]) == (0.5, 16)


def a_parameter_group(account: AwsAccount) -> None:
    """Create "mine", which sets max_connections."""
    account.rds.create_db_parameter_group(
        DBParameterGroupName="mine", DBParameterGroupFamily="postgres16", Description="mine"
    )
    account.rds.modify_db_parameter_group(
        DBParameterGroupName="mine",
        Parameters=[
            {
                "ParameterName": "max_connections",
                "ParameterValue": "500",
                "ApplyMethod": "pending-reboot",
            }
        ],
    )


def a_proxy(account: AwsAccount, name: str, instance: str, **changes: Any) -> Any:
    """Create a proxy of an instance, with end-to-end IAM authentication."""
    account.rds.create_db_proxy(
        DBProxyName=name,
        EngineFamily="POSTGRESQL",
        Auth=changes.pop("Auth", []),
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/proxy",
        VpcSubnetIds=account.private,
        VpcSecurityGroupIds=[account.security_group],
    )
    account.rds.register_db_proxy_targets(
        DBProxyName=name, TargetGroupName="default", DBInstanceIdentifiers=[instance]
    )
    held = account.state.db_proxies[name]
    held.endpoint = f"{name}.proxy-c0ffee.{REGION}.rds.amazonaws.com"
    held.vpc_id = account.vpc
    for key, value in changes.items():
        setattr(held, key, value)
    return held


def test_only_the_metadata_of_secrets_is_read(account: AwsAccount, tmp_path: Path) -> None:
    secrets = account.client("secretsmanager")
    arns = [
        secrets.create_secret(Name=name, Description=text, SecretString="hunter2")["ARN"]
        for name, text in (("app", "of the shop"), ("guard", "of connection_guard_proxy"))
    ]
    account.instance("orders")
    auth = [{"AuthScheme": "SECRETS", "SecretArn": arn, "IAMAuth": "REQUIRED"} for arn in arns]
    a_proxy(account, "shared", "orders", Auth=auth, default_auth_scheme="NONE")
    (tmp_path / "guard.toml").write_text(CHANNEL)

    ran = discover(account, tmp_path, "orders")

    assert (ran.status, ran.document["findings"]) == (0, [])
    [database] = read_configuration(tmp_path / "guard.toml").databases
    assert database.proxy is not None
    assert database.proxy.role == "connection_guard_proxy"
    assert "hunter2" not in ran.output + (tmp_path / "guard.toml").read_text()
    assert "ListSecrets" in account.gate.asked
    assert not any(action.endswith("SecretValue") for action in account.gate.asked)


def test_the_memory_of_a_class_that_is_not_known_here_is_that_of_ec2(
    account: AwsAccount, tmp_path: Path
) -> None:
    account.instance("orders", DBInstanceClass="db.m5zn.large")
    (tmp_path / "guard.toml").write_text(CHANNEL)

    assert discover(account, tmp_path, "orders").status == 0
    assert "memory_gib = 8\n" in (tmp_path / "guard.toml").read_text()


# What a person sees


def test_without_a_choice_it_lists_what_there_is(account: AwsAccount, tmp_path: Path) -> None:
    account.instance("orders", EnableIAMDatabaseAuthentication=False)
    account.instance("wiki", Engine="mysql", EngineVersion="8.0.35")

    ran = at_a_terminal("discover", environment=account.environment, folder=tmp_path)

    assert ran.status == 0
    assert "orders    instance  16.4        db.m7g.large  off" in ran.output
    assert "wiki: engine mysql, not PostgreSQL" in ran.output
    assert "Choose by name, by --tag KEY=VALUE, or with --all" in ran.output
    assert not (tmp_path / "guard.toml").exists()


def test_an_account_without_databases_is_no_mistake(account: AwsAccount, tmp_path: Path) -> None:
    ran = at_a_terminal("discover", environment=account.environment, folder=tmp_path)

    assert (ran.status, ran.output.strip()) == (
        0,
        f"There is no database with PostgreSQL in {REGION}.",
    )


FILE = f"""\
# Größe: nichts für schwache Nerven
[deploy]
account = "{ACCOUNT}"
region = "{REGION}" # Frankfurt
{CHANNEL}
[[databases]]
instance = "orders"   # the shop's
instance_class = "db.t3.micro" # too small?
owner = "Zoë"
""".replace("\n", "\r\n")


def test_changes_are_shown_and_only_they_are_made(account: AwsAccount, tmp_path: Path) -> None:
    account.instance("orders")
    file = tmp_path / "guard.toml"
    file.write_bytes(FILE.encode())
    arguments = ["discover", "orders"]

    tried = at_a_terminal(*arguments, "--dry-run", environment=account.environment, folder=tmp_path)
    assert file.read_bytes() == FILE.encode()
    made = at_a_terminal(*arguments, environment=account.environment, folder=tmp_path)

    change = 'orders: instance_class "db.t3.micro" -> "db.m7g.large"'
    assert change in tried.output
    assert "Nothing is written (--dry-run): 7 changes to guard.toml." in tried.output
    assert change in made.output
    assert "orders: resource_id (not there) -> " in made.output
    assert "Wrote 7 changes to guard.toml." in made.output
    assert (tried.status, made.status) == (0, 0)
    text = file.read_bytes().decode()
    assert 'instance_class = "db.m7g.large" # too small?\r\n' in text
    assert "\n" not in text.replace("\r\n", "")
    written = text.splitlines()
    assert [line for line in written if line in FILE.splitlines()] == [
        line for line in FILE.splitlines() if "db.t3.micro" not in line
    ]


def test_a_dry_run_shows_the_tables_that_it_would_add(account: AwsAccount, tmp_path: Path) -> None:
    account.instance("orders", EnableIAMDatabaseAuthentication=False)

    ran = at_a_terminal(
        "discover", "--all", "--dry-run", environment=account.environment, folder=tmp_path
    )

    assert ran.status == 1
    assert '[[databases]]\ninstance = "orders"' in ran.output
    assert "orders: IAM authentication is off, so that the guard cannot log in\n" in ran.output
    assert "    aws rds modify-db-instance --db-instance-identifier orders --enable" in ran.output
    assert "nobody would be notified" in ran.output
    assert not (tmp_path / "guard.toml").exists()


def test_a_command_is_on_one_line_so_that_it_can_be_copied(
    account: AwsAccount, tmp_path: Path
) -> None:
    account.instance("orders", EnableIAMDatabaseAuthentication=False)

    _, written = raw_terminal(
        "discover", "--all", environment=account.environment, folder=tmp_path, columns=60
    )

    assert b" --enable-iam-database-authentication --apply-immediately\r\n" in written


def test_a_database_that_is_gone_is_reported_and_kept(account: AwsAccount, tmp_path: Path) -> None:
    account.instance("books")
    file = tmp_path / "guard.toml"
    file.write_bytes(FILE.encode())

    ran = discover(account, tmp_path, "books")

    assert ran.status == 1
    [problem] = [
        each["problem"] for each in ran.document["findings"] if each["database"] == "orders"
    ]
    assert problem == "it is in the file, but no longer in AWS; its table is kept"
    assert file.read_bytes().startswith(FILE.encode())
    assert names_in(file) == ["orders", "books"]


def test_tags_are_only_shown(account: AwsAccount, tmp_path: Path) -> None:
    account.instance("orders", tags={"[red]team[/]": "\u202eevil"})
    wrong = "[red]team[/]=evil\x1b]0;owned\x07\u202e"

    ran = discover(account, tmp_path, "--tag", wrong)

    assert (ran.status, ran.output) == (2, "")
    assert ran.errors == (
        'connection-guard: no database has the tag "[red]team[/]=evil\ufffd]0;owned\ufffd\ufffd": '
        'did you mean "[red]team[/]=\ufffdevil"?\n'
    )


# What cannot be done is a line


def line_of(ran: Ran) -> str:
    assert (ran.status, ran.output) == (2, ""), ran
    [line] = ran.errors.splitlines()
    return line.removeprefix("connection-guard: ")


def test_without_credentials(account: AwsAccount, tmp_path: Path) -> None:
    ran = discover(account, tmp_path, AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")

    assert line_of(ran).startswith("AWS credentials are missing")


def test_with_an_expired_token(account: AwsAccount, tmp_path: Path) -> None:
    account.gate.refused["DescribeDBInstances"] = "ExpiredToken"

    assert line_of(discover(account, tmp_path)).startswith("your AWS credentials have expired")


def test_without_the_permission_to_list_databases(account: AwsAccount, tmp_path: Path) -> None:
    account.gate.refused["DescribeDBClusters"] = "AccessDenied"

    assert line_of(discover(account, tmp_path)).startswith(
        "your AWS credentials lack the permission rds:DescribeDBClusters"
    )


def test_without_lesser_permissions_it_goes_on_and_says_what_is_missing(
    account: AwsAccount, tmp_path: Path
) -> None:
    a_parameter_group(account)
    account.instance("orders", DBInstanceClass="db.m5zn.large", DBParameterGroupName="mine")
    account.gate.refused = {
        "DescribeDBProxies": "AccessDenied",
        "DescribeDBParameters": "AccessDenied",
        "DescribeRouteTables": "UnauthorizedOperation",
        "DescribeInstanceTypes": "UnauthorizedOperation",
    }
    (tmp_path / "guard.toml").write_text(CHANNEL)

    ran = discover(account, tmp_path, "orders")

    assert ran.status == 1
    assert {each["action"]: each["fact"] for each in ran.document["missing_permissions"]} == {
        "rds:DescribeDBProxies": "proxies",
        "rds:DescribeDBParameters": "max_connections and what waits for a reboot",
        "ec2:DescribeRouteTables": "which subnets are private",
        "ec2:DescribeInstanceTypes": "the memory of db.m5zn.large",
    }
    text = (tmp_path / "guard.toml").read_text()
    assert "# Whether these are private could not be read." in text
    assert len(tomllib.loads(text)["databases"][0]["subnets"]) == 3


def test_for_another_region_or_account_than_that_of_the_file(
    account: AwsAccount, tmp_path: Path
) -> None:
    account.instance("orders")
    file = tmp_path / "guard.toml"
    file.write_text(f'[deploy]\naccount = "999999999999"\nregion = "{REGION}"\n')

    region = discover(account, tmp_path, "orders", "--region", "us-east-1")
    account_id = discover(account, tmp_path, "orders", AWS_REGION="us-east-1")

    assert line_of(region).startswith(f'guard.toml is about "{REGION}", not "us-east-1"')
    assert line_of(account_id).startswith('guard.toml is about account "999999999999"')


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("[deploy\n", "guard.toml: not valid TOML"),
        ("\ufeff[deploy]\n", "guard.toml: begins with a byte order mark"),
        ("databases = []\n", "guard.toml: databases: only tables of their own"),
        ("deploy = 1\n", None),
    ],
)
def test_into_a_file_that_is_not_one(
    account: AwsAccount, tmp_path: Path, text: str, mistake: str | None
) -> None:
    account.instance("orders")
    file = tmp_path / "guard.toml"
    file.write_text(text)

    ran = discover(account, tmp_path, "orders")

    if mistake is None:  # it is one, with a mistake that would stop a deployment
        assert ran.status == 1
        assert any("deploy" in each for each in ran.document["mistakes"])
    else:
        assert line_of(ran).startswith(mistake)
        assert file.read_text() == text


def test_into_a_file_that_cannot_be_written(account: AwsAccount, tmp_path: Path) -> None:
    account.instance("orders")
    file = tmp_path / "guard.toml"
    file.write_text(CHANNEL)
    file.chmod(0o444)

    assert line_of(discover(account, tmp_path, "orders")).startswith("guard.toml is read-only")
    assert file.read_text() == CHANNEL
    assert [*tmp_path.iterdir()] == [file]
    assert "is a folder" in line_of(discover(account, tmp_path, "orders", "--guard", "."))


def test_where_nobody_answers(tmp_path: Path) -> None:
    environment = {
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "of nobody",
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    }
    ran = in_this_process("discover", environment=environment, folder=tmp_path)

    assert line_of(ran).startswith("AWS could not be asked: Could not connect")


def test_ctrl_c_is_a_line_and_leaves_nothing(account: AwsAccount, tmp_path: Path) -> None:
    account.instance("orders")
    asked = Event()

    def interrupt() -> None:
        asked.set()
        process.send_signal(signal.SIGINT)
        process.wait(30)

    account.gate.before["DescribeDBProxies"] = interrupt
    process = subprocess.Popen(
        [*COMMAND, "discover", "--all"],
        env={**os.environ, **account.environment, "PYTHONPATH": str(ROOT / "lambdas")},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _output, errors = process.communicate(timeout=30)

    assert asked.is_set()
    assert (process.returncode, errors.strip()) == (130, "connection-guard: interrupted")
    assert [*tmp_path.iterdir()] == []
