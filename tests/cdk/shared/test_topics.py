"""Who may publish to a topic, and use its key."""

from tests.cdk.deployed import ALARMS_OF_THE_GUARD, CLOUDWATCH
from tests.cdk.template import (
    Template,
    referred,
    synthesized,
)
from tests.support.configurations import a_configuration, notifications


def test_only_responders_publish_their_reports_and_failures(
    template: Template, responders: set[str], destinations: dict[str, str]
) -> None:
    roles = {template.role_of(each) for each in responders}
    assert len(roles) == len(responders)
    for topic in destinations.values():
        assert template.who_may("sns:Publish", topic) == roles


def test_only_alarms_of_this_account_engage_the_responders(
    template: Template, alarm_topics: set[str]
) -> None:
    [topic] = alarm_topics
    [statement] = template.allowing("sns:Publish", topic)
    assert statement.principals == {CLOUDWATCH}
    assert statement.condition == ALARMS_OF_THE_GUARD


def test_only_alarms_of_this_account_are_the_guards_own_alarms(
    template: Template, guard_alarms: str, reporter_alarms: str
) -> None:
    for topic in (guard_alarms, reporter_alarms):
        [statement] = template.allowing("sns:Publish", topic)
        assert statement.principals == {CLOUDWATCH}
        assert statement.condition == ALARMS_OF_THE_GUARD


def test_subscribers_to_incidents_get_only_what_the_reporter_publishes(
    template: Template, reporter: str, incidents: str
) -> None:
    assert template.who_may("sns:Publish", incidents) == {template.role_of(reporter)}


def test_nobody_else_may_do_anything_to_a_topic(template: Template) -> None:
    for topic in template.of("AWS::SNS::Topic"):
        allowed = [
            each
            for each in template.statements()
            if each.holder == topic and each.effect == "Allow"
        ]
        assert all(each.actions == {"sns:Publish"} for each in allowed)


def test_every_topic_is_encrypted_with_the_one_key_which_rotates(template: Template) -> None:
    [(key, properties)] = template.of("AWS::KMS::Key").items()
    assert properties["EnableKeyRotation"]
    topics = template.of("AWS::SNS::Topic").values()
    assert {referred(each["KmsMasterKeyId"]) for each in topics} == {key}


def test_who_may_publish_may_use_the_key_and_nobody_else(template: Template) -> None:
    [key] = template.of("AWS::KMS::Key")
    publishers = {
        who
        for topic in template.of("AWS::SNS::Topic")
        for who in template.who_may("sns:Publish", topic)
    }
    for action in ("kms:GenerateDataKey", "kms:Decrypt"):
        assert template.who_may(action, key) == publishers | {"root"}
        [for_alarms] = [
            each for each in template.allowing(action, key) if CLOUDWATCH in each.principals
        ]
        assert for_alarms.condition == ALARMS_OF_THE_GUARD
    assert template.who_may("kms:CreateGrant", key) == {"root"}


def test_another_account_may_subscribe_to_incidents_where_that_is_configured(
    smallest: Template,
) -> None:
    account = "210987654321"
    with_account = synthesized(
        a_configuration(notifications=notifications(incident_accounts=(account,)))
    )

    topic = referred(with_account.outputs["IncidentsTopic"]["Value"])
    [statement] = with_account.allowing("sns:Subscribe", topic)
    assert statement.principals == {f"arn:aws:iam::{account}:root"}
    assert statement.actions == {"sns:Subscribe"}
    assert not smallest.allowing("sns:Subscribe", topic)
    assert with_account.of("AWS::KMS::Key") == smallest.of("AWS::KMS::Key")
