"""One stack for all tests that only read, synthesized once per session."""

from pathlib import Path

import pytest

from connection_guard.configuration.guard.guard_configuration import (
    Configuration,
    ProxyAuthentication,
)
from connection_guard.core.deployment.reporter_settings import ApplicationOwner, Owner
from tests.cdk.template import Template, referred, synthesize, synthesized
from tests.support.configurations import (
    a_cluster,
    a_configuration,
    a_database,
    a_new_proxy,
    an_existing_proxy,
    notifications,
)


@pytest.fixture(scope="session")
def configuration() -> Configuration:
    """Return a configuration with databases of each sort, and every channel."""
    return a_configuration(
        a_database(identifier="orders", proxy=a_new_proxy(ProxyAuthentication.SECRETS)),
        a_cluster(
            identifier="payments",
            proxy=an_existing_proxy(),
            warning_percent=60.0,
            critical_percent=80.0,
        ),
        a_database(
            identifier="ledger",
            owner=Owner("team-ledger", "S0123ABCD"),
            runbook="https://wiki.example.com/ledger",
            environment="production",
            slack_channel="#ledger",
        ),
        notifications=notifications(
            slack_secret="guard/slack",
            pagerduty_secret="guard/pagerduty",
            teams_secret="guard/teams",
            event_bus="default",
        ),
        application_owners=(ApplicationOwner("checkout*", Owner("team-checkout")),),
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
def reporter_alarms(template: Template) -> str:
    return referred(template.outputs["ReporterAlarmsTopic"]["Value"])


@pytest.fixture(scope="session")
def reporter_queue(template: Template, reporter: str) -> str:
    """Return the queue that the reporter is invoked from."""
    [mapping] = template.of("AWS::Lambda::EventSourceMapping").values()
    assert referred(mapping["FunctionName"]) == reporter
    return referred(mapping["EventSourceArn"])


@pytest.fixture(scope="session")
def unreadable(template: Template, reporter_queue: str) -> str:
    """Return the dead-letter queue of the reporter's queue."""
    policy = template.of("AWS::SQS::Queue")[reporter_queue]["RedrivePolicy"]
    return referred(policy["deadLetterTargetArn"])


@pytest.fixture(scope="session")
def guard_alarms(template: Template, reporter_queue: str, destinations: dict[str, str]) -> str:
    """Return the topic that carries the guard's own alarms to the reporter."""
    topics = {
        referred(each["TopicArn"])
        for each in template.of("AWS::SNS::Subscription").values()
        if each["Endpoint"] == f"${{{reporter_queue}.Arn}}"
    }
    [topic] = topics - set(destinations.values())
    return topic


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
