"""One stack for every test that only reads: synthesized once a session."""

from pathlib import Path

import pytest

from connection_guard.configuration.guard.guard_configuration import (
    Configuration,
    Notifications,
    ProxyAuthentication,
)
from tests.cdk.template import Template, synthesize, synthesized
from tests.support.configurations import (
    a_cluster,
    a_configuration,
    a_database,
    a_new_proxy,
    an_existing_proxy,
)


@pytest.fixture(scope="session")
def configuration() -> Configuration:
    """Databases of each sort, Slack and e-mail."""
    return a_configuration(
        a_database(identifier="orders", proxy=a_new_proxy(ProxyAuthentication.SECRETS)),
        a_cluster(
            identifier="payments",
            proxy=an_existing_proxy(),
            warning_percent=60.0,
            critical_percent=80.0,
        ),
        a_database(identifier="ledger"),
        notifications=Notifications(slack_secret="guard/slack", emails=("on-call@example.com",)),
    )


@pytest.fixture(scope="session")
def template_file(configuration: Configuration, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stack of that configuration, as CloudFormation gets it."""
    return synthesize(configuration, tmp_path_factory.mktemp("assembly"))


@pytest.fixture(scope="session")
def template(template_file: Path) -> Template:
    """The stack of that configuration, to read."""
    return Template.read(template_file)


@pytest.fixture(scope="session")
def smallest() -> Template:
    """The stack of one database, and of one address."""
    return synthesized(a_configuration())
