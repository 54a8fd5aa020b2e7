"""What the doctor learns from AWS, of a guard that is deployed and of one that is not."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connection_guard.cli.access.aws_session import aws_session
from connection_guard.cli.doctor.deployed.ask_aws import ask
from connection_guard.cli.doctor.facts.aws_facts import AwsFacts, DescribedStack
from connection_guard.cli.doctor.facts.check import Unknown
from connection_guard.configuration.guard.guard_configuration import Configuration, Database
from connection_guard.core.database.door import Door, DoorName
from connection_guard.core.deployment.stack_output import StackOutput
from doubles.http_double import Answer, HttpDouble
from doubles.slack_double import SlackDouble
from tests.support.cli.doctor_facts import responder_settings
from tests.support.cli.doctored_aws import REGION, STACK, DoctoredAws, doctored_aws
from tests.support.configurations import (
    a_configuration,
    a_database,
    a_new_proxy,
    a_target,
    an_existing_proxy,
    notifications,
)

SETTINGS = responder_settings()


@pytest.fixture(scope="module")
def shared_aws() -> Iterator[DoctoredAws]:
    with doctored_aws() as aws:
        yield aws


@pytest.fixture
def aws(shared_aws: DoctoredAws, monkeypatch: pytest.MonkeyPatch) -> DoctoredAws:
    shared_aws.forget()
    for name, value in shared_aws.environment.items():
        monkeypatch.setenv(name, value)
    return shared_aws


def learned(database: Database | None = None, **changes: object) -> AwsFacts:
    database = database or a_database()
    configuration: Configuration = a_configuration(
        database, **({"target": a_target(stack_name=STACK)} | changes)
    )
    facts = AwsFacts()
    ask(facts, aws_session(None, REGION), configuration, database)
    return facts


def test_before_a_deployment_rds_and_the_secrets_are_known_already(
    aws: DoctoredAws, slack: SlackDouble
) -> None:
    resource_id = aws.create_instance(with_iam=False)
    secret = {"token": slack.token, "channel": slack.channel, "base_url": slack.base_url}
    aws.client("secretsmanager").create_secret(Name="s", SecretString=json.dumps(secret))

    facts = learned(notifications=notifications(slack_secret="s", teams_secret="t"))

    assert not isinstance(facts.server, Unknown)
    assert facts.server is not None
    assert (facts.server.resource_id, facts.server.has_iam_authentication) == (resource_id, False)
    assert facts.stack is None
    assert isinstance(facts.heartbeat, Unknown)
    assert not isinstance(facts.channels, Unknown)
    assert [(each.answer, each.problem) for each in facts.channels] == [
        ("connection-guard of Example", None),
        (None, "there is no such secret"),
    ]


def test_a_token_that_slack_refuses_is_a_problem_without_the_token(
    aws: DoctoredAws, slack: SlackDouble
) -> None:
    secret = {"token": "xoxb-revoked", "channel": "C0123ABCD", "base_url": slack.base_url}
    aws.client("secretsmanager").create_secret(Name="s", SecretString=json.dumps(secret))

    facts = learned(notifications=notifications(slack_secret="s"))

    assert not isinstance(facts.channels, Unknown)
    assert [each.problem for each in facts.channels] == ["Slack refused: invalid_auth"]


def test_a_secret_of_another_shape_is_a_problem_without_its_value(aws: DoctoredAws) -> None:
    aws.client("secretsmanager").create_secret(Name="s", SecretString="xoxb-1234-the-token")

    facts = learned(notifications=notifications(slack_secret="s"))

    assert not isinstance(facts.channels, Unknown)
    assert facts.channels[0].problem is not None
    assert "is not a JSON object of strings" in facts.channels[0].problem
    assert "the-token" not in repr(facts)


def test_of_a_deployed_guard_everything_is_known(aws: DoctoredAws) -> None:
    aws.deploy(SETTINGS)
    aws.subscribe("IncidentsTopic", "on-call@example.com")
    aws.client("sqs").send_message(
        QueueUrl=aws.client("sqs").get_queue_url(QueueName="Unreadable")["QueueUrl"],
        MessageBody="nobody reads it",
    )

    facts = learned()

    assert isinstance(facts.stack, DescribedStack)
    assert facts.stack.status == "CREATE_COMPLETE"
    assert StackOutput.REPORTER in facts.stack.outputs
    for function, name in ((facts.responder, "guard-orders"), (facts.reporter, "guard-reporter")):
        assert not isinstance(function, Unknown)
        assert function is not None
        assert (function.name, function.state, function.last_update) == (
            name,
            "Active",
            "Successful",
        )
    assert not isinstance(facts.responder, Unknown)
    assert facts.responder is not None
    assert facts.responder.settings == SETTINGS
    assert isinstance(facts.heartbeat, datetime)
    assert abs(datetime.now(UTC) - facts.heartbeat) < timedelta(minutes=2)
    assert not isinstance(facts.alarms, Unknown)
    assert {each.name: each.threshold for each in facts.alarms}[
        "connection-guard-orders-warning"
    ] == 75
    assert {each.state for each in facts.alarms} == {"OK"}
    assert len(facts.alarms) == 5
    assert not isinstance(facts.topics, Unknown)
    assert sorted((len(each.confirmed), len(each.pending)) for each in facts.topics) == [
        (0, 0),
        (0, 0),
        (1, 0),
    ]
    assert not isinstance(facts.queues, Unknown)
    assert [each.messages for each in facts.queues] == [1]


def test_the_responder_is_that_of_the_database(aws: DoctoredAws) -> None:
    aws.deploy(replace(SETTINGS, database="payments"))
    assert learned().responder is None


def test_a_proxy_is_found_by_its_endpoint(aws: DoctoredAws) -> None:
    pool = {"ConnectionBorrowTimeout": 120, "MaxConnectionsPercent": 100}
    endpoint = aws.create_proxy(**pool)

    facts = learned(a_database(proxy=an_existing_proxy(host=endpoint)))

    assert facts.proxy is not None
    assert not isinstance(facts.proxy, Unknown)
    assert facts.proxy.name == "orders-proxy"
    assert (facts.proxy.borrow_timeout, facts.proxy.max_connections_percent) == (120, 100)
    assert learned(a_database(proxy=an_existing_proxy(host="other"))).proxy is None


def test_a_proxy_that_the_stack_made_is_found_by_the_responders_settings(
    aws: DoctoredAws,
) -> None:
    endpoint = aws.create_proxy(ConnectionBorrowTimeout=5, MaxConnectionsPercent=50)
    aws.deploy(replace(SETTINGS, proxy=Door(DoorName.PROXY, endpoint, 5432, "connection_guard")))

    facts = learned(a_database(proxy=a_new_proxy()))

    assert facts.proxy is not None
    assert not isinstance(facts.proxy, Unknown)
    assert facts.proxy.endpoint == endpoint


class Refusing(HttpDouble):
    """Services that refuse every request of theirs."""

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:  # noqa: ARG002
        return Answer(
            403,
            "<ErrorResponse><Error><Code>ExpiredToken</Code><Message>The security token included "
            "in the request is expired</Message></Error></ErrorResponse>",
        )


@pytest.mark.usefixtures("aws")
def test_credentials_that_have_expired_end_the_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    with Refusing() as refusing:
        monkeypatch.setenv("AWS_ENDPOINT_URL", refusing.origin)
        facts = learned()

    assert isinstance(facts.account, Unknown)
    assert facts.account.why.startswith("your AWS credentials have expired: log in again")
    assert isinstance(facts.stack, Unknown)
