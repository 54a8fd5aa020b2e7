"""One stack for all tests that only read, synthesized once per session."""

from pathlib import Path

import pytest

from connection_guard.configuration.guard.guard_configuration import (
    Configuration,
    Notifications,
    ProxyAuthentication,
)
from tests.cdk.template import Template, referred, synthesize, synthesized
from tests.support.configurations import (
    a_cluster,
    a_configuration,
    a_database,
    a_new_proxy,
    an_existing_proxy,
)


@pytest.fixture(scope="session")
def configuration() -> Configuration:
    """Return a configuration with databases of each sort, Slack and e-mail."""
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
    """Return the template of that configuration, as CloudFormation gets it."""
    return synthesize(configuration, tmp_path_factory.mktemp("assembly"))


@pytest.fixture(scope="session")
def template(template_file: Path) -> Template:
    """Return the template of that configuration, to read."""
    return Template.read(template_file)


@pytest.fixture(scope="session")
def smallest() -> Template:
    """Return the template of one database and one address."""
    return synthesized(a_configuration())


@pytest.fixture(scope="session")
def reporter(template: Template) -> str:
    """Return the logical id of the only function that is not in a VPC."""
    [function] = [
        name
        for name, each in template.of("AWS::Lambda::Function").items()
        if "VpcConfig" not in each
    ]
    return function


@pytest.fixture(scope="session")
def responders(template: Template, reporter: str) -> set[str]:
    return set(template.of("AWS::Lambda::Function")) - {reporter}


@pytest.fixture(scope="session")
def incidents(template: Template) -> str:
    return referred(template.outputs["IncidentsTopic"]["Value"])


@pytest.fixture(scope="session")
def destinations(template: Template, responders: set[str]) -> dict[str, str]:
    """Return the topics "OnSuccess" and "OnFailure", which are the same for every responder."""
    found = [
        {what: referred(each["Destination"]) for what, each in config["DestinationConfig"].items()}
        for config in template.of("AWS::Lambda::EventInvokeConfig").values()
        if referred(config["FunctionName"]) in responders
    ]
    assert len(found) == len(responders)
    assert all(each == found[0] for each in found)
    return found[0]


@pytest.fixture(scope="session")
def alarm_topics(template: Template, responders: set[str]) -> set[str]:
    return {
        referred(each["TopicArn"])
        for each in template.of("AWS::SNS::Subscription").values()
        if each["Protocol"] == "lambda" and referred(each["Endpoint"]) in responders
    }
