"""The reporter: what it may do, what it knows, and the alarms on it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connection_guard.adapters.aws.gather_circumstances import look
from connection_guard.configuration.guard.guard_configuration import (
    Configuration,
)
from connection_guard.core.deployment.reporter_settings import (
    WATCHED_FILE,
    ReporterSettings,
    WatchedDatabase,
    read_watched,
)
from connection_guard.core.deployment.responder_settings import ResponderSettings
from tests.cdk.deployed import records
from tests.cdk.template import (
    Template,
    referred,
)
from tests.support.configurations import (
    ACCOUNT,
    REGION,
)


def test_people_are_notified_of_a_reporter_that_fails_or_loses_a_report(
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


def test_a_reporter_that_does_not_notify_slack_may_read_no_secret(smallest: Template) -> None:
    assert not [
        each
        for each in smallest.statements()
        if any("secretsmanager" in action for action in each.actions)
    ]


def test_the_settings_of_the_reporter_say_where_to_store_and_whom_to_notify(
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
        settings.unreadable_queue,
        dashboard["DashboardName"],
        slack_secret="guard/slack",
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

    def database_of(function: str) -> str:
        variables = functions[function]["Environment"]["Variables"]
        return ResponderSettings.from_environment(variables).database

    guards = {database_of(each): functions[each]["FunctionName"] for each in responders}
    assert read_watched((package / WATCHED_FILE).read_text()).databases == tuple(
        WatchedDatabase(each.identifier, each.is_cluster, guards[each.identifier])
        for each in configuration.databases
    )


class Requests(list[dict[str, Any]]):
    """A client of any service that records its requests and returns nothing."""

    def __call__(self, _service: str) -> "Requests":
        return self

    def get_paginator(self, _operation: str) -> "Requests":
        return self

    def paginate(self, **request: Any) -> list[Any]:
        self.append(request)
        return []


def test_the_reporter_shows_the_figures_that_the_alarms_use(
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
