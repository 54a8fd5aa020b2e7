"""guard.toml: what the shipped one says, how each mistake is refused, and that no secret is ever
told.
"""

import math
from collections.abc import Callable, Mapping
from json import dumps
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from connection_guard.configuration.policy.policy_file import parse_policy
from connection_guard.errors import ConfigurationError

ROOT = Path(__file__).parents[3]
SHIPPED = (ROOT / "guard.toml").read_text(encoding="utf-8")
POLICY = (ROOT / "policy.toml").read_text(encoding="utf-8")

DEPLOY = {"account": "123456789012", "region": "eu-central-1"}
AT_RDS = "c1abcdefghij.eu-central-1.rds.amazonaws.com"
ORDERS = {
    "instance": "orders",
    "endpoint": f"orders.{AT_RDS}",
    "resource_id": "db-ORDERS01",
    "instance_class": "db.t4g.micro",
    "vpc": "vpc-0123456789abcdef0",
    "subnets": ["subnet-0123456789abcdef0", "subnet-0123abcd"],
    "availability_zones": ["eu-central-1a", "eu-central-1b"],
    "security_groups": ["sg-0123456789abcdef0"],
}
PAYMENTS = {
    **{key: value for key, value in ORDERS.items() if key != "instance"},
    "cluster": "payments",
    "endpoint": f"payments.cluster-{AT_RDS}",
    "resource_id": "cluster-PAYMENTS01",
}
NOTIFICATIONS = {"emails": ["on-call@example.com"]}
SERVERLESS = {"instance_class": "db.serverless", "minimum_acu": 0.5, "maximum_acu": 16}
EXISTING_PROXY = {
    "endpoint": f"orders.proxy-{AT_RDS}",
    "resource_id": "prx-0123456789abcdef0",
    "security_groups": ["sg-0123456789abcdef1"],
    "authentication": "iam",
}
NEW_PROXY = {"create": True, "authentication": "iam"}
SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:orders-guard-AbCdEf"
SECRET_KEY = "arn:aws:kms:eu-central-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"
WITH_SECRET = {
    "create": True,
    "authentication": "secrets",
    "role": "connection_guard_proxy",
    "secret": SECRET,
    "secret_key": SECRET_KEY,
}
LEFT_OUT = object()


def toml(value: object) -> str:
    """A value as TOML; whatever has no JSON is written for itself."""
    match value:
        case dict():
            return (
                "{"
                + ", ".join(
                    f"{dumps(key, ensure_ascii=False)} = {toml(item)}"
                    for key, item in value.items()
                )
                + "}"
            )
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
        case float() if not math.isfinite(value):
            return str(value)
        case _:
            return dumps(value, ensure_ascii=False)


def guard(
    *databases: Mapping[str, object],
    deploy: object = DEPLOY,
    notifications: object = NOTIFICATIONS,
    **tables: object,
) -> str:
    """A guard.toml, right but for what a test puts into it or leaves out of it."""
    tables = {
        "deploy": deploy,
        "notifications": notifications,
        "databases": list(databases or (ORDERS,)),
        **tables,
    }
    return "\n".join(
        f"{key} = {toml(kept(table))}" for key, table in tables.items() if table is not LEFT_OUT
    )


def kept(table: object) -> object:
    match table:
        case dict():
            return {key: kept(value) for key, value in table.items() if value is not LEFT_OUT}
        case list():
            return [kept(item) for item in table]
        case _:
            return table


def orders(**changes: object) -> dict[str, object]:
    return ORDERS | changes


def payments(**changes: object) -> dict[str, object]:
    return PAYMENTS | changes


Write = Callable[[str | bytes], Path]


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Write:
    """Writes guard.toml beside the shipped policy."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "policy.toml").write_text(POLICY, encoding="utf-8")

    def write(text: str | bytes) -> Path:
        path = folder / "guard.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def the_database(path: Path) -> Database:
    (database,) = read_configuration(path).databases
    return database


def refusal(path: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        read_configuration(path)
    return str(refused.value).split("\n")


# What is right


def test_the_shipped_file_guards_an_example_and_creates_no_proxy() -> None:
    shipped = read_configuration(ROOT / "guard.toml")

    assert shipped.target == Target(
        "ConnectionGuard",
        "123456789012",
        "eu-central-1",
        Architecture.ARM64,
        Synthesizer.BOOTSTRAP_ROLES,
        {},
        None,
    )
    assert shipped.notifications == Notifications(
        slack_secret=None, emails=("platform@example.com",)
    )
    (database,) = shipped.databases
    assert (database.identifier, database.is_cluster) == ("orders", False)
    assert database.proxy is None
    assert database.policy == parse_policy(POLICY)
    assert not database.reserve_concurrency


DEFAULTS = (
    *(
        "stack_name",
        "architecture",
        "synthesizer",
        "database_name",
        "role",
        "policy",
        "warning",
        "critical",
    ),
    "reserve_concurrency",
)


def test_the_shipped_file_shows_the_defaults_as_they_are(write: Write) -> None:
    lines = SHIPPED.partition("# [databases.proxy]")[0].splitlines()
    shown = [line for line in lines if line.startswith(tuple(f"# {key} = " for key in DEFAULTS))]
    written = [line.removeprefix("# ") if line in shown else line for line in lines]

    assert [line.split()[1] for line in shown] == list(DEFAULTS)
    assert read_configuration(write("\n".join(written))) == read_configuration(
        write("\n".join(lines))
    )


def test_the_other_ways_that_the_shipped_file_shows_can_be_used_as_they_stand(write: Write) -> None:
    deploy, header, databases = SHIPPED.partition("[[databases]]")
    first, _, others = f"{header}{databases}".partition("# [databases.proxy]")
    others = "\n".join(
        line.removeprefix("# ") for line in f"# [databases.proxy]{others}".splitlines()
    )
    others = others.replace('authentication = "iam"', 'authentication = "secrets"', 1)
    others = others.replace("An Aurora cluster", "# An Aurora cluster").replace(
        "(minimum_acu", "# (minimum_acu"
    )
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


def test_a_file_may_say_everything(write: Write) -> None:
    path = write(
        guard(
            payments(
                database_name="shop",
                endpoint=f"payments.cluster-{AT_RDS}:6432",
                **SERVERLESS,
                max_connections="LEAST({DBInstanceClassMemory/9531392},3000)",
                role="guard",
                policy=str(ROOT / "policy.toml"),
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
                policy_file=ROOT / "policy.toml",
                policy=parse_policy(POLICY),
                warning_percent=80,
                critical_percent=95.5,
                reserve_concurrency=True,
            ),
        ),
    )


def test_what_a_database_leaves_out_is_the_usual(write: Write) -> None:
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


def test_a_policy_is_looked_for_beside_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "strict.toml").write_text(
        POLICY.replace("target = 70 ", "target = 60 ")
    )
    (tmp_path / "guard.toml").write_text(guard(orders(policy="policies/strict.toml")))

    assert the_database(tmp_path / "guard.toml").policy.limits.target_percent == 60


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


def test_slack_alone_can_be_notified(write: Write) -> None:
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

ORDERS_0 = 'databases[0] "orders"'
PAYMENTS_0 = 'databases[0] "payments"'
DATABASE_KEYS = (
    "instance, cluster, database_name, endpoint, resource_id, instance_class, max_connections, "
    "memory_gib, minimum_acu, maximum_acu, vpc, subnets, availability_zones, security_groups, "
    "role, policy, warning, critical, reserve_concurrency, proxy"
)
OWN_ROLE = 'write a role of the guard\'s own, such as "connection_guard"'
ROLE_SHAPE = 'is not a role\'s name; write at most 63 letters, digits, "_", "-" and ".", beginning with a letter or "_"'
IDENTIFIER = 'is not an RDS identifier; write 1 to 63 letters, digits and single "-", beginning with a letter, such as "orders"'
CLUSTERS = (
    "is a cluster's endpoint, and after a failover an instance's alarm would watch another server "
    "than it reaches; write cluster = in place of instance =, or the instance's own endpoint, "
    "NAME.xxxx.REGION.rds.amazonaws.com"
)
WRITER = (
    "and the guard must reach the writer; write the cluster endpoint, "
    "NAME.cluster-xxxx.REGION.rds.amazonaws.com"
)
NO_ENDPOINT = (
    "is not an endpoint of RDS; write the name that the console shows, "
    "NAME.xxxx.REGION.rds.amazonaws.com, since the certificate is checked against it"
)
PORT = "ends in no port; write a number from 1 to 65535, or leave it out for 5432"
RESOURCE = "is not a resource id; write the one that the console shows under Configuration, such as"
SLACK_NAME = 'write the name of the secret in AWS Secrets Manager that holds it, such as "connection-guard/slack"'
NOT_A_SLACK_NAME = (
    f"what stands here (not shown, it may be a secret itself) is not a name; {SLACK_NAME}"
)
NOT_A_SECRET = (
    "what stands here (not shown, it may be a password) is not the ARN of a secret in "
    "eu-central-1; write one such as "
    '"arn:aws:secretsmanager:eu-central-1:123456789012:secret:NAME-AbCdEf"'
)
SECRETS_ONLY = 'belongs to a proxy with create = true and authentication = "secrets"; leave it out'
EXISTING_ONLY = (
    "belongs to a proxy that exists, and create = true makes a new one (the database's own is "
    "written above [databases.proxy]); leave it out"
)
CAPACITY = "is not a capacity here; write"

NOBODY = 'nobody would be notified, not even that the guard is locked out; write emails = ["you@..."], slack_secret, or both'
ONE_SERVER = "has it as well, so both are the same server; correct either, or remove one"
ONE_TARGET = "has it as well, and a proxy serves one database; correct either"
SEVENTY_GROUPS = [f"sg-0123ab{number:02}" for number in range(70)]
CHARACTERS = "letters, digits, spaces and _.:/=+@-"

MISTAKES: dict[str, tuple[str, str]] = {
    # the tables
    "TOML": (
        "[deploy]\naccount = 'a' 'b'",
        (
            "not valid TOML: Expected newline or end of document after a statement (at line 2, "
            "column 15); each key "
            'occurs once, to the left of "="; text is in double quotes, a list in [ ], and each '
            "database begins with [[databases]]"
        ),
    ),
    "unknown table": (guard(database=3), 'unknown key "database"; did you mean "databases"?'),
    "unknown table like none": (
        guard(x=3),
        'unknown key "x"; the keys here are deploy, notifications, databases',
    ),
    "nobody to notify": (
        guard(notifications=LEFT_OUT),
        f"notifications: {NOBODY}",
    ),
    "an empty list to notify": (
        guard(notifications={"emails": []}),
        f"notifications: {NOBODY}",
    ),
    "key above every table": (
        f'account = "123456789012"\n{guard()}',
        '"account" is no key of this table; it belongs under [deploy]',
    ),
    "key of another table": (
        guard(deploy=DEPLOY | {"emails": ["a@example.com"]}),
        'deploy: "emails" is no key of this table; it belongs under [notifications]',
    ),
    "byte order mark": (
        f"\ufeff{guard()}",
        "begins with a byte order mark (BOM); save it as UTF-8 without one",
    ),
    "table is no table": (
        guard(notifications=3),
        "notifications: 3 is not a table; its keys are slack_secret, emails",
    ),
    "no databases": (
        guard(databases=LEFT_OUT),
        (
            "databases: there is none to guard; write [[databases]], in two brackets, above each "
            "database"
        ),
    ),
    "databases is one table": (
        guard(databases=ORDERS),
        (
            "databases: a table is not a list of tables; write [[databases]], in two brackets, "
            "above each database"
        ),
    ),
    "database is no table": (
        guard(databases=[3]),
        f"databases[0] (counted from 0): 3 is not a table; its keys are {DATABASE_KEYS}",
    ),
    # deploy
    "no account": (
        guard(deploy={"region": "eu-central-1"}),
        'deploy: account: is missing; write, for example, account = "123456789012"',
    ),
    "account is a number": (
        guard(deploy=DEPLOY | {"account": 123456789012}),
        (
            "deploy: account: 123456789012 is a number, and an account may begin with 0; write it "
            "in double quotes"
        ),
    ),
    "account of eleven digits": (
        guard(deploy=DEPLOY | {"account": "12345678901"}),
        (
            'deploy: account: "12345678901" is not an AWS account; write its twelve digits, such as '
            '"123456789012"'
        ),
    ),
    "region is none": (
        guard(deploy=DEPLOY | {"region": "Frankfurt"}),
        'deploy: region: "Frankfurt" is not an AWS region; write one such as "eu-central-1"',
    ),
    **{
        f"region {region}": (
            guard(deploy=DEPLOY | {"region": region}),
            (
                f'deploy: region: "{region}" has certificate authorities of its own, which the '
                "responder does not know: the guard works in AWS's commercial regions only"
            ),
        )
        for region in ("cn-north-1", "us-gov-west-1")
    },
    "region is a zone": (
        guard(deploy=DEPLOY | {"region": "eu-central-1a"}),
        'deploy: region: "eu-central-1a" is not an AWS region; write one such as "eu-central-1"',
    ),
    "region that does not exist": (
        guard(deploy=DEPLOY | {"region": "eu-central-9"}),
        (
            'deploy: region: "eu-central-9" is no region that boto3 knows RDS in; did you mean '
            '"eu-central-2"? (if it '
            "is new, raise boto3 in requirements.txt)"
        ),
    ),
    "region like none": (
        guard(deploy=DEPLOY | {"region": "xx-nowhere-7"}),
        (
            'deploy: region: "xx-nowhere-7" is no region that boto3 knows RDS in; correct it (if '
            "it is new, raise boto3 in requirements.txt)"
        ),
    ),
    "tags are a list": (
        guard(deploy=DEPLOY | {"tags": ["platform"]}),
        'deploy: tags: a list is not a table of tags; write one such as { team = "platform" }',
    ),
    "tag of Amazon's": (
        guard(deploy=DEPLOY | {"tags": {"AWS:team": "platform"}}),
        (
            f'deploy: tags: "AWS:team" is not a tag\'s key; write at most 128 {CHARACTERS}, not '
            f'"aws:..."'
        ),
    ),
    "tag with a number": (
        guard(deploy=DEPLOY | {"tags": {"team": 7}}),
        f'deploy: tags: "team": 7 is not a tag\'s value; write 1 to 256 {CHARACTERS}',
    ),
    "tag that is empty": (
        guard(deploy=DEPLOY | {"tags": {"team": ""}}),
        f'deploy: tags: "team": "" is not a tag\'s value; write 1 to 256 {CHARACTERS}',
    ),
    "tags that IAM takes for one": (
        guard(deploy=DEPLOY | {"tags": {"team": "a", "Team": "b"}}),
        'deploy: tags: "team" is there twice; remove one',
    ),
    "more tags than a stack has": (
        guard(deploy=DEPLOY | {"tags": {f"tag{number}": "a" for number in range(50)}}),
        "deploy: tags: 50 are more tags than CloudFormation takes; write at most 49",
    ),
    "another region's key": (
        guard(deploy=DEPLOY | {"kms_key": SECRET_KEY.replace("eu-central-1", "eu-west-1")}),
        (
            f'deploy: kms_key: "{SECRET_KEY.replace("eu-central-1", "eu-west-1")}" is not the '
            f"ARN of a KMS key in "
            f'eu-central-1; write one such as "{SECRET_KEY}", never an alias'
        ),
    ),
    "stack name": (
        guard(deploy=DEPLOY | {"stack_name": "connection_guard"}),
        (
            'deploy: stack_name: "connection_guard" is not a stack\'s name; write letters, '
            'digits and "-", beginning '
            'with a letter, such as "ConnectionGuard"'
        ),
    ),
    "architecture": (
        guard(deploy=DEPLOY | {"architecture": "aarch64"}),
        'deploy: architecture: "aarch64" is not one of "arm64", "x86_64"',
    ),
    "synthesizer": (
        guard(deploy=DEPLOY | {"synthesizer": "bootstrap"}),
        (
            'deploy: synthesizer: "bootstrap" is not one of "bootstrap-roles", '
            '"cli-credentials"; did you mean '
            '"bootstrap-roles"?'
        ),
    ),
    "unknown key": (
        guard(deploy=DEPLOY | {"acount": "1"}),
        'deploy: unknown key "acount"; did you mean "account"?',
    ),
    # notifications
    "ARN for a secret's name": (
        guard(notifications={"slack_secret": SECRET}),
        f"notifications: slack_secret: {NOT_A_SLACK_NAME}",
    ),
    "e-mail": (
        guard(notifications={"emails": ["platform"]}),
        (
            'notifications: emails: "platform" is not an e-mail address; write one such as '
            '"platform@example.com"'
        ),
    ),
    "e-mail without a list": (
        guard(notifications={"emails": "a@example.com"}),
        'notifications: emails: "a@example.com" is not a list; write ["a@example.com"]',
    ),
    "e-mail twice": (
        guard(notifications={"emails": ["a@example.com", "b@example.com", "a@example.com"]}),
        'notifications: emails: "a@example.com" stands here twice; remove one',
    ),
    # which database
    "neither instance nor cluster": (
        guard(orders(instance=LEFT_OUT)),
        (
            "databases[0] (counted from 0): instance: is missing; write, for example, instance = "
            '"orders", or cluster '
            '= "orders" for Aurora'
        ),
    ),
    "both instance and cluster": (
        guard(orders(cluster="payments")),
        f"{ORDERS_0}: cluster: instance stands here as well; leave one of them out",
    ),
    "identifier ends in a hyphen": (
        guard(orders(instance="orders-")),
        f'databases[0] "orders-": instance: "orders-" {IDENTIFIER}',
    ),
    "identifier with two hyphens": (
        guard(orders(instance="or--ders")),
        f'databases[0] "or--ders": instance: "or--ders" {IDENTIFIER}',
    ),
    "identifier of 64": (
        guard(payments(cluster="a" * 64)),
        f'databases[0] "{"a" * 64}": cluster: "{"a" * 64}" {IDENTIFIER}',
    ),
    "identifier twice": (
        guard(
            orders(),
            payments(),
            payments(
                cluster="Orders",
                endpoint=f"orders.cluster-{AT_RDS}",
                resource_id="cluster-ORDERS01",
            ),
        ),
        (
            f'databases[2] "Orders": cluster: {ORDERS_0} has it as well, and alarms are named after '
            f"it; remove one"
        ),
    ),
    "resource id twice": (
        guard(orders(), orders(instance="other", endpoint=f"other.{AT_RDS}")),
        f'databases[1] "other": resource_id: {ORDERS_0} {ONE_SERVER}',
    ),
    "a cluster's instance beside the cluster": (
        guard(payments(), orders(resource_id=PAYMENTS["resource_id"])),
        f'databases[1] "orders": resource_id: {PAYMENTS_0} {ONE_SERVER}',
    ),
    "proxy twice": (
        guard(
            orders(proxy=EXISTING_PROXY),
            payments(proxy=EXISTING_PROXY | {"endpoint": f"other.endpoint.proxy-{AT_RDS}"}),
        ),
        f'databases[1] "payments": proxy: resource_id: {ORDERS_0} {ONE_TARGET}',
    ),
    "proxy's endpoint twice": (
        guard(
            orders(proxy=EXISTING_PROXY),
            payments(proxy=EXISTING_PROXY | {"resource_id": "prx-0123456789abcdef1"}),
        ),
        f'databases[1] "payments": proxy: endpoint: {ORDERS_0} {ONE_TARGET}',
    ),
    "unknown key of a database": (
        guard(orders(endpiont="x")),
        f'{ORDERS_0}: unknown key "endpiont"; did you mean "endpoint"?',
    ),
    "database name": (
        guard(orders(database_name="é" * 32)),
        (
            f'{ORDERS_0}: database_name: "{"é" * 32}" has more than the 63 bytes that PostgreSQL '
            f"keeps; shorten it"
        ),
    ),
    **{
        f"database {name}": (
            guard(orders(database_name=name)),
            (
                f'{ORDERS_0}: database_name: "{name}" {why}; write "postgres", or one of your own '
                f"databases"
            ),
        )
        for name, why in {
            "template0": "takes no connections",
            "template1": "cannot be copied, as CREATE DATABASE does, while the guard keeps a "
            "session in it",
            "rdsadmin": "belongs to Amazon",
        }.items()
    },
    # its endpoint
    **{
        f"endpoint {address}": (
            guard(orders(endpoint=address)),
            f'{ORDERS_0}: endpoint: "{address}" {NO_ENDPOINT}',
        )
        for address in ("localhost", "127.0.0.1", "10.0.8.17", "orders")
    },
    "no endpoint": (
        guard(orders(endpoint=LEFT_OUT)),
        (
            f"{ORDERS_0}: endpoint: is missing; write, for example, endpoint = "
            '"orders.c1abcdefghij.eu-central-1.rds.amazonaws.com"'
        ),
    ),
    "instance by a cluster's endpoint": (
        guard(orders(endpoint=f"orders.cluster-{AT_RDS}")),
        f'{ORDERS_0}: endpoint: "orders.cluster-{AT_RDS}" {CLUSTERS}',
    ),
    "instance by a reader endpoint": (
        guard(orders(endpoint=f"orders.cluster-ro-{AT_RDS}")),
        f'{ORDERS_0}: endpoint: "orders.cluster-ro-{AT_RDS}" {CLUSTERS}',
    ),
    "instance by a custom endpoint": (
        guard(orders(endpoint=f"orders.cluster-custom-{AT_RDS}")),
        f'{ORDERS_0}: endpoint: "orders.cluster-custom-{AT_RDS}" {CLUSTERS}',
    ),
    "cluster by an instance's endpoint": (
        guard(payments(endpoint=f"payments.{AT_RDS}")),
        f'{PAYMENTS_0}: endpoint: "payments.{AT_RDS}" is one instance\'s endpoint, {WRITER}',
    ),
    "cluster by its reader endpoint": (
        guard(payments(endpoint=f"payments.cluster-ro-{AT_RDS}")),
        f'{PAYMENTS_0}: endpoint: "payments.cluster-ro-{AT_RDS}" is the reader endpoint, {WRITER}',
    ),
    "cluster by a custom endpoint": (
        guard(payments(endpoint=f"payments.cluster-custom-{AT_RDS}")),
        (
            f'{PAYMENTS_0}: endpoint: "payments.cluster-custom-{AT_RDS}" is a custom endpoint, '
            f"{WRITER}"
        ),
    ),
    "instance by its proxy's endpoint": (
        guard(orders(endpoint=f"orders.proxy-{AT_RDS}")),
        (
            f'{ORDERS_0}: endpoint: "orders.proxy-{AT_RDS}" is an RDS Proxy\'s endpoint, which '
            "belongs under [databases.proxy]; write the instance's own here"
        ),
    ),
    "cluster by its proxy's further endpoint": (
        guard(payments(endpoint=f"x.endpoint.proxy-{AT_RDS}")),
        (
            f'{PAYMENTS_0}: endpoint: "x.endpoint.proxy-{AT_RDS}" is an RDS Proxy\'s endpoint, '
            "which belongs under [databases.proxy]; write the cluster's own here"
        ),
    ),
    "another database's endpoint": (
        guard(orders(endpoint=f"invoices.{AT_RDS}")),
        (
            f'{ORDERS_0}: endpoint: "invoices.{AT_RDS}" is not that of "orders", with which it '
            "would begin; correct either"
        ),
    ),
    "another region's endpoint": (
        guard(orders(endpoint="orders.c1abcdefghij.eu-west-1.rds.amazonaws.com")),
        (
            f'{ORDERS_0}: endpoint: "orders.c1abcdefghij.eu-west-1.rds.amazonaws.com" lies in '
            "eu-west-1, and deploy.region is eu-central-1; correct either"
        ),
    ),
    "alias": (
        guard(orders(endpoint="orders.example.com")),
        f'{ORDERS_0}: endpoint: "orders.example.com" {NO_ENDPOINT}',
    ),
    "name that only looks like an endpoint": (
        guard(orders(endpoint=f"orders.{AT_RDS}.example.com")),
        f'{ORDERS_0}: endpoint: "orders.{AT_RDS}.example.com" {NO_ENDPOINT}',
    ),
    "endpoint is a number": (
        guard(orders(endpoint=5432)),
        f"{ORDERS_0}: endpoint: 5432 is not an endpoint; write NAME.xxxx.REGION.rds.amazonaws.com",
    ),
    "endpoint without its port": (
        guard(orders(endpoint=f"orders.{AT_RDS}:")),
        f'{ORDERS_0}: endpoint: "orders.{AT_RDS}:" {PORT}',
    ),
    "port out of range": (
        guard(orders(endpoint=f"orders.{AT_RDS}:65536")),
        f'{ORDERS_0}: endpoint: "orders.{AT_RDS}:65536" {PORT}',
    ),
    "port 0": (
        guard(orders(endpoint=f"orders.{AT_RDS}:0")),
        f'{ORDERS_0}: endpoint: "orders.{AT_RDS}:0" {PORT}',
    ),
    "endpoint is a URL": (
        guard(orders(endpoint=f"postgres://orders.{AT_RDS}")),
        (
            f"{ORDERS_0}: endpoint: what stands here (not shown, it may hold a password) is not an "
            "endpoint but a URL; write NAME.xxxx.REGION.rds.amazonaws.com"
        ),
    ),
    # its resource id
    "identifier for a resource id": (
        guard(orders(resource_id="orders")),
        (
            f'{ORDERS_0}: resource_id: "orders" {RESOURCE} "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ" or '
            '"cluster-ABCDEFGHIJKLMNOPQRSTUVWXYZ"'
        ),
    ),
    "wildcard for a resource id": (
        guard(orders(resource_id="db-*")),
        (
            f'{ORDERS_0}: resource_id: "db-*" {RESOURCE} "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ" or '
            '"cluster-ABCDEFGHIJKLMNOPQRSTUVWXYZ"'
        ),
    ),
    "an instance's resource id for a cluster": (
        guard(payments(resource_id="db-PAYMENTS01")),
        (
            f'{PAYMENTS_0}: resource_id: "db-PAYMENTS01" {RESOURCE} '
            f'"cluster-ABCDEFGHIJKLMNOPQRSTUVWXYZ"'
        ),
    ),
    "no resource id of a cluster": (
        guard(payments(resource_id=LEFT_OUT)),
        (
            f"{PAYMENTS_0}: resource_id: is missing; write, for example, resource_id = "
            '"cluster-ABCDEFGHIJKLMNOPQRSTUVWXYZ"'
        ),
    ),
    # its max_connections
    "class is none": (
        guard(orders(instance_class="t4g.micro")),
        (
            f'{ORDERS_0}: instance_class: "t4g.micro" is not a DB instance class; write one such as '
            f'"db.r6g.large"'
        ),
    ),
    "class that is not known": (
        guard(orders(instance_class="db.t9.micro")),
        (
            f'{ORDERS_0}: instance_class: "db.t9.micro" is not known here as a class on which '
            "RDS runs PostgreSQL; correct it, or write max_connections as a number, or the class's "
            "memory as memory_gib"
        ),
    ),
    "class of a size that does not exist": (
        guard(orders(instance_class="db.m7g.7xlarge")),
        (
            f'{ORDERS_0}: instance_class: "db.m7g.7xlarge" is not known here as a class on which '
            "RDS runs PostgreSQL, and db.m7g comes as large, xlarge, 2xlarge, 4xlarge, 8xlarge, "
            "12xlarge, 16xlarge; correct it, or write max_connections as a number, or the class's "
            "memory as memory_gib"
        ),
    ),
    "memory of a class that is known": (
        guard(orders(instance_class="db.m7g.large", memory_gib=64)),
        f'{ORDERS_0}: memory_gib: "db.m7g.large" is known to have 8 GiB; leave it out',
    ),
    "max_connections is a fraction": (
        guard(orders(max_connections=99.5)),
        (
            f"{ORDERS_0}: max_connections: 99.5 is neither a whole number nor text; write what the "
            "parameter group "
            'says, such as 200 or "LEAST({DBInstanceClassMemory/9531392},5000)"'
        ),
    ),
    "max_connections is too low": (
        guard(orders(max_connections=5)),
        (
            f"{ORDERS_0}: max_connections: 5, but RDS takes 6 to 262143; write what the database "
            "answers to SHOW max_connections"
        ),
    ),
    "expression is wrong": (
        guard(orders(max_connections="{DBInstanceClassMemory/0}")),
        f'{ORDERS_0}: max_connections: "{{DBInstanceClassMemory/0}}": it divides by 0',
    ),
    "memory is text": (
        guard(orders(memory_gib="1 GiB")),
        f'{ORDERS_0}: memory_gib: "1 GiB" is not a memory in GiB; write the class\'s, such as 16',
    ),
    "memory beyond all bounds": (
        guard(orders(memory_gib=1e308)),
        f"{ORDERS_0}: memory_gib: 1e+308 is not a memory in GiB; write the class's, such as 16",
    ),
    "capacity of a class": (
        guard(orders(maximum_acu=16)),
        f'{ORDERS_0}: maximum_acu: belongs to instance_class = "db.serverless"; leave it out',
    ),
    "memory of Serverless v2": (
        guard(payments(**SERVERLESS, memory_gib=16)),
        (
            f'{PAYMENTS_0}: memory_gib: follows from maximum_acu where the class is "db.serverless"; '
            f"leave it out"
        ),
    ),
    "no capacity": (
        guard(payments(**SERVERLESS | {"minimum_acu": LEFT_OUT})),
        f"{PAYMENTS_0}: minimum_acu: is missing; write, for example, minimum_acu = 0.5",
    ),
    "capacity is text": (
        guard(payments(**SERVERLESS | {"minimum_acu": "0.5"})),
        (
            f'{PAYMENTS_0}: minimum_acu: "0.5" is not a number; write Aurora capacity units without '
            f"quotes, such as 8"
        ),
    ),
    "capacity out of range": (
        guard(payments(**SERVERLESS | {"maximum_acu": 1000})),
        f"{PAYMENTS_0}: maximum_acu: 1000 {CAPACITY} 1 to 256, in steps of 0.5",
    ),
    # its network
    "VPC": (
        guard(orders(vpc="vpc-123")),
        f'{ORDERS_0}: vpc: "vpc-123" is not a VPC; write its id, such as "vpc-0123456789abcdef0"',
    ),
    "security group among subnets": (
        guard(orders(subnets=["subnet-0123abcd", "sg-0123abcd"])),
        (
            f'{ORDERS_0}: subnets: "sg-0123abcd" is not a subnet; write its id, such as '
            f'"subnet-0123456789abcdef0"'
        ),
    ),
    "subnet twice": (
        guard(orders(subnets=["subnet-0123abcd", "subnet-0123abcd"])),
        f'{ORDERS_0}: subnets: "subnet-0123abcd" stands here twice; remove one',
    ),
    "more subnets than Lambda takes": (
        guard(
            orders(
                subnets=[f"subnet-0123ab{number:02}" for number in range(17)],
                availability_zones=["eu-central-1a"] * 17,
            )
        ),
        (
            f"{ORDERS_0}: subnets: 17 are named, and Lambda takes 16; name the two or three that "
            "the guard may use"
        ),
    ),
    **{
        f"more security groups than RDS takes of {what}": (
            guard(database),
            (
                f"{place}: security_groups: 70 are named, and RDS takes 5; name one of its own, "
                "which is enough to let the guard in"
            ),
        )
        for what, place, database in (
            ("a database", ORDERS_0, orders(security_groups=SEVENTY_GROUPS)),
            (
                "a proxy",
                f"{ORDERS_0}: proxy",
                orders(proxy=EXISTING_PROXY | {"security_groups": SEVENTY_GROUPS}),
            ),
        )
    },
    "no subnets": (
        guard(orders(subnets=[])),
        f"{ORDERS_0}: subnets: [] is empty; name at least one",
    ),
    "fewer zones than subnets": (
        guard(orders(availability_zones=["eu-central-1a"])),
        (
            f"{ORDERS_0}: availability_zones: 1 for 2 subnets; write the zone of each subnet, in "
            "the same order"
        ),
    ),
    "zone of another region": (
        guard(orders(availability_zones=["eu-central-1a", "eu-west-1b"])),
        (
            f'{ORDERS_0}: availability_zones: "eu-west-1b" is not an availability zone of '
            f"eu-central-1; write its "
            'name, such as "eu-central-1a"'
        ),
    ),
    "no security groups": (
        guard(orders(security_groups=[])),
        f"{ORDERS_0}: security_groups: [] is empty; name at least one",
    ),
    "security group": (
        guard(orders(security_groups=["default"])),
        (
            f'{ORDERS_0}: security_groups: "default" is not a security group; write its id, such '
            f"as "
            '"sg-0123456789abcdef0"'
        ),
    ),
    # its role
    "the master user": (
        guard(orders(role="postgres")),
        (
            f'{ORDERS_0}: role: "postgres" is the master user, who may do more than the guard '
            f"should; {OWN_ROLE}"
        ),
    ),
    "Amazon's role": (
        guard(orders(role="rdsadmin")),
        f'{ORDERS_0}: role: "rdsadmin" belongs to Amazon; {OWN_ROLE}',
    ),
    "a role of Amazon's to grant": (
        guard(orders(role="rds_superuser")),
        f'{ORDERS_0}: role: "rds_superuser" belongs to Amazon; {OWN_ROLE}',
    ),
    "PostgreSQL's role": (
        guard(orders(role="pg_monitor")),
        f'{ORDERS_0}: role: "pg_monitor" belongs to PostgreSQL; {OWN_ROLE}',
    ),
    "the switch for a role": (
        guard(orders(role="connection_guard_paused")),
        (
            f'{ORDERS_0}: role: "connection_guard_paused" is the role that pauses the guard; '
            f"{OWN_ROLE}"
        ),
    ),
    "role of 64": (
        guard(orders(role="r" * 64)),
        f'{ORDERS_0}: role: "{"r" * 64}" {ROLE_SHAPE}',
    ),
    "role that IAM would take for many": (
        guard(orders(role="guard*")),
        f'{ORDERS_0}: role: "guard*" {ROLE_SHAPE}',
    ),
    # its thresholds and policy
    "warning at critical": (
        guard(orders(warning=90)),
        f"{ORDERS_0}: warning: 90 is not below critical, 90; lower it, or raise critical",
    ),
    "warning is text": (
        guard(orders(warning="75 %")),
        (
            f'{ORDERS_0}: warning: "75 %" is not a percentage; write a number from 1 to 100, such as '
            f"70"
        ),
    ),
    "warning at the policy's target": (
        guard(orders(warning=70)),
        (
            f"{ORDERS_0}: policy: policy.toml: limits: target: 70 is not below the warning alarm "
            "at 70 %, which would never end; lower it"
        ),
    ),
    "concurrency is text": (
        guard(orders(reserve_concurrency="no")),
        (
            f'{ORDERS_0}: reserve_concurrency: "no" is neither true nor false; write one of them, '
            f"without quotes"
        ),
    ),
    # its proxy
    "proxy is no table": (
        guard(orders(proxy=True)),
        (
            f"{ORDERS_0}: proxy: true is not a table; its keys are create, authentication, role, "
            "endpoint, resource_id, security_groups, secret, secret_key"
        ),
    ),
    "no authentication": (
        guard(orders(proxy={"create": True})),
        (
            f"{ORDERS_0}: proxy: authentication: is missing; write, for example, authentication = "
            f'"iam"'
        ),
    ),
    "unknown authentication": (
        guard(orders(proxy=NEW_PROXY | {"authentication": "password"})),
        f'{ORDERS_0}: proxy: authentication: "password" is not one of "iam", "secrets"',
    ),
    "two roles with IAM": (
        guard(orders(proxy=NEW_PROXY | {"role": "other"})),
        (
            f'{ORDERS_0}: proxy: role: "other" is not the database\'s role, "connection_guard", '
            "and with end-to-end IAM authentication one role serves both doors; leave it out, or "
            "write it above [databases.proxy]"
        ),
    ),
    "one role with a secret": (
        guard(orders(role="guard", proxy=WITH_SECRET | {"role": "guard"})),
        (
            f'{ORDERS_0}: proxy: role: "guard" is the database\'s role as well, and rds_iam, by '
            "which that logs in with a token, rules out the password that the proxy has; write a "
            "second role, such as "
            '"connection_guard_proxy"'
        ),
    ),
    "no role with a secret": (
        guard(orders(proxy=EXISTING_PROXY | {"authentication": "secrets"})),
        f'{ORDERS_0}: proxy: role: is missing; write, for example, role = "connection_guard_proxy"',
    ),
    "the master user behind the proxy": (
        guard(orders(proxy=WITH_SECRET | {"role": "postgres"})),
        (
            f'{ORDERS_0}: proxy: role: "postgres" is the master user, who may do more than the guard '
            f"should; {OWN_ROLE}"
        ),
    ),
    "neither existing nor new": (
        guard(orders(proxy=EXISTING_PROXY | {"endpoint": LEFT_OUT})),
        (
            f"{ORDERS_0}: proxy: endpoint: is missing; write, for example, endpoint = "
            f'"orders.proxy-{AT_RDS}", or create = true for a new one'
        ),
    ),
    "database's endpoint for a proxy's": (
        guard(orders(proxy=EXISTING_PROXY | {"endpoint": f"orders.{AT_RDS}"})),
        (
            f'{ORDERS_0}: proxy: endpoint: "orders.{AT_RDS}" is not an RDS Proxy\'s endpoint; '
            "write that, NAME.proxy-xxxx.REGION.rds.amazonaws.com"
        ),
    ),
    "cluster's endpoint for a proxy's": (
        guard(payments(proxy=EXISTING_PROXY | {"endpoint": f"payments.cluster-{AT_RDS}"})),
        (
            f'{PAYMENTS_0}: proxy: endpoint: "payments.cluster-{AT_RDS}" is not an RDS Proxy\'s '
            "endpoint; write that, NAME.proxy-xxxx.REGION.rds.amazonaws.com"
        ),
    ),
    "another region's proxy": (
        guard(
            orders(proxy=EXISTING_PROXY | {"endpoint": "x.proxy-c1.eu-west-1.rds.amazonaws.com"})
        ),
        (
            f'{ORDERS_0}: proxy: endpoint: "x.proxy-c1.eu-west-1.rds.amazonaws.com" lies in '
            "eu-west-1, and deploy.region is eu-central-1; correct either"
        ),
    ),
    "proxy's resource id": (
        guard(orders(proxy=EXISTING_PROXY | {"resource_id": "prx-*"})),
        (
            f'{ORDERS_0}: proxy: resource_id: "prx-*" is not a proxy\'s resource id; write the '
            f"last part of its ARN, "
            'such as "prx-0123456789abcdef0"'
        ),
    ),
    "no security groups of a proxy": (
        guard(orders(proxy=EXISTING_PROXY | {"security_groups": []})),
        f"{ORDERS_0}: proxy: security_groups: [] is empty; name at least one",
    ),
    "endpoint of a proxy to create": (
        guard(orders(proxy=NEW_PROXY | {"endpoint": f"orders.proxy-{AT_RDS}"})),
        f"{ORDERS_0}: proxy: endpoint: {EXISTING_ONLY}",
    ),
    "key of the database below its proxy's header": (
        guard(orders(proxy=NEW_PROXY | {"warning": 80})),
        (
            f'{ORDERS_0}: proxy: "warning" is no key of this table; it belongs under '
            "[[databases]], above [databases.proxy]"
        ),
    ),
    "key of the proxy above its header": (
        guard(orders(secret=SECRET)),
        f'{ORDERS_0}: "secret" is no key of this table; it belongs under [databases.proxy]',
    ),
    "secret with IAM": (
        guard(orders(proxy=NEW_PROXY | {"secret": SECRET})),
        f"{ORDERS_0}: proxy: secret: {SECRETS_ONLY}",
    ),
    "key of an existing proxy": (
        guard(orders(proxy=EXISTING_PROXY | {"secret_key": SECRET_KEY})),
        f"{ORDERS_0}: proxy: secret_key: {SECRETS_ONLY}",
    ),
    "no secret": (
        guard(orders(proxy=WITH_SECRET | {"secret": LEFT_OUT})),
        (
            f"{ORDERS_0}: proxy: secret: is missing; write, for example, secret = "
            '"arn:aws:secretsmanager:eu-central-1:123456789012:secret:NAME-AbCdEf"'
        ),
    ),
    "name of a secret": (
        guard(orders(proxy=WITH_SECRET | {"secret": "orders-guard"})),
        f"{ORDERS_0}: proxy: secret: {NOT_A_SECRET}",
    ),
    "ARN without its last six characters": (
        guard(orders(proxy=WITH_SECRET | {"secret": SECRET.removesuffix("-guard-AbCdEf")})),
        f"{ORDERS_0}: proxy: secret: {NOT_A_SECRET}",
    ),
    "another region's secret": (
        guard(orders(proxy=WITH_SECRET | {"secret": SECRET.replace("eu-central-1", "eu-west-1")})),
        f"{ORDERS_0}: proxy: secret: {NOT_A_SECRET}",
    ),
    "the master user's secret": (
        guard(
            orders(proxy=WITH_SECRET | {"secret": SECRET.replace("orders-guard", "rds!db-0123")})
        ),
        (
            f"{ORDERS_0}: proxy: secret: RDS keeps the master user's password there; write the ARN "
            "of a secret of the role's own"
        ),
    ),
    "alias of a key": (
        guard(orders(proxy=WITH_SECRET | {"secret_key": "alias/guard"})),
        (
            f'{ORDERS_0}: proxy: secret_key: "alias/guard" is not the ARN of a KMS key in '
            f"eu-central-1; write one "
            'such as "arn:aws:kms:eu-central-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef", never an alias'
        ),
    ),
    "new proxy of an Aurora instance": (
        guard(orders(resource_id="cluster-ORDERS01", proxy=NEW_PROXY)),
        (
            f"{ORDERS_0}: proxy: create: RDS Proxy serves an Aurora cluster as a whole; write "
            "cluster in place of instance, or name a proxy that exists"
        ),
    ),
    "new proxy in one zone": (
        guard(orders(availability_zones=["eu-central-1a", "eu-central-1a"], proxy=NEW_PROXY)),
        (
            f"{ORDERS_0}: proxy: create: RDS Proxy needs subnets in two availability zones; add "
            "one to subnets"
        ),
    ),
}


@pytest.mark.parametrize(("text", "line"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_one_line_with_its_place_and_what_would_be_right(
    text: str, line: str, write: Write
) -> None:
    assert refusal(write(text)) == [f"guard.toml: {line}"]


def test_every_mistake_is_told_at_once(write: Write) -> None:
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
            f'guard.toml: {ORDERS_0}: endpoint: "orders.c1.eu-west-1.rds.amazonaws.com" lies in '
            "eu-west-1, and deploy.region is eu-central-1"
        ),
        f"guard.toml: {ORDERS_0}: vpc: 3 is not a VPC",
        f"guard.toml: {ORDERS_0}: warning: 95 is not below critical, 90",
        (
            f'guard.toml: databases[1] "payments": endpoint: "payment.cluster-{AT_RDS}" is not '
            f'that of "payments", '
            "with which it would begin"
        ),
        (
            'guard.toml: databases[1] "payments": max_connections: "{": the end stands where one '
            "of these must: integer, log, DBInstanceClassMemory, DBInstanceVCPU"
        ),
        (
            'guard.toml: databases[1] "payments": proxy: authentication: "kerberos" is not one of '
            '"iam", "secrets"'
        ),
        'guard.toml: databases[1] "payments": proxy: endpoint: is missing',
        'guard.toml: databases[1] "payments": proxy: resource_id: is missing',
        'guard.toml: databases[1] "payments": proxy: security_groups: is missing',
    ]


def test_an_endpoint_in_another_region_and_of_another_database_is_told_of_both(
    write: Write,
) -> None:
    lines = refusal(write(guard(orders(endpoint="x.c1.eu-west-1.rds.amazonaws.com"))))

    assert ['is not that of "orders"' in lines[0], "lies in eu-west-1" in lines[1], len(lines)] == [
        True,
        True,
        2,
    ]


def test_what_depends_on_a_value_that_is_wrong_is_not_told_as_well(write: Write) -> None:
    text = guard(orders(proxy=EXISTING_PROXY), deploy=DEPLOY | {"region": "Frankfurt"})

    assert [line.partition('"')[0] for line in refusal(write(text))] == [
        "guard.toml: deploy: region: "
    ]


# Files


def test_a_file_that_is_missing_is_told(tmp_path: Path) -> None:
    path = tmp_path / "guard.toml"

    assert refusal(path) == [f"guard.toml: {path} does not exist; write it, or correct its path"]


def test_a_folder_in_place_of_a_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "guard.toml"
    path.mkdir()

    assert refusal(path) == [f"guard.toml: {path} is a folder; name the file in it"]


def test_a_file_in_another_encoding_is_told(write: Write) -> None:
    path = write("# Übersicht".encode("latin-1"))

    assert refusal(path) == [f"guard.toml: {path} is not UTF-8 text (byte 2); save it as UTF-8"]


@pytest.mark.parametrize(
    ("policy", "mistake"),
    [
        ("missing.toml", "{path} does not exist; write it, or correct its path"),
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
def test_a_policy_that_cannot_be_read_is_told(policy: str, mistake: str, write: Write) -> None:
    path = write(guard(orders(policy=policy)))

    expected = mistake.format(path=path.parent / policy, folder=path.parent)
    assert refusal(path) == [f"guard.toml: {ORDERS_0}: policy: {expected}"]


def test_the_mistakes_of_a_policy_come_under_its_own_name_and_once(tmp_path: Path) -> None:
    (tmp_path / "shared.toml").write_text(POLICY.replace("batch_size = 50", "batch_size = 51"))
    path = tmp_path / "guard.toml"
    path.write_text(guard(orders(policy="shared.toml"), payments(policy="shared.toml", vpc="x")))

    assert refusal(path) == [
        "shared.toml: limits: batch_size: 51 is not a whole number from 1 to 50",
        (
            'guard.toml: databases[1] "payments": vpc: "x" is not a VPC; write its id, such as '
            '"vpc-0123456789abcdef0"'
        ),
    ]


# Another file is another stack

SECOND_NEEDS_A_NAME = (
    "second.toml: deploy: stack_name: is missing; write, for example, stack_name = "
    '"ConnectionGuard-2": without a name '
    "of its own this stack would replace that of guard.toml"
)


def the_second(first: str, deploy: Mapping[str, object], write: Write) -> tuple[Path, Path]:
    """Write guard.toml and a second file beside it: the second one, and the first."""
    path = write(first)
    second = path.with_name("second.toml")
    second.write_text(guard(payments(), deploy=deploy))
    return second, path


def test_another_file_than_the_first_names_its_stack(write: Write) -> None:
    second, first = the_second(guard(), DEPLOY, write)

    with pytest.raises(ConfigurationError) as refused:
        read_configuration(second, first)

    assert str(refused.value) == SECOND_NEEDS_A_NAME
    assert read_configuration(first, first).target.stack_name == "ConnectionGuard"


@pytest.mark.parametrize("name", ["ConnectionGuard", "Guard-A"])
def test_another_file_cannot_have_the_name_of_the_first_ones_stack(name: str, write: Write) -> None:
    named = LEFT_OUT if name == "ConnectionGuard" else name
    second, first = the_second(
        guard(deploy=DEPLOY | {"stack_name": named}), DEPLOY | {"stack_name": name}, write
    )

    with pytest.raises(ConfigurationError) as refused:
        read_configuration(second, first)

    assert str(refused.value) == (
        f'second.toml: deploy: stack_name: "{name}" is the stack of guard.toml, which this file '
        "would replace; write another"
    )


@pytest.mark.parametrize(
    ("first", "deploy"),
    {
        "another name": (guard(), DEPLOY | {"stack_name": "Guard-2"}),
        "the same name in another account": (
            guard(),
            {**DEPLOY, "account": "210987654321", "stack_name": "ConnectionGuard"},
        ),
        "beside a first file that cannot be read": (
            "[",
            DEPLOY | {"stack_name": "ConnectionGuard"},
        ),
    }.values(),
    ids=str,
)
def test_a_stack_of_another_name_or_account_is_another_one(
    first: str, deploy: dict[str, object], write: Write
) -> None:
    second, path = the_second(first, deploy, write)

    assert read_configuration(second, path).target.stack_name == deploy["stack_name"]


def test_the_first_file_is_the_same_by_whatever_path(write: Write) -> None:
    path = write(guard())

    assert read_configuration(path.parent / ".." / path.parent.name / path.name, path)


# Secrets

TOKEN_ITSELF = (
    f"what stands here looks like Slack's token or webhook itself; revoke it, and {SLACK_NAME}"
)
TOKENS = [
    "xoxb-1234567890-q7Jzw9Rk",
    "XOXB-1234567890-q7Jzw9Rk",
    "xoxe.xoxp-1-q7Jzw9Rk",
    "xapp-1-A0123-q7Jzw9Rk",
    "https://hooks.slack.com/services/T01234567/B01234567/q7Jzw9Rk",
    "hooks.slack.com/services/T01234567/B01234567/q7Jzw9Rk",
    "T01234567/B01234567/q7Jzw9Rk",
]


@pytest.mark.parametrize("token", TOKENS)
def test_slacks_token_is_refused_where_its_name_belongs(token: str, write: Write) -> None:
    assert refusal(write(guard(notifications={"slack_secret": token}))) == [
        f"guard.toml: notifications: slack_secret: {TOKEN_ITSELF}"
    ]


@pytest.mark.parametrize("token", TOKENS)
def test_slacks_token_is_shown_under_no_key(token: str, write: Write) -> None:
    everywhere = dict.fromkeys((*ORDERS, "policy", "role", "warning", "reserve_concurrency"), token)
    text = guard(
        everywhere | {"proxy": dict.fromkeys(WITH_SECRET, token)},
        orders(
            proxy=EXISTING_PROXY | dict.fromkeys(("endpoint", "resource_id"), token), **{token: 1}
        ),
        deploy=dict.fromkeys(("account", "region", "stack_name", "architecture", token), token),
        notifications={"slack_secret": [token], "emails": [token]},
    )

    told = "\n".join(refusal(write(text)))

    assert "q7Jzw9Rk" not in told
    assert told.count("\n") > 20


@pytest.mark.parametrize(
    "database",
    [
        orders(proxy=WITH_SECRET | {"secret": "hunter2"}),
        orders(proxy=WITH_SECRET | {"secret": {"password": "hunter2"}}),
        orders(endpoint=f"postgresql://guard:hunter2@orders.{AT_RDS}/postgres"),
        orders(proxy=EXISTING_PROXY | {"endpoint": f"guard:hunter2@orders.{AT_RDS}"}),
    ],
)
def test_a_password_is_not_shown(database: dict[str, object], write: Write) -> None:
    assert "hunter2" not in "\n".join(refusal(write(guard(database))))


def test_whatever_stands_in_place_of_the_name_of_slacks_secret_is_not_shown(write: Write) -> None:
    assert refusal(write(guard(notifications={"slack_secret": "correct horse"}))) == [
        f"guard.toml: notifications: slack_secret: {NOT_A_SLACK_NAME}"
    ]


# Whatever else somebody writes

SCALARS = (
    st.sampled_from(["", "\ufeff"])
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(10**400)])
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["instance", "cluster", "iam", "secrets", "db.serverless", "db.r6g.large", "{1}", "{", "\0"]
    )
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


def changed(table: Mapping[str, object]) -> st.SearchStrategy[dict[str, object]]:
    """The table with some of its keys left out, and anything under others."""
    changes = st.dictionaries(
        st.sampled_from(sorted(table)), st.just(LEFT_OUT) | ANYTHING, max_size=4
    )
    return changes.map(lambda change: {**table, **change})


PROXIES = changed(EXISTING_PROXY) | changed(NEW_PROXY) | changed(WITH_SECRET) | ANYTHING
DATABASES = st.builds(
    lambda database, proxy: database | {"proxy": proxy},
    changed(
        ORDERS | {"max_connections": 100, "memory_gib": 8, "warning": 75, "policy": "policy.toml"}
    )
    | changed(PAYMENTS | SERVERLESS),
    PROXIES | st.just(LEFT_OUT),
)
DOCUMENTS = st.builds(
    lambda databases, deploy, notifications: guard(
        deploy=deploy, notifications=notifications, databases=databases
    ),
    st.lists(DATABASES, max_size=3) | ANYTHING,
    changed(DEPLOY | {"stack_name": "Guard-2", "tags": {"team": "platform"}, "kms_key": SECRET_KEY})
    | ANYTHING,
    changed({"slack_secret": "guard/slack", "emails": ["a@example.com"]}) | ANYTHING,
)


@given(text=DOCUMENTS | st.text() | st.binary(), first=st.none() | DOCUMENTS | st.binary())
def test_whatever_the_file_says_is_read_or_refused_line_by_line(
    text: str | bytes, first: str | bytes | None, write: Write
) -> None:
    path = write(text)
    if first is not None:
        beside = path.with_name("first.toml")
        beside.write_bytes(first if isinstance(first, bytes) else first.encode())
    try:
        assert read_configuration(path, None if first is None else beside).databases
    except ConfigurationError as refused:
        lines, places = str(refused).split("\n"), ("guard.toml: ", "policy.toml: ")
        assert all(line.startswith(places) for line in lines)
