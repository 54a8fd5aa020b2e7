"""What all databases share: who may publish and who hears of it, what is kept, what is encrypted,
what people see.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connection_guard.adapters.aws.gather_circumstances import look
from connection_guard.configuration.guard.guard_configuration import (
    Configuration,
    ExistingProxy,
    Notifications,
)
from connection_guard.core.deployment.reporter_settings import (
    DATABASES_FILE,
    ReporterSettings,
    WatchedDatabase,
    read_databases,
)
from connection_guard.core.deployment.responder_settings import Settings
from connection_guard.core.incident.item import EXPIRY, KEPT_FOR, PARTITION_KEY, SORT_KEY
from connection_guard.core.notification.links import Links
from connection_guard.core.notification.summary import json_of
from connection_guard.core.report.kind import Kind
from connection_guard.core.report.metric_names import DIMENSION, NAMESPACE, Metric
from tests.cdk.template import (
    ROOT,
    Properties,
    Statement,
    Template,
    referred,
    synthesize,
    synthesized,
)
from tests.support.builders import an_alarm_event
from tests.support.configurations import (
    ACCOUNT,
    REGION,
    a_configuration,
    a_database,
    a_target,
    an_existing_proxy,
)
from tests.support.incidents import an_entry, an_incident

CLOUDWATCH, SNS = "cloudwatch.amazonaws.com", "sns.amazonaws.com"
ALARMS_OF_THIS_ACCOUNT = {
    "StringEquals": {"aws:SourceAccount": ACCOUNT},
    "ArnLike": {"aws:SourceArn": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:*"},
}
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/01234567-89ab-cdef-0123-456789abcdef"
NOT_OVER_TLS = {"Bool": {"aws:SecureTransport": "false"}}


@pytest.fixture(scope="module")
def reporter(template: Template) -> str:
    """The function's logical id: the one that is not in a VPC."""
    [function] = [
        name
        for name, each in template.of("AWS::Lambda::Function").items()
        if "VpcConfig" not in each
    ]
    return function


@pytest.fixture(scope="module")
def responders(template: Template, reporter: str) -> set[str]:
    return set(template.of("AWS::Lambda::Function")) - {reporter}


@pytest.fixture(scope="module")
def incidents(template: Template) -> str:
    return referred(template.outputs["IncidentsTopic"]["Value"])


@pytest.fixture(scope="module")
def destinations(template: Template, responders: set[str]) -> dict[str, str]:
    """The topics "OnSuccess" and "OnFailure", which are the same for every responder."""
    found = [
        {what: referred(each["Destination"]) for what, each in config["DestinationConfig"].items()}
        for config in template.of("AWS::Lambda::EventInvokeConfig").values()
        if referred(config["FunctionName"]) in responders
    ]
    assert len(found) == len(responders)
    assert all(each == found[0] for each in found)
    return found[0]


@pytest.fixture(scope="module")
def alarm_topics(template: Template, responders: set[str]) -> set[str]:
    return {
        referred(each["TopicArn"])
        for each in template.of("AWS::SNS::Subscription").values()
        if each["Protocol"] == "lambda" and referred(each["Endpoint"]) in responders
    }


def subscriptions(template: Template, topic: str) -> list[Properties]:
    return [
        each
        for each in template.of("AWS::SNS::Subscription").values()
        if referred(each["TopicArn"]) == topic
    ]


# Who may publish


def test_responders_alone_publish_their_reports_and_failures(
    template: Template, responders: set[str], destinations: dict[str, str]
) -> None:
    roles = {template.role_of(each) for each in responders}
    assert len(roles) == len(responders)
    for topic in destinations.values():
        assert template.who_may("sns:Publish", topic) == roles


def test_alarms_of_this_account_alone_engage_the_responders(
    template: Template, responders: set[str], alarm_topics: set[str]
) -> None:
    assert len(alarm_topics) == len(responders)
    for topic in alarm_topics:
        [statement] = template.allowing("sns:Publish", topic)
        assert statement.principals == {CLOUDWATCH}
        assert statement.condition == ALARMS_OF_THIS_ACCOUNT


def test_the_reporter_and_alarms_of_this_account_tell_people(
    template: Template, reporter: str, incidents: str
) -> None:
    role = template.role_of(reporter)
    assert template.who_may("sns:Publish", incidents) == {role, CLOUDWATCH}
    [from_alarms] = [
        each for each in template.allowing("sns:Publish", incidents) if each.holder != role
    ]
    assert from_alarms.condition == ALARMS_OF_THIS_ACCOUNT


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
        assert for_alarms.condition == ALARMS_OF_THIS_ACCOUNT
    assert template.who_may("kms:CreateGrant", key) == {"root"}


# What is delivered, and what becomes of it where it cannot be


def lets_through(filter_policy: Mapping[str, Any], message: Mapping[str, Any]) -> bool:
    """SNS's rules for a message body, as far as the stack uses them.

    https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html
    """
    for key, expected in filter_policy.items():
        if isinstance(expected, dict):
            if not lets_through(expected, message.get(key, {})):
                return False
        elif not any(is_met(condition, key, message) for condition in expected):
            return False
    return True


def is_met(condition: Mapping[str, Any], key: str, message: Mapping[str, Any]) -> bool:
    match condition:
        case {"exists": bool(exists)}:
            return (key in message) is exists
        case {"anything-but": [*others]}:
            return key in message and message[key] not in others
    raise AssertionError(f"the stack uses another condition: {condition}")


def test_a_report_that_does_not_say_its_kind_is_not_lost(
    template: Template, destinations: dict[str, str]
) -> None:
    [subscription] = subscriptions(template, destinations["OnSuccess"])
    messages: list[dict[str, Any]] = [{}, {"responsePayload": {}}]
    for malformed in messages:
        assert lets_through(subscription["FilterPolicy"], malformed)


@pytest.mark.parametrize("kind", [*Kind, "a_kind_of_the_future"])
def test_reports_of_every_kind_but_heartbeat_reach_the_reporter(
    template: Template, reporter: str, destinations: dict[str, str], kind: str
) -> None:
    [subscription] = subscriptions(template, destinations["OnSuccess"])
    assert referred(subscription["Endpoint"]) == reporter
    assert subscription["FilterPolicyScope"] == "MessageBody"
    report = json.loads((ROOT / "docs/examples/report-remediation.json").read_text()) | {
        "kind": kind
    }
    message = {"requestContext": {"condition": "Success"}, "responsePayload": report}
    assert lets_through(subscription["FilterPolicy"], message) is (kind != Kind.HEARTBEAT)


def test_every_failure_reaches_the_reporter(
    template: Template, reporter: str, destinations: dict[str, str]
) -> None:
    [subscription] = subscriptions(template, destinations["OnFailure"])
    assert referred(subscription["Endpoint"]) == reporter
    assert "FilterPolicy" not in subscription


def test_each_address_is_told_of_incidents(
    template: Template, smallest: Template, incidents: str
) -> None:
    of_the_smallest = subscriptions(smallest, referred(smallest.outputs["IncidentsTopic"]["Value"]))
    for subscribed in (subscriptions(template, incidents), of_the_smallest):
        [email] = [each for each in subscribed if each["Protocol"] == "email"]
        assert email["Endpoint"] == "on-call@example.com"


def test_slack_hears_of_alarms_on_the_guard_itself_and_not_of_the_reporters_own_word(
    template: Template, smallest: Template, reporter: str, incidents: str
) -> None:
    [subscription] = [
        each for each in subscriptions(template, incidents) if each["Protocol"] == "lambda"
    ]
    assert referred(subscription["Endpoint"]) == reporter
    assert subscription["FilterPolicyScope"] == "MessageBody"
    alarm = json.loads(an_alarm_event()["Records"][0]["Sns"]["Message"])
    assert lets_through(subscription["FilterPolicy"], alarm)
    its_own = json_of(an_incident(an_entry(0)), Links(None, "", None, ""), datetime.now(UTC))
    assert not lets_through(subscription["FilterPolicy"], its_own)
    incidents_of_smallest = referred(smallest.outputs["IncidentsTopic"]["Value"])
    assert [each["Protocol"] for each in subscriptions(smallest, incidents_of_smallest)] == [
        "email"
    ]


@pytest.mark.parametrize(("emails", "warned"), [((), True), (("on-call@example.com",), False)])
def test_whoever_notifies_slack_alone_is_warned_at_synth(
    emails: tuple[str, ...], warned: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    synthesized(a_configuration(notifications=Notifications("guard/slack", emails)))
    assert ("Name at least one e-mail address" in capfd.readouterr().err) is warned


def test_a_topic_may_invoke_the_function_that_is_subscribed_to_it_and_nothing_else_may(
    template: Template,
) -> None:
    invocations = {
        (referred(each["FunctionName"]), each["Principal"], referred(each["SourceArn"]))
        for each in template.of("AWS::Lambda::Permission").values()
        if each["Principal"] != "events.amazonaws.com"
    }
    assert invocations == {
        (referred(each["Endpoint"]), SNS, referred(each["TopicArn"]))
        for each in template.of("AWS::SNS::Subscription").values()
        if each["Protocol"] == "lambda"
    }


def test_what_a_topic_cannot_deliver_waits_in_a_queue_that_this_topic_may_write_to(
    template: Template,
) -> None:
    for subscription in template.of("AWS::SNS::Subscription").values():
        queue = referred(subscription["RedrivePolicy"]["deadLetterTargetArn"])
        assert queue in template.of("AWS::SQS::Queue")
        conditions = [
            each.condition
            for each in template.allowing("sqs:SendMessage", queue)
            if SNS in each.principals
        ]
        assert {"ArnEquals": {"aws:SourceArn": subscription["TopicArn"]}} in conditions


def test_what_the_reporter_cannot_handle_waits_in_a_queue(
    template: Template, reporter: str
) -> None:
    [config] = [
        each
        for each in template.of("AWS::Lambda::EventInvokeConfig").values()
        if referred(each["FunctionName"]) == reporter
    ]
    queue = referred(config["DestinationConfig"]["OnFailure"]["Destination"])
    assert template.role_of(reporter) in template.who_may("sqs:SendMessage", queue)
    assert (config["MaximumRetryAttempts"], config["MaximumEventAgeInSeconds"]) == (2, 6 * 60 * 60)


def test_only_topics_and_the_reporter_write_to_queues_and_only_people_read(
    template: Template, reporter: str
) -> None:
    for queue in template.of("AWS::SQS::Queue"):
        for statement in template.allowing("sqs:SendMessage", queue):
            assert statement.holder == template.role_of(reporter) or (
                statement.principals == {SNS}
                and statement.condition["ArnEquals"].keys() == {"aws:SourceArn"}
            )
        assert template.who_may("sqs:ReceiveMessage", queue) == set()


def test_every_queue_is_encrypted_keeps_for_14_days_and_is_watched(
    template: Template, incidents: str
) -> None:
    watched = {
        referred(dimension["Value"]): alarm
        for alarm in template.of("AWS::CloudWatch::Alarm").values()
        if alarm.get("MetricName") == "ApproximateNumberOfMessagesVisible"
        for dimension in alarm["Dimensions"]
    }
    for queue, properties in template.of("AWS::SQS::Queue").items():
        assert properties["SqsManagedSseEnabled"]
        assert properties["MessageRetentionPeriod"] == 14 * 24 * 60 * 60
        alarm = watched[queue]
        assert (alarm["Statistic"], alarm["Threshold"], alarm["EvaluationPeriods"]) == (
            "Maximum",
            1,
            1,
        )
        assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
        assert alarm["AlarmActions"] == [f"${{{incidents}}}"]


def test_alarms_either_engage_the_responder_that_knows_them_or_tell_people(
    template: Template, responders: set[str], alarm_topics: set[str], incidents: str
) -> None:
    known = json.dumps(
        [template.resources[each]["Properties"]["Environment"] for each in responders]
    )
    told = set()
    for alarm in template.of("AWS::CloudWatch::Alarm").values():
        [action] = alarm["AlarmActions"]
        assert alarm["OKActions"] == [action]
        assert "InsufficientDataActions" not in alarm
        assert alarm["AlarmDescription"]
        topic = referred(action)
        told.add(topic)
        engages = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{alarm.get('AlarmName')}" in known
        assert topic in alarm_topics if engages else topic == incidents
    assert told == alarm_topics | {incidents}


def test_people_hear_of_a_reporter_that_fails_or_loses_a_report(
    template: Template, reporter: str, incidents: str
) -> None:
    alarms = [
        alarm
        for alarm in template.of("AWS::CloudWatch::Alarm").values()
        if {"Name": "FunctionName", "Value": f"${{{reporter}}}"} in alarm.get("Dimensions", [])
    ]
    assert {alarm["MetricName"] for alarm in alarms} == {"Errors", "DestinationDeliveryFailures"}
    for alarm in alarms:
        assert (alarm["Statistic"], alarm["Threshold"], alarm["EvaluationPeriods"]) == ("Sum", 1, 1)
        assert alarm["AlarmActions"] == [f"${{{incidents}}}"]


# The reporter


def records(template: Template) -> tuple[str, str]:
    return referred(template.outputs["IncidentsTable"]["Value"]), referred(
        template.outputs["EvidenceBucket"]["Value"]
    )


def test_the_reporter_may_do_what_it_does_and_nothing_else(
    template: Template, reporter: str, incidents: str
) -> None:
    table, bucket = records(template)
    [key] = template.of("AWS::KMS::Key")
    function = template.of("AWS::Lambda::Function")[reporter]
    log = referred(function["LoggingConfig"]["LogGroup"])
    [undelivered] = {
        referred(each["RedrivePolicy"]["deadLetterTargetArn"])
        for each in template.of("AWS::SNS::Subscription").values()
        if each["Endpoint"] == f"${{{reporter}.Arn}}"
    }
    role = template.role_of(reporter)
    assert "ManagedPolicyArns" not in template.of("AWS::IAM::Role")[role]
    may = {
        (action, resource)
        for each in template.statements()
        if each.holder == role
        for action in each.actions
        for resource in each.resources
    }
    assert may == {
        ("logs:CreateLogStream", f"${{{log}.Arn}}"),
        ("logs:PutLogEvents", f"${{{log}.Arn}}"),
        ("dynamodb:GetItem", f"${{{table}.Arn}}"),
        ("dynamodb:UpdateItem", f"${{{table}.Arn}}"),
        ("rds:DescribeEvents", "*"),
        ("cloudwatch:GetMetricData", "*"),
        ("s3:PutObject", f"${{{bucket}.Arn}}/*"),
        ("sns:Publish", f"${{{incidents}}}"),
        ("kms:GenerateDataKey", f"${{{key}.Arn}}"),
        ("kms:Decrypt", f"${{{key}.Arn}}"),
        ("sqs:SendMessage", f"${{{undelivered}.Arn}}"),
        ("sqs:GetQueueAttributes", f"${{{undelivered}.Arn}}"),
        ("sqs:GetQueueUrl", f"${{{undelivered}.Arn}}"),
        (
            "secretsmanager:GetSecretValue",
            f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:guard/slack-??????",
        ),
    }


def test_a_reporter_that_is_not_to_tell_slack_may_read_no_secret(smallest: Template) -> None:
    assert not [
        each
        for each in smallest.statements()
        if any("secretsmanager" in action for action in each.actions)
    ]


def test_the_reporter_is_told_where_to_store_and_whom_to_tell(
    template: Template, reporter: str, incidents: str
) -> None:
    table, bucket = records(template)
    function = template.of("AWS::Lambda::Function")[reporter]
    settings = ReporterSettings.from_environment(function["Environment"]["Variables"])
    [dashboard] = template.of("AWS::CloudWatch::Dashboard").values()
    assert settings == ReporterSettings(
        f"${{{table}}}",
        f"${{{bucket}}}",
        f"${{{incidents}}}",
        "guard/slack",
        dashboard["DashboardName"],
    )
    assert function["Architectures"] == ["arm64"]
    assert function["Runtime"] == "python3.13"


def test_the_reporter_knows_every_database_and_the_function_that_guards_it(
    template: Template,
    template_file: Path,
    configuration: Configuration,
    reporter: str,
    responders: set[str],
) -> None:
    functions = template.of("AWS::Lambda::Function")
    package = template_file.parent / f"asset.{Path(functions[reporter]['Code']['S3Key']).stem}"
    guards = {
        Settings.from_environment(functions[each]["Environment"]["Variables"]).database: functions[
            each
        ]["FunctionName"]
        for each in responders
    }
    assert read_databases((package / DATABASES_FILE).read_text()) == tuple(
        WatchedDatabase(each.identifier, each.is_cluster, guards[each.identifier])
        for each in configuration.databases
    )


class Requests(list[dict[str, Any]]):
    """A client of any service that keeps what it was asked for and knows nothing."""

    def __call__(self, _service: str) -> "Requests":
        return self

    def get_paginator(self, _operation: str) -> "Requests":
        return self

    def paginate(self, **request: Any) -> list[Any]:
        self.append(request)
        return []


def test_the_reporter_tells_of_the_figures_that_the_alarms_go_by(
    template: Template, configuration: Configuration
) -> None:
    alarms = {
        each.get("AlarmName"): each for each in template.of("AWS::CloudWatch::Alarm").values()
    }
    for database in configuration.databases:
        asked = Requests()
        look(
            WatchedDatabase(database.identifier, database.is_cluster, ""), datetime.now(UTC), asked
        )
        figures = [
            query["MetricStat"]
            for request in asked
            for query in request.get("MetricDataQueries", [])
        ]
        queries = alarms[f"connection-guard-{database.identifier}-critical"]["Metrics"]
        drawn = [query["MetricStat"] for query in queries if "MetricStat" in query]
        assert len(figures) == 2
        assert all(figure in drawn for figure in figures), (figures, drawn)


# What is kept, and how


def test_incidents_and_evidence_outlive_the_stack_and_never_meet_those_of_another(
    template: Template,
) -> None:
    table, bucket = records(template)
    [closed_to_all_but_tls] = template.of("AWS::S3::BucketPolicy")
    for name in (table, bucket, closed_to_all_but_tls):
        assert template.resources[name]["DeletionPolicy"] == "RetainExceptOnCreate"
        assert template.resources[name]["UpdateReplacePolicy"] == "Retain"
    assert "TableName" not in template.of("AWS::DynamoDB::Table")[table]
    assert "BucketName" not in template.of("AWS::S3::Bucket")[bucket]


def test_what_outlives_the_stack_can_be_read_without_its_key(template: Template) -> None:
    [key] = template.of("AWS::KMS::Key")
    assert template.resources[key]["DeletionPolicy"] == "Delete"
    for name in records(template):
        assert key not in json.dumps(template.resources[name])


def test_the_table_is_the_one_that_the_reporter_writes_to(template: Template) -> None:
    [table] = template.of("AWS::DynamoDB::Table").values()
    assert table["KeySchema"] == [
        {"AttributeName": PARTITION_KEY, "KeyType": "HASH"},
        {"AttributeName": SORT_KEY, "KeyType": "RANGE"},
    ]
    assert {each["AttributeType"] for each in table["AttributeDefinitions"]} == {"S"}
    assert table["TimeToLiveSpecification"] == {"AttributeName": EXPIRY, "Enabled": True}
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]


def test_evidence_is_private_encrypted_and_kept_as_long_as_its_incident(template: Template) -> None:
    [bucket] = template.of("AWS::S3::Bucket").values()
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    [encryption] = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    [rule] = bucket["LifecycleConfiguration"]["Rules"]
    assert rule["Status"] == "Enabled"
    assert rule["ExpirationInDays"] == KEPT_FOR.days
    assert rule["NoncurrentVersionExpiration"]["NoncurrentDays"] <= KEPT_FOR.days
    assert rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] <= 7
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}


def test_nothing_is_sent_in_the_clear(template: Template) -> None:
    refusals = {
        ("AWS::SNS::Topic", "sns:Publish", "${{{}}}"),
        ("AWS::SQS::Queue", "sqs:SendMessage", "${{{}.Arn}}"),
        ("AWS::S3::Bucket", "s3:PutObject", "${{{}.Arn}}/*"),
    }
    for resource_type, action, pattern in refusals:
        assert template.of(resource_type)
        for name in template.of(resource_type):
            assert any(
                each.effect == "Deny"
                and each.principals == {"*"}
                and each.names(action)
                and pattern.format(name) in each.resources
                and each.condition == NOT_OVER_TLS
                for each in template.statements()
                if each.holder == name
            )


def test_a_key_of_the_customers_own_encrypts_logs_incidents_evidence_and_environments() -> None:
    deployed = synthesized(a_configuration(target=a_target(kms_key=KEY)))
    assert {each["KmsKeyId"] for each in deployed.of("AWS::Logs::LogGroup").values()} == {KEY}
    functions = deployed.of("AWS::Lambda::Function")
    assert {each["KmsKeyArn"] for each in functions.values()} == {KEY}
    [table] = deployed.of("AWS::DynamoDB::Table").values()
    assert table["SSESpecification"] == {
        "KMSMasterKeyId": KEY,
        "SSEEnabled": True,
        "SSEType": "KMS",
    }
    [bucket] = deployed.of("AWS::S3::Bucket").values()
    [encryption] = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["ServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": KEY,
    }
    assert encryption["BucketKeyEnabled"]

    used = {
        deployed.role_of(name): {
            action
            for each in deployed.statements()
            if each.holder == deployed.role_of(name) and KEY in each.resources
            for action in each.actions
        }
        for name in functions
    }
    decrypts, uses = sorted(used.values(), key=len)
    assert decrypts == {"kms:Decrypt"}  # the responder, its environment
    assert uses == {
        *("kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo"),
        *("kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext"),
    }


def test_without_a_key_of_the_customers_own_nothing_names_one(smallest: Template) -> None:
    assert not [each for each in smallest.of("AWS::Logs::LogGroup").values() if "KmsKeyId" in each]
    assert not [
        each for each in smallest.of("AWS::Lambda::Function").values() if "KmsKeyArn" in each
    ]
    [table] = smallest.of("AWS::DynamoDB::Table").values()
    assert "SSESpecification" not in table


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, {"application": "connection-guard"}),
        ({"team": "platform"}, {"application": "connection-guard", "team": "platform"}),
        ({"application": "databases"}, {"application": "databases"}),
        ({"Application": "databases"}, {"Application": "databases"}),  # IAM takes both for one
    ],
)
def test_the_stack_has_the_tags_that_cloudformation_puts_on_all_that_it_creates(
    tags: dict[str, str], expected: dict[str, str], tmp_path: Path
) -> None:
    synthesize(a_configuration(target=a_target(tags=tags)), tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["artifacts"]["connection-guard"]["properties"]["tags"] == expected


def test_no_log_is_kept_for_ever_and_each_function_writes_to_its_own(template: Template) -> None:
    groups = template.of("AWS::Logs::LogGroup")
    assert all(0 < group["RetentionInDays"] <= 365 for group in groups.values())
    functions = template.of("AWS::Lambda::Function")
    logs = {name: referred(each["LoggingConfig"]["LogGroup"]) for name, each in functions.items()}
    assert set(logs.values()) == set(groups)
    for name, group in logs.items():
        assert template.who_may("logs:PutLogEvents", group) == {template.role_of(name)}


# Nothing wildcard


def wildcards(statement: Statement) -> Iterator[tuple[str, str]]:
    for action in statement.actions:
        for resource in statement.resources:
            if any(sign in action + resource for sign in "*?"):
                yield action, resource


def test_every_wildcard_in_what_is_allowed_is_one_of_these(
    template: Template, reporter: str
) -> None:
    [key] = template.of("AWS::KMS::Key")
    _, bucket = records(template)
    network_interfaces = {
        (action, "*")
        for action in (
            "ec2:CreateNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:DeleteNetworkInterface",
            "ec2:AssignPrivateIpAddresses",
            "ec2:UnassignPrivateIpAddresses",
        )
    }  # Lambda's own, denied to the code
    known = {
        key: {
            ("kms:*", "*"),  # the account: its IAM policies decide
            ("kms:Decrypt", "*"),  # in a key policy "*" is the key
            ("kms:GenerateDataKey*", "*"),  # as AWS documents it for CloudWatch
        },
        template.role_of(reporter): {
            ("s3:PutObject", f"${{{bucket}.Arn}}/*"),
            (
                "secretsmanager:GetSecretValue",
                f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:guard/slack-??????",
            ),
            ("rds:DescribeEvents", "*"),  # neither knows resource-level permissions
            ("cloudwatch:GetMetricData", "*"),
        },
    } | {
        template.role_of(function): network_interfaces
        for function, properties in template.of("AWS::Lambda::Function").items()
        if "VpcConfig" in properties
    }
    for statement in template.statements():
        if statement.effect == "Allow":
            assert set(wildcards(statement)) <= known.get(statement.holder, set()), statement
            assert "*" not in statement.principals, statement


def test_no_role_has_a_managed_policy(template: Template) -> None:
    assert not [
        role for role, each in template.of("AWS::IAM::Role").items() if "ManagedPolicyArns" in each
    ]
    assert not template.of("AWS::IAM::ManagedPolicy")


def test_no_secret_is_in_the_template(template: Template) -> None:
    assert "{{resolve:" not in json.dumps(template.resources)
    assert not template.of("AWS::SecretsManager::Secret")


# What people see


def widgets(template: Template, database: str) -> dict[str, Mapping[str, Any]]:
    """By title, without the database's name in front."""
    [dashboard] = template.of("AWS::CloudWatch::Dashboard").values()
    return {
        each["properties"]["title"].removeprefix(f"{database}: "): each["properties"]
        for each in json.loads(dashboard["DashboardBody"])["widgets"]
        if each["properties"]["title"].startswith(f"{database}: ")
    }


def shown(widget: Mapping[str, Any], database: str) -> set[Metric]:
    """The guard's own metrics of that database."""
    return {
        Metric(each[1])
        for each in widget["metrics"]
        if each[:1] == [NAMESPACE] and each[2:4] == [DIMENSION, database]
    }


def test_the_dashboard_shows_of_each_database_how_full_it_is_against_both_thresholds(
    template: Template, configuration: Configuration
) -> None:
    for database in configuration.databases:
        widget = widgets(template, database.identifier)["percent of the usable connections"]
        assert Metric.UTILISATION in shown(widget, database.identifier)
        thresholds = {each["label"]: each["value"] for each in widget["annotations"]["horizontal"]}
        assert thresholds == {
            "warning": database.warning_percent,
            "critical": database.critical_percent,
        }


def test_the_dashboard_draws_what_the_alarms_go_by(
    template: Template, configuration: Configuration
) -> None:
    for database in configuration.databases:
        widget = widgets(template, database.identifier)["percent of the usable connections"]
        drawn = {each[0]["expression"] for each in widget["metrics"] if isinstance(each[0], dict)}
        [critical] = [
            alarm
            for alarm in template.of("AWS::CloudWatch::Alarm").values()
            if alarm.get("AlarmName") == f"connection-guard-{database.identifier}-critical"
        ]
        assert drawn == {each["Expression"] for each in critical["Metrics"] if "Expression" in each}


def test_the_dashboard_shows_sessions_by_state_terminations_and_the_heartbeat(
    template: Template, configuration: Configuration
) -> None:
    for database in configuration.databases:
        of_database = widgets(template, database.identifier)
        sessions = of_database["sessions by state"]
        assert shown(sessions, database.identifier) == {
            each for each in Metric if each.startswith("Sessions")
        }
        assert sessions["stacked"]
        assert shown(of_database["terminations"], database.identifier) == {
            Metric.TERMINATED,
            Metric.SURVIVED,
        }
        assert Metric.HEARTBEAT in shown(
            of_database["heartbeat, seat and doors"], database.identifier
        )


def test_stacks_in_two_regions_have_dashboards_of_their_own() -> None:
    """Their names are those of the whole account, those of stacks only of a region."""
    names = set()
    for region in (REGION, "us-east-1"):
        [dashboard] = (
            synthesized(a_configuration(target=a_target(region=region)))
            .of("AWS::CloudWatch::Dashboard")
            .values()
        )
        names.add(dashboard["DashboardName"])
    assert names == {f"connection-guard-{REGION}", "connection-guard-us-east-1"}


@pytest.mark.parametrize(("databases", "proxy"), [(3, None), (2, an_existing_proxy())])
def test_the_dashboard_of_so_many_databases_costs_nothing(
    databases: int, proxy: ExistingProxy | None
) -> None:
    """CloudWatch's free ones have 50 metrics each; docs/deploying.md says from which database on it
    costs.
    """

    def metrics(databases: int) -> int:
        guarded = [
            a_database(identifier=f"orders{number}", proxy=proxy) for number in range(databases)
        ]
        [dashboard] = (
            synthesized(a_configuration(*guarded)).of("AWS::CloudWatch::Dashboard").values()
        )
        drawn = [
            each
            for widget in json.loads(dashboard["DashboardBody"])["widgets"]
            for each in widget["properties"]["metrics"]
        ]
        return len(
            {
                tuple(part for part in each if isinstance(part, str))
                for each in drawn
                if isinstance(each[0], str)
            }
        )

    assert metrics(databases) <= 50 < metrics(databases + 1)


def test_the_outputs_say_where_to_look_and_what_to_do_next(template: Template) -> None:
    outputs = {name: each["Value"] for name, each in template.outputs.items()}
    [dashboard] = template.of("AWS::CloudWatch::Dashboard").values()
    assert outputs["DashboardAddress"].endswith(
        f"#dashboards/dashboard/{dashboard['DashboardName']}"
    )
    for function, properties in template.of("AWS::Lambda::Function").items():
        if "VpcConfig" in properties:
            assert f"${{{function}}}" in outputs.values()
            assert properties["LoggingConfig"]["LogGroup"] in outputs.values()


def test_the_outputs_give_the_command_for_the_roles_with_those_of_the_database(
    template: Template,
) -> None:
    commands = [
        each["Value"] for each in template.outputs.values() if each["Value"].startswith("psql ")
    ]
    orders, payments, _ = commands
    assert orders == (
        'psql "host=orders.c0ffee.eu-central-1.rds.amazonaws.com port=5432 dbname=postgres '
        'user=<master>" '
        "-v guard_role=connection_guard -v proxy_role=connection_guard_proxy -f "
        "bootstrap/bootstrap.sql"
    )
    assert payments == (
        'psql "host=orders.cluster-c0ffee.eu-central-1.rds.amazonaws.com port=5432 '
        'dbname=postgres user=<master>" '
        "-v guard_role=connection_guard -f bootstrap/bootstrap.sql"
    )
    assert (ROOT / "bootstrap/bootstrap.sql").is_file()
