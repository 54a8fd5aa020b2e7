"""The shipped examples/guard.toml: its defaults, and the other ways that it shows."""

from connection_guard.configuration.guard.guard_configuration import (
    Architecture,
    ExistingProxy,
    NewProxy,
    ProxyAuthentication,
    Synthesizer,
    Target,
)
from connection_guard.configuration.guard.guard_file import read_configuration
from connection_guard.configuration.policy.policy_file import parse_policy
from connection_guard.core.deployment.reporter_settings import ApplicationOwner, Owner
from tests.support.configurations import EXAMPLE_FILE, notifications
from tests.unit.configuration.guard.conftest import Write
from tests.unit.configuration.guard.guard_files import (
    POLICY,
    SECRET,
    SECRET_KEY,
)

EXAMPLE = EXAMPLE_FILE.read_text(encoding="utf-8")


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
    assert example.notifications == notifications(emails=("platform@example.com",))
    assert example.application_owners == ()
    assert example.services == ()
    (database,) = example.databases
    assert (database.identifier, database.is_cluster) == ("orders", False)
    assert database.proxy is None
    assert database.policy == parse_policy(POLICY)


DEFAULTS = (
    "stack_name",
    "architecture",
    "synthesizer",
    "deployments",
    "database_name",
    "role",
    "policy",
    "warning",
    "critical",
    "watch_from",
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
    for comment in (
        "The secret with",
        "An Aurora cluster",
        "cluster that could",
        "What opens connections",
        "this from manifests",
        "The database's RDS Proxy as",
        "Who owns an",
        "first match counts",
    ):
        others = others.replace(comment, f"# {comment}")
    text = deploy + first + others
    for key in (
        "slack_secret",
        "pagerduty_secret",
        "teams_secret",
        "event_bus",
        "tags",
        "kms_key",
        "max_connections",
        "owner",
        "runbook",
        "environment",
        "slack_channel",
        "role",
        "secret",
        "secret_key",
    ):
        text = text.replace(f"\n# {key} = ", f"\n{key} = ")
    text = text.replace('role = "connection_guard"', "", 1)  # shown as a default

    configuration = read_configuration(write(text))

    assert configuration.notifications == notifications(
        emails=("platform@example.com",),
        slack_secret="connection-guard/slack",
        pagerduty_secret="connection-guard/pagerduty",
        teams_secret="connection-guard/teams",
        event_bus="default",
    )
    assert configuration.application_owners == (
        ApplicationOwner("checkout*", Owner("team-checkout", "S0123ABCD")),
    )
    checkout, proxy = configuration.services
    assert (checkout.name, checkout.database, checkout.surge) == ("checkout", "orders", "25%")
    assert (checkout.replicas, checkout.maximum_replicas, checkout.processes) == (4, 8, 2)
    assert (checkout.pool_size, checkout.overflow, checkout.is_proxy) == (5, 10, False)
    assert checkout.application == "checkout-api"
    assert (proxy.name, proxy.pool_size, proxy.is_proxy) == ("orders-proxy", 60, True)
    assert configuration.target.tags == {"team": "platform", "cost-center": "1234"}
    assert configuration.target.kms_key == SECRET_KEY
    instance, cluster = configuration.databases
    assert instance.owner == Owner("team-orders", "S0123ABCD")
    assert instance.runbook == "https://wiki.example.com/orders"
    assert (instance.environment, instance.slack_channel) == ("production", "C0123ABCD")
    assert instance.max_connections.max_connections == 500
    assert instance.proxy == NewProxy(
        ProxyAuthentication.SECRETS, "connection_guard_proxy", SECRET, SECRET_KEY
    )
    assert cluster.is_cluster
    assert isinstance(cluster.proxy, ExistingProxy)
    assert (cluster.role, cluster.proxy.role) == ("connection_guard", "connection_guard_proxy")
