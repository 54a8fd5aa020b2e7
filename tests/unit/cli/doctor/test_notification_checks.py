"""Who is notified, as the doctor judges it."""

from typing import Any

import pytest

from connection_guard.cli.doctor.deployed.notification_checks import (
    check_channel,
    check_notifications,
    check_topic_of_people,
)
from connection_guard.cli.doctor.facts.aws_facts import ChannelAnswer, DeployedTopic
from connection_guard.cli.doctor.facts.check import Check, Unknown
from connection_guard.core.deployment.stack_output import StackOutput
from tests.support.cli.doctor_facts import (
    OWN_TOPIC,
    TOPIC,
    a_stack,
    is_finding,
    is_ok,
    is_unchecked,
    some_aws_facts,
)
from tests.support.configurations import a_configuration, notifications

ADDRESS = "on-call@example.com"
TEST = "connection-guard notify-test --stack connection-guard --region eu-central-1"
INCIDENTS = "incidents topic"


def of_people(
    confirmed: tuple[str, ...] = (),
    pending: tuple[str, ...] = (),
    what: str = INCIDENTS,
    **who: Any,
) -> Check:
    return check_topic_of_people(
        DeployedTopic(TOPIC, confirmed, pending), what, notifications(**who)
    )


def checks(**facts: Any) -> list[Check]:
    return check_notifications(some_aws_facts(**facts), a_configuration())


def test_people_who_have_confirmed_are_counted() -> None:
    assert all(map(is_ok, checks()))
    assert checks()[0].detail == "1 confirmed, 0 pending"


def test_people_who_have_not_confirmed_are_named_and_asked_again() -> None:
    check = of_people(pending=(ADDRESS,))

    assert is_finding(check)
    assert ADDRESS in check.detail
    assert check.remedy == (
        f"aws sns subscribe --topic-arn {TOPIC} --protocol email --notification-endpoint {ADDRESS}",
    )


def test_people_of_guard_toml_who_are_not_subscribed_are_named() -> None:
    check = of_people(("other@example.com",))
    assert is_finding(check)
    assert check.detail.endswith(f"{ADDRESS} is not subscribed")


def test_an_address_cannot_command_a_shell() -> None:
    [remedy] = of_people(pending=("$(reboot)@example.com",), emails=()).remedy
    assert "'$(reboot)@example.com'" in remedy


def test_nobody_is_enough_only_where_another_channel_is_notified() -> None:
    assert is_finding(of_people(emails=()))
    assert is_ok(of_people(emails=(), slack_secret="guard/slack"))
    # The reporter itself fails: no channel of its own is left.
    other = StackOutput.REPORTER_ALARMS_TOPIC
    stack = a_stack(outputs={other: TOPIC})
    topics = (DeployedTopic(TOPIC, (), ()),)
    configuration = a_configuration(notifications=notifications(emails=(), slack_secret="s"))
    found = check_notifications(some_aws_facts(stack=stack, topics=topics), configuration)
    assert is_finding(found[0])


def test_a_topic_of_the_guard_without_subscription_is_a_finding() -> None:
    topics = (DeployedTopic(TOPIC, (ADDRESS,), ()), DeployedTopic(OWN_TOPIC, (), ()))
    found = checks(topics=topics)

    assert [each.check for each in found if is_finding(each)] == ["guard's own topics"]
    assert "reports" in found[-1].detail


@pytest.mark.parametrize("fact", ["topics", "channels"])
def test_what_may_not_be_read_is_unchecked(fact: str) -> None:
    assert [each.detail for each in checks(**{fact: Unknown("denied")}) if is_unchecked(each)] == [
        "denied"
    ]


@pytest.mark.parametrize(
    ("answer", "judged"),
    [
        (ChannelAnswer("Slack", "s", answer="guard of Example"), is_ok),
        (ChannelAnswer("Slack", "s", problem="Slack refused: invalid_auth"), is_finding),
        (ChannelAnswer("Slack", "s", unknown="secretsmanager:GetSecretValue"), is_unchecked),
        (ChannelAnswer("Teams", "s"), is_unchecked),
    ],
)
def test_a_channel_is_judged_by_what_its_service_answers(answer: Any, judged: Any) -> None:
    assert judged(check_channel(answer, TEST))


def test_what_only_a_message_could_show_points_to_one() -> None:
    assert check_channel(ChannelAnswer("Teams", "s"), TEST).remedy == (TEST,)
    bus = a_configuration(notifications=notifications(event_bus="default"))
    [*_, check] = check_notifications(some_aws_facts(), bus)
    assert is_unchecked(check)
    assert check.remedy == (TEST,)


def test_before_a_deployment_the_secrets_are_checked_already() -> None:
    answers = (ChannelAnswer("Slack", "s", answer="guard of Example"),)
    [check] = checks(stack=None, channels=answers)
    assert is_ok(check)
