"""guard.toml: what the example says, how each mistake is reported, and where policies come from."""

from pathlib import Path

import pytest

from connection_guard.configuration.guard.guard_configuration import (
    Architecture,
    Configuration,
    Database,
    ExistingProxy,
    Network,
    NewProxy,
    Notifications,
    ProxyAuthentication,
    Synthesizer,
    Target,
)
from connection_guard.configuration.guard.guard_file import read_configuration
from connection_guard.configuration.max_connections.estimate import estimate, estimate_serverless
from connection_guard.configuration.policy.policy_file import SHIPPED_POLICY, parse_policy
from connection_guard.errors import ConfigurationError
from tests.support.configurations import EXAMPLE_FILE
from tests.unit.configuration.cases import the_cases
from tests.unit.configuration.guard.conftest import Write
from tests.unit.configuration.guard.guard_files import (
    AT_RDS,
    CASES,
    DEPLOY,
    EXISTING_PROXY,
    NEW_PROXY,
    ORDERS,
    POLICY,
    SECRET,
    SECRET_KEY,
    guard,
    orders,
    payments,
    refusal,
    the_database,
)

EXAMPLE = EXAMPLE_FILE.read_text(encoding="utf-8")
ORDERS_0 = 'databases[0] "orders"'


# What is right


def test_the_example_guards_one_database_and_creates_no_proxy() -> None:
    example = read_configuration(EXAMPLE_FILE)

    assert example.target == Target(
        "ConnectionGuard",
        "123456789012",
        "eu-central-1",
        Architecture.ARM64,
        Synthesizer.BOOTSTRAP_ROLES,
        {},
        None,
    )
    assert example.notifications == Notifications(
        slack_secret=None, emails=("platform@example.com",)
    )
    (database,) = example.databases
    assert (database.identifier, database.is_cluster) == ("orders", False)
    assert database.proxy is None
    assert database.policy == parse_policy(POLICY)
    assert not database.reserve_concurrency


DEFAULTS = (
    "stack_name",
    "architecture",
    "synthesizer",
    "database_name",
    "role",
    "policy",
    "warning",
    "critical",
    "reserve_concurrency",
)


def test_the_example_shows_the_defaults_as_they_are(write: Write) -> None:
    lines = EXAMPLE.partition("# [databases.proxy]")[0].splitlines()
    shown = [line for line in lines if line.startswith(tuple(f"# {key} = " for key in DEFAULTS))]
    written = [line.removeprefix("# ") if line in shown else line for line in lines]

    assert [line.split()[1] for line in shown] == list(DEFAULTS)
    assert read_configuration(write("\n".join(written))) == read_configuration(
        write("\n".join(lines))
    )


def test_the_other_ways_that_the_example_shows_work_as_they_are_written(write: Write) -> None:
    deploy, header, databases = EXAMPLE.partition("[[databases]]")
    first, _, others = f"{header}{databases}".partition("# [databases.proxy]")
    others = "\n".join(
        line.removeprefix("# ") for line in f"# [databases.proxy]{others}".splitlines()
    )
    others = others.replace('authentication = "iam"', 'authentication = "secrets"', 1)
    for comment in ("The secret with", "An Aurora cluster", "cluster that could"):
        others = others.replace(comment, f"# {comment}")
    text = deploy + first + others
    for key in (
        "slack_secret",
        "tags",
        "kms_key",
        "max_connections",
        "role",
        "secret",
        "secret_key",
    ):
        text = text.replace(f"\n# {key} = ", f"\n{key} = ")
    text = text.replace('role = "connection_guard"', "", 1)  # shown as a default

    configuration = read_configuration(write(text))

    assert configuration.notifications.slack_secret == "connection-guard/slack"
    assert configuration.target.tags == {"team": "platform", "cost-center": "1234"}
    assert configuration.target.kms_key == SECRET_KEY
    instance, cluster = configuration.databases
    assert instance.max_connections.max_connections == 500
    assert instance.proxy == NewProxy(
        ProxyAuthentication.SECRETS, "connection_guard_proxy", SECRET, SECRET_KEY
    )
    assert cluster.is_cluster
    assert isinstance(cluster.proxy, ExistingProxy)
    assert (cluster.role, cluster.proxy.role) == ("connection_guard", "connection_guard_proxy")


def test_a_file_may_have_every_key(write: Write) -> None:
    path = write(
        guard(
            payments(
                database_name="shop",
                endpoint=f"payments.cluster-{AT_RDS}:6432",
                instance_class="db.serverless",
                minimum_acu=0.5,
                maximum_acu=16,
                max_connections="LEAST({DBInstanceClassMemory/9531392},3000)",
                role="guard",
                policy=str(SHIPPED_POLICY),
                warning=80,
                critical=95.5,
                reserve_concurrency=True,
                proxy=EXISTING_PROXY
                | {"endpoint": f"payments.proxy-{AT_RDS}:7432", "authentication": "iam"},
            ),
            deploy=DEPLOY
            | {"stack_name": "Guard-2", "architecture": "x86_64", "synthesizer": "cli-credentials"}
            | {"tags": {"team": "platform", "Kostenstelle": "Büro 7"}, "kms_key": SECRET_KEY},
            notifications={
                "slack_secret": "guard/slack",
                "emails": ["a@example.com", "b@example.com"],
            },
        )
    )

    place = 'guard.toml: databases[0] "payments"'
    assert read_configuration(path) == Configuration(
        Target(
            stack_name="Guard-2",
            account="123456789012",
            region="eu-central-1",
            architecture=Architecture.X86_64,
            synthesizer=Synthesizer.CLI_CREDENTIALS,
            tags={"team": "platform", "Kostenstelle": "Büro 7"},
            kms_key=SECRET_KEY,
        ),
        Notifications("guard/slack", ("a@example.com", "b@example.com")),
        (
            Database(
                identifier="payments",
                is_cluster=True,
                database_name="shop",
                host=f"payments.cluster-{AT_RDS}",
                port=6432,
                resource_id="cluster-PAYMENTS01",
                max_connections=estimate_serverless(
                    0.5, 16, "LEAST({DBInstanceClassMemory/9531392},3000)", place=place
                ),
                network=Network(
                    "vpc-0123456789abcdef0",
                    ("subnet-0123456789abcdef0", "subnet-0123abcd"),
                    ("eu-central-1a", "eu-central-1b"),
                ),
                security_groups=("sg-0123456789abcdef0",),
                proxy=ExistingProxy(
                    host=f"payments.proxy-{AT_RDS}",
                    port=7432,
                    resource_id="prx-0123456789abcdef0",
                    security_groups=("sg-0123456789abcdef1",),
                    authentication=ProxyAuthentication.IAM,
                    role="guard",
                ),
                role="guard",
                policy_file=SHIPPED_POLICY,
                policy=parse_policy(POLICY),
                warning_percent=80,
                critical_percent=95.5,
                reserve_concurrency=True,
            ),
        ),
    )


def test_a_database_has_defaults_for_what_it_leaves_out(write: Write) -> None:
    path = write(guard())
    database = the_database(path)

    assert read_configuration(path).notifications == Notifications(
        slack_secret=None, emails=("on-call@example.com",)
    )
    assert (database.database_name, database.port, database.role) == (
        "postgres",
        5432,
        "connection_guard",
    )
    assert (database.warning_percent, database.critical_percent) == (75, 90)
    assert database.policy_file == path.parent / "policy.toml"
    assert database.max_connections == estimate("db.t4g.micro", place="")
    assert database.proxy is None
    assert not database.reserve_concurrency


def test_the_path_of_a_policy_is_relative_to_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "strict.toml").write_text(POLICY.replace("target = 70", "target = 60"))
    (tmp_path / "guard.toml").write_text(guard(orders(policy="policies/strict.toml")))

    assert the_database(tmp_path / "guard.toml").policy.limits.target_percent == 60


def test_without_a_policy_of_its_own_the_shipped_one_is_used(tmp_path: Path) -> None:
    path = tmp_path / "guard.toml"
    path.write_text(guard())

    database = the_database(path)

    assert database.policy_file == SHIPPED_POLICY
    assert database.policy == parse_policy(POLICY)


def test_a_policy_beside_the_file_replaces_the_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(POLICY.replace("target = 70", "target = 60"))
    path = tmp_path / "guard.toml"
    path.write_text(guard())

    database = the_database(path)

    assert database.policy_file == tmp_path / "policy.toml"
    assert database.policy.limits.target_percent == 60


@pytest.mark.parametrize(
    "database",
    {
        "name in capitals": orders(instance="Orders", endpoint=f"ORDERS.{AT_RDS}"),
        "longest name": orders(instance="a" * 63, endpoint=f"{'a' * 63}.{AT_RDS}"),
        "an Aurora instance": orders(resource_id="cluster-ORDERS01", proxy=EXISTING_PROXY),
        "a proxy's further endpoint": orders(
            proxy=EXISTING_PROXY | {"endpoint": f"more.endpoint.proxy-{AT_RDS}"}
        ),
        "subnets in one zone": orders(availability_zones=["eu-central-1a", "eu-central-1a"]),
        "the role that IAM implies": orders(role="guard", proxy=NEW_PROXY | {"role": "guard"}),
        "no second role, as nothing is created": orders(proxy=EXISTING_PROXY | {"create": False}),
        "a class without a rule": orders(instance_class="db.t9.micro", memory_gib=1),
        "a number for an unknown class": orders(instance_class="db.t9.micro", max_connections=200),
        "longest role": orders(role="r" * 63),
        "as many subnets as Lambda takes": orders(
            subnets=[f"subnet-0123ab{number:02}" for number in range(16)],
            availability_zones=["eu-central-1a"] * 16,
        ),
        "as many groups as RDS takes": orders(
            security_groups=[f"sg-0123abc{number}" for number in range(5)]
        ),
    }.items(),
    ids=lambda case: case[0],
)
def test_this_is_right_as_well(database: tuple[str, dict[str, object]], write: Write) -> None:
    read = the_database(write(guard(database[1])))

    assert read.identifier == read.identifier.lower()
    assert read.host.islower()


def test_an_emulator_of_aws_has_its_databases_on_this_machine(write: Write) -> None:
    database = orders(endpoint="localhost:15432", proxy=EXISTING_PROXY | {"endpoint": "localhost"})

    read = the_database(write(guard(database, deploy=DEPLOY | {"account": "000000000000"})))

    assert (read.host, read.port) == ("localhost", 15432)


def test_slack_can_be_the_only_one_to_be_notified(write: Write) -> None:
    notifications = read_configuration(
        write(guard(notifications={"slack_secret": "guard/slack"}))
    ).notifications

    assert notifications == Notifications("guard/slack", ())


@pytest.mark.parametrize("region", ["us-east-1", "ap-southeast-7", "mx-central-1", "il-central-1"])
def test_a_region_may_be_any_commercial_one(region: str, write: Write) -> None:
    def there(text: object) -> str:
        return str(text).replace("eu-central-1", region)

    database = orders(
        endpoint=there(ORDERS["endpoint"]), availability_zones=[f"{region}a", f"{region}b"]
    )

    assert (
        read_configuration(write(guard(database, deploy=DEPLOY | {"region": region}))).target.region
        == region
    )


# What is wrong


@pytest.mark.parametrize(("text", "lines"), the_cases(CASES))
def test_a_mistake_is_reported_in_one_line_with_its_place_and_what_to_write(
    text: str, lines: list[str], write: Write
) -> None:
    assert refusal(write(text)) == lines


def test_a_byte_order_mark_is_reported(write: Write) -> None:
    assert refusal(write(f"\ufeff{guard()}")) == [
        "guard.toml: begins with a byte order mark (BOM); save it as UTF-8 without one"
    ]


def test_more_tags_than_a_stack_can_have_are_reported(write: Write) -> None:
    tags = {f"tag{number}": "a" for number in range(50)}

    assert refusal(write(guard(deploy=DEPLOY | {"tags": tags}))) == [
        "guard.toml: deploy: tags: 50 tags are more than CloudFormation takes; write at most 49"
    ]


def test_a_warning_at_the_target_of_the_shipped_policy_is_reported_with_what_replaces_that(
    tmp_path: Path,
) -> None:
    path = tmp_path / "guard.toml"
    path.write_text(guard(orders(warning=70)))

    assert refusal(path) == [
        (
            f"guard.toml: {ORDERS_0}: policy: the shipped policy (a policy.toml beside this file "
            "replaces it): limits: target: 70 is not below the warning alarm at 70 %, which would "
            "never clear; lower it, or raise warning"
        )
    ]


def test_every_mistake_is_reported_at_once(write: Write) -> None:
    text = guard(
        orders(vpc=3, endpoint="orders.c1.eu-west-1.rds.amazonaws.com", warning=95),
        payments(
            endpoint=f"payment.cluster-{AT_RDS}",
            max_connections="{",
            proxy={"authentication": "kerberos"},
        ),
        deploy=DEPLOY | {"account": 1},
        notifications={"emails": [1, 2]},
    )

    assert [line.partition("; ")[0] for line in refusal(write(text))] == [
        "guard.toml: deploy: account: 1 is a number, and an account may begin with 0",
        "guard.toml: notifications: emails: 1 is not an e-mail address",
        "guard.toml: notifications: emails: 2 is not an e-mail address",
        (
            f'guard.toml: {ORDERS_0}: endpoint: "orders.c1.eu-west-1.rds.amazonaws.com" is in '
            "eu-west-1, but deploy.region is eu-central-1"
        ),
        f"guard.toml: {ORDERS_0}: vpc: 3 is not a VPC",
        f"guard.toml: {ORDERS_0}: warning: 95 is not below critical, 90",
        (
            f'guard.toml: databases[1] "payments": endpoint: "payment.cluster-{AT_RDS}" does not '
            'begin with "payments", so it belongs to another database'
        ),
        (
            'guard.toml: databases[1] "payments": max_connections: "{": expected one of integer, '
            "log, DBInstanceClassMemory, DBInstanceVCPU, not the end"
        ),
        (
            'guard.toml: databases[1] "payments": proxy: authentication: "kerberos" is not one of '
            '"iam", "secrets"'
        ),
        'guard.toml: databases[1] "payments": proxy: endpoint: is missing',
        'guard.toml: databases[1] "payments": proxy: resource_id: is missing',
        'guard.toml: databases[1] "payments": proxy: security_groups: is missing',
    ]


def test_an_endpoint_in_another_region_and_of_another_database_is_reported_as_both(
    write: Write,
) -> None:
    lines = refusal(write(guard(orders(endpoint="x.c1.eu-west-1.rds.amazonaws.com"))))

    assert len(lines) == 2
    assert 'does not begin with "orders"' in lines[0]
    assert "is in eu-west-1" in lines[1]


def test_what_depends_on_a_wrong_value_is_not_reported_as_well(write: Write) -> None:
    text = guard(orders(proxy=EXISTING_PROXY), deploy=DEPLOY | {"region": "Frankfurt"})

    assert [line.partition('"')[0] for line in refusal(write(text))] == [
        "guard.toml: deploy: region: "
    ]


# Files


def test_a_missing_file_is_reported_with_the_example_to_copy(tmp_path: Path) -> None:
    path = tmp_path / "guard.toml"

    assert refusal(path) == [
        (
            f"guard.toml: {path} does not exist; copy the example and edit it: cp "
            "examples/guard.toml guard.toml"
        )
    ]


def test_another_missing_file_than_the_first_is_not_to_be_copied(write: Write) -> None:
    first = write(guard())
    path = first.with_name("missing.toml")

    with pytest.raises(ConfigurationError) as refused:
        read_configuration(path, first)

    assert str(refused.value) == (
        f"missing.toml: {path} does not exist; create it, or correct its path"
    )


def test_a_folder_instead_of_a_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "guard.toml"
    path.mkdir()

    assert refusal(path) == [f"guard.toml: {path} is a folder; name the file in it"]


def test_a_file_in_another_encoding_is_reported(write: Write) -> None:
    path = write("# Übersicht".encode("latin-1"))

    assert refusal(path) == [f"guard.toml: {path} is not UTF-8 text (byte 2); save it as UTF-8"]


@pytest.mark.parametrize(
    ("policy", "mistake"),
    [
        ("missing.toml", "{path} does not exist; create it, or correct its path"),
        ("", '"" is not the path of a file; write one such as "policy.toml"'),
        (".", "{folder} is a folder; name the file in it"),
        (
            "guard.toml/x",
            "{path} cannot be read: Not a directory; correct its path or its permissions",
        ),
        (
            "x" * 300,
            "{path} cannot be read: File name too long; correct its path or its permissions",
        ),
        ("a\0b", '"a\\u0000b" is not the path of a file; write one such as "policy.toml"'),
    ],
)
def test_a_policy_that_cannot_be_read_is_reported(policy: str, mistake: str, write: Write) -> None:
    path = write(guard(orders(policy=policy)))

    expected = mistake.format(path=path.parent / policy, folder=path.parent)
    assert refusal(path) == [f"guard.toml: {ORDERS_0}: policy: {expected}"]


def test_the_mistakes_of_a_policy_are_reported_under_its_own_name_and_once(tmp_path: Path) -> None:
    (tmp_path / "shared.toml").write_text(POLICY.replace("batch_size = 50", "batch_size = 51"))
    path = tmp_path / "guard.toml"
    path.write_text(guard(orders(policy="shared.toml"), payments(policy="shared.toml", vpc="x")))

    assert refusal(path) == [
        "shared.toml: limits: batch_size: 51 is not a whole number from 1 to 50",
        (
            'guard.toml: databases[1] "payments": vpc: "x" is not a VPC; write its ID, such as '
            '"vpc-0123456789abcdef0"'
        ),
    ]
