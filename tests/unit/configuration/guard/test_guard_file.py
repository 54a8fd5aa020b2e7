"""guard.toml: what it may say, what it leaves out, and where policies come from."""

from pathlib import Path

import pytest

from connection_guard.configuration.guard.guard_configuration import (
    Architecture,
    Configuration,
    Database,
    ExistingProxy,
    Network,
    Notifications,
    ProxyAuthentication,
    Synthesizer,
    Target,
)
from connection_guard.configuration.guard.guard_file import read_configuration
from connection_guard.configuration.max_connections.estimate import estimate, estimate_serverless
from connection_guard.configuration.policy.policy_file import SHIPPED_POLICY, parse_policy
from connection_guard.core.budget.service import DeclaredService
from connection_guard.core.deployment.reporter_settings import ApplicationOwner, Owner
from tests.support.configurations import notifications
from tests.unit.configuration.guard.conftest import Write
from tests.unit.configuration.guard.guard_files import (
    AT_RDS,
    DEPLOY,
    EXISTING_PROXY,
    NEW_PROXY,
    ORDERS,
    POLICY,
    SECRET_KEY,
    guard,
    orders,
    payments,
    the_database,
)


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
                watch_from=0,
                owner="team-checkout <S0123ABCD>",
                runbook="https://wiki.example.com/payments?view=full#connections",
                environment="production",
                slack_channel="C0123ABCD",
                proxy=EXISTING_PROXY
                | {"endpoint": f"payments.proxy-{AT_RDS}:7432", "authentication": "iam"},
            ),
            deploy=DEPLOY
            | {"stack_name": "Guard-2", "architecture": "x86_64", "synthesizer": "cli-credentials"}
            | {"tags": {"team": "platform", "Kostenstelle": "Büro 7"}, "kms_key": SECRET_KEY},
            notifications={
                "slack_secret": "guard/slack",
                "pagerduty_secret": "guard/pagerduty",
                "teams_secret": "guard/teams",
                "event_bus": "incidents",
                "deployments": False,
                "emails": ["a@example.com", "b@example.com"],
            },
            applications=[
                {"name": "checkout*", "owner": "Team Checkout <S0123ABCD>"},
                {"name": "billing", "owner": "Kim <U0123ABCD>"},
            ],
            services=[
                {
                    "name": "checkout",
                    "database": "Payments",
                    "replicas": 4,
                    "maximum_replicas": 8,
                    "surge": 1,
                    "processes": 2,
                    "pool_size": 5,
                    "overflow": 10,
                    "application": "checkout-api",
                },
                {"name": "proxy", "proxy": True, "pool_size": 60},
            ],
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
        Notifications(
            emails=("a@example.com", "b@example.com"),
            slack_secret="guard/slack",
            pagerduty_secret="guard/pagerduty",
            teams_secret="guard/teams",
            event_bus="incidents",
            deployments=False,
        ),
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
                watch_from_percent=0,
                owner=Owner("team-checkout", "S0123ABCD"),
                runbook="https://wiki.example.com/payments?view=full#connections",
                environment="production",
                slack_channel="C0123ABCD",
            ),
        ),
        (
            ApplicationOwner("checkout*", Owner("Team Checkout", "S0123ABCD")),
            ApplicationOwner("billing", Owner("Kim", "U0123ABCD")),
        ),
        (
            DeclaredService(
                name="checkout",
                place='guard.toml: services[0] "checkout"',
                database="payments",
                replicas=4,
                maximum_replicas=8,
                surge=1,
                processes=2,
                pool_size=5,
                overflow=10,
                is_proxy=False,
                application="checkout-api",
            ),
            DeclaredService(
                name="proxy",
                place='guard.toml: services[1] "proxy"',
                database="payments",
                replicas=None,
                maximum_replicas=None,
                surge=None,
                processes=None,
                pool_size=60,
                overflow=None,
                is_proxy=True,
                application=None,
            ),
        ),
    )


def test_a_database_has_defaults_for_what_it_leaves_out(write: Write) -> None:
    path = write(guard())
    database = the_database(path)

    configuration = read_configuration(path)
    assert configuration.notifications == notifications(emails=("on-call@example.com",))
    assert configuration.application_owners == ()
    assert (database.owner, database.runbook, database.environment, database.slack_channel) == (
        None,
        None,
        None,
        None,
    )
    assert (database.database_name, database.port, database.role) == (
        "postgres",
        5432,
        "connection_guard",
    )
    assert (database.warning_percent, database.critical_percent) == (75, 90)
    assert database.watch_from_percent == 75
    assert database.policy_file == path.parent / "policy.toml"
    assert database.max_connections == estimate("db.t4g.micro", place="")
    assert database.proxy is None


@pytest.mark.parametrize(
    ("written", "percent"),
    [({"warning": 80}, 80), ({"warning": 80, "watch_from": 100}, 100), ({"watch_from": 0}, 0)],
    ids=["from the warning on", "only where it is full", "always"],
)
def test_a_heartbeat_keeps_looking_from_the_warning_on_unless_the_file_says_otherwise(
    write: Write, written: dict[str, int], percent: float
) -> None:
    assert the_database(write(guard(orders(**written)))).watch_from_percent == percent


def test_the_path_of_a_policy_is_relative_to_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "strict.toml").write_text(POLICY.replace("target = 70", "target = 60"))
    (tmp_path / "guard.toml").write_text(guard(orders(policy="policies/strict.toml")))

    assert the_database(tmp_path / "guard.toml").policy.limits.target_percent == 60


def test_without_its_own_policy_the_shipped_one_is_used(tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    "channel", ["slack_secret", "pagerduty_secret", "teams_secret", "event_bus"]
)
def test_any_channel_can_be_the_only_one(channel: str, write: Write) -> None:
    read = read_configuration(write(guard(notifications={channel: "guard"})))

    assert read.notifications == notifications(**{"emails": (), channel: "guard"})


@pytest.mark.parametrize(
    "event_bus", ["default", "arn:aws:events:eu-central-1:999999999999:event-bus/shared/incidents"]
)
def test_an_event_bus_may_be_in_another_account(event_bus: str, write: Write) -> None:
    read = read_configuration(write(guard(notifications={"event_bus": event_bus})))

    assert read.notifications.event_bus == event_bus


@pytest.mark.parametrize("channel", ["G0123ABCD", "#orders-alerts", "orders_alerts"])
def test_a_channel_of_slack_has_an_id_or_a_name(channel: str, write: Write) -> None:
    slack = {"slack_secret": "guard/slack"}
    written = write(guard(orders(slack_channel=channel), notifications=slack))
    assert the_database(written).slack_channel == channel


@pytest.mark.parametrize(
    ("owner", "read"),
    [
        ("team-checkout", Owner("team-checkout")),
        ("Team Checkout & Söhne", Owner("Team Checkout & Söhne")),
        ("Kim <W0123ABCD>", Owner("Kim", "W0123ABCD")),
    ],
)
def test_an_owner_may_be_anybody(owner: str, read: Owner, write: Write) -> None:
    assert the_database(write(guard(orders(owner=owner)))).owner == read


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
