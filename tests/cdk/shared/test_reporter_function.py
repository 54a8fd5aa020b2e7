"""The reporter: what it may do, what it knows, and the alarms on it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connection_guard.adapters.aws.gather_circumstances import look
from connection_guard.configuration.guard.guard_configuration import (
    Configuration,
)
from connection_guard.core.deployment.reporter_settings import (
    APPLICATION_OWNERS_FILE,
    Owner,
    ReporterSettings,
    WatchedDatabase,
    parse_application_owners,
    read_watched_database,
)
from connection_guard.core.deployment.responder_settings import ResponderSettings
from connection_guard.core.incident.item import PENDING_INDEX
from tests.cdk.deployed import records
from tests.cdk.template import (
    Template,
    referred,
    synthesized,
)
from tests.support.configurations import (
    ACCOUNT,
    REGION,
    a_configuration,
    a_database,
    notifications,
)


def test_a_reporter_that_fails_is_one_alarm_to_people_until_it_no_longer_fails(
    template: Template, reporter: str, reporter_queue: str, reporter_alarms: str
) -> None:
    """A message that fails comes back after the visibility timeout: within one period."""
    [alarm] = [
        alarm
        for alarm in template.of("AWS::CloudWatch::Alarm").values()
        if {"Name": "FunctionName", "Value": f"${{{reporter}}}"} in alarm.get("Dimensions", [])
    ]
    assert alarm["MetricName"] == "Errors"
    assert (alarm["Statistic"], alarm["Threshold"], alarm["EvaluationPeriods"]) == ("Sum", 1, 1)
    assert alarm["Period"] > 2 * template.of("AWS::SQS::Queue")[reporter_queue]["VisibilityTimeout"]
    assert alarm["AlarmActions"] == [f"${{{reporter_alarms}}}"]
    assert "comes back every two minutes" in alarm["AlarmDescription"]


def settings_of(template: Template, reporter: str) -> ReporterSettings:
    function = template.of("AWS::Lambda::Function")[reporter]
    return ReporterSettings.from_environment(function["Environment"]["Variables"])


def permissions(template: Template, reporter: str) -> set[tuple[str, str]]:
    """Return each action that the reporter may take, with the resource."""
    return {
        (action, resource)
        for each in template.statements()
        if each.holder == template.role_of(reporter)
        for action in each.actions
        for resource in each.resources
    }


def test_the_reporter_may_do_what_it_does_and_nothing_else(
    template: Template, reporter: str, incidents: str, reporter_queue: str, unreadable: str
) -> None:
    table, bucket = records(template)
    path = settings_of(template, reporter).databases_path
    [key] = template.of("AWS::KMS::Key")
    function = template.of("AWS::Lambda::Function")[reporter]
    log = referred(function["LoggingConfig"]["LogGroup"])
    role = template.role_of(reporter)
    assert "ManagedPolicyArns" not in template.of("AWS::IAM::Role")[role]
    assert permissions(template, reporter) == {
        ("logs:CreateLogStream", f"${{{log}.Arn}}"),
        ("logs:PutLogEvents", f"${{{log}.Arn}}"),
        ("dynamodb:GetItem", f"${{{table}.Arn}}"),
        ("dynamodb:UpdateItem", f"${{{table}.Arn}}"),
        ("dynamodb:Query", f"${{{table}.Arn}}/index/{PENDING_INDEX}"),
        ("cloudtrail:LookupEvents", "*"),
        ("rds:DescribeEvents", "*"),
        ("cloudwatch:GetMetricData", "*"),
        ("s3:PutObject", f"${{{bucket}.Arn}}/*"),
        ("sns:Publish", f"${{{incidents}}}"),
        ("kms:GenerateDataKey", f"${{{key}.Arn}}"),
        ("kms:Decrypt", f"${{{key}.Arn}}"),
        ("sqs:ReceiveMessage", f"${{{reporter_queue}.Arn}}"),
        ("sqs:DeleteMessage", f"${{{reporter_queue}.Arn}}"),
        ("sqs:GetQueueAttributes", f"${{{reporter_queue}.Arn}}"),
        ("sqs:SendMessage", f"${{{unreadable}.Arn}}"),
        ("ssm:GetParametersByPath", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{path}"),
        ("secretsmanager:GetSecretValue", secret("slack")),
        ("secretsmanager:GetSecretValue", secret("pagerduty")),
        ("secretsmanager:GetSecretValue", secret("teams")),
        ("events:PutEvents", f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"),
    }


def secret(channel: str) -> str:
    return f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:guard/{channel}-??????"


def actions_with(**changes: Any) -> set[tuple[str, str]]:
    """Return what the reporter of a stack with these notifications may do."""
    deployed = synthesized(a_configuration(notifications=notifications(**changes)))
    return permissions(deployed, referred(deployed.outputs["ReporterName"]["Value"]))


def test_an_event_bus_in_another_account_is_the_only_one_that_it_may_send_to() -> None:
    arn = f"arn:aws:events:{REGION}:999999999999:event-bus/incidents"
    assert {on for action, on in actions_with(event_bus=arn) if action.startswith("events:")} == {
        arn
    }


def test_a_reporter_that_shows_no_deployments_may_not_look_for_them() -> None:
    without = actions_with(deployments=False)
    assert actions_with(deployments=True) - without == {("cloudtrail:LookupEvents", "*")}


def test_a_reporter_without_further_channels_may_read_no_secret_and_send_no_events(
    smallest: Template,
) -> None:
    assert not [
        each
        for each in smallest.statements()
        if any(action.startswith(("secretsmanager:", "events:")) for action in each.actions)
    ]


def test_the_settings_of_the_reporter_say_where_to_store_and_whom_to_notify(
    template: Template, reporter: str, incidents: str, unreadable: str, responders: set[str]
) -> None:
    table, bucket = records(template)
    functions = template.of("AWS::Lambda::Function")
    [responders_log] = {
        referred(functions[each]["LoggingConfig"]["LogGroup"]) for each in responders
    }
    function = template.of("AWS::Lambda::Function")[reporter]
    settings = settings_of(template, reporter)
    [dashboard] = template.of("AWS::CloudWatch::Dashboard").values()
    assert settings == ReporterSettings(
        f"${{{table}}}",
        f"${{{bucket}}}",
        f"${{{incidents}}}",
        f"${{{unreadable}}}",
        dashboard["DashboardName"],
        databases_path="/connection-guard/connection-guard/databases",
        log_group=f"${{{responders_log}}}",
        slack_secret="guard/slack",
        pagerduty_secret="guard/pagerduty",
        teams_secret="guard/teams",
        event_bus="default",
        reads_deployments=True,
    )
    assert function["Architectures"] == ["arm64"]
    assert function["Runtime"] == "python3.13"


def test_the_reporter_knows_every_database_the_function_that_guards_it_and_who_owns_what(
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
    owners = parse_application_owners((package / APPLICATION_OWNERS_FILE).read_text())
    assert owners == configuration.application_owners
    path = settings_of(template, reporter).databases_path
    *others, ledger = [
        read_watched_database(each["Name"], each["Value"])
        for each in template.of("AWS::SSM::Parameter").values()
        if each["Name"].rpartition("/")[0] == path
    ]
    assert others == [
        WatchedDatabase("orders", is_cluster=False, function_name=guards["orders"]),
        WatchedDatabase("payments", is_cluster=True, function_name=guards["payments"]),
    ]
    assert ledger == WatchedDatabase(
        "ledger",
        is_cluster=False,
        function_name=guards["ledger"],
        owner=Owner("team-ledger", "S0123ABCD"),
        runbook="https://wiki.example.com/ledger",
        environment="production",
        slack_channel="#ledger",
    )


def test_another_database_does_not_change_the_reporter() -> None:
    def reporter_of(deployed: Template) -> Mapping[str, Any]:
        name = referred(deployed.outputs["ReporterName"]["Value"])
        return deployed.of("AWS::Lambda::Function")[name]

    one, two = a_database(identifier="orders"), a_database(identifier="ledger", runbook="https://a")
    assert reporter_of(synthesized(a_configuration(one))) == reporter_of(
        synthesized(a_configuration(one, two))
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
