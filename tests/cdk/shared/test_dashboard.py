"""What the dashboard shows."""

import json
from typing import Any

import pytest
from aws_cdk import App, Environment, Stack, assertions
from aws_cdk import aws_cloudwatch as cloudwatch

from connection_guard.core.report.metric_names import Field, Metric
from connection_guard_cdk.shared.alarm_metrics import utilisation
from connection_guard_cdk.shared.dashboard import database_widgets
from tests.cdk.template import Template, plain, synthesized
from tests.support.configurations import REGION, a_configuration, a_database, a_target

# CloudWatch charges for a dashboard that shows more.
MOST_FREE_METRICS = 50


def body_of(template: Template) -> dict[str, Any]:
    [dashboard] = template.of("AWS::CloudWatch::Dashboard").values()
    body: dict[str, Any] = json.loads(dashboard["DashboardBody"])
    return body


def test_the_overview_comes_first_and_shows_every_database_worst_first(template: Template) -> None:
    table, graph = (each["properties"] for each in body_of(template)["widgets"][:2])
    assert "filter ispresent(Healthy.0)" in table["query"]
    assert "by database" in table["query"]
    assert table["query"].endswith("sort healthy asc, percent desc")
    [[search]] = graph["metrics"]
    assert 'MetricName="Utilisation"' in search["expression"]


def test_a_reader_chooses_the_database_whose_details_are_shown(template: Template) -> None:
    body = body_of(template)
    [variable] = body["variables"]
    # CloudWatch offers every database that publishes the metric.
    assert variable["search"] == '{ConnectionGuard,Database} MetricName="Healthy"'
    assert variable["populateFrom"] == "Database"
    details = body["widgets"][2:]
    assert len(details) == 5
    assert all(variable["pattern"] in json.dumps(each) for each in details)


def test_the_details_are_those_of_the_metrics_and_of_every_field_in_time(
    template: Template,
) -> None:
    shown = json.dumps(body_of(template)["widgets"][2:])
    in_time = [each for each in Field if each.startswith("sessions_")]
    in_time += [Field.TERMINATED, Field.SURVIVED, Field.SEAT_HELD]
    assert all(f"({field}) as" in shown for field in in_time)
    assert f"ispresent({Field.FAULTS}.0)" in shown
    assert all(each in shown for each in (Metric.UTILISATION, Metric.HIGHEST_LIMIT_UTILISATION))


def test_the_queries_read_the_log_that_the_responders_write(template: Template) -> None:
    logs = {
        each["LoggingConfig"]["LogGroup"]
        for each in template.of("AWS::Lambda::Function").values()
        if each["Handler"] == "responder.handler.lambda_handler"
    }
    queries = [
        each["properties"]["query"]
        for each in body_of(template)["widgets"]
        if each["type"] == "log"
    ]
    [log] = logs
    assert all(f"SOURCE '{log}'" in query for query in queries)


def test_more_databases_change_nothing_about_the_dashboard(
    template: Template, smallest: Template
) -> None:
    body = body_of(template)
    assert body == body_of(smallest)
    metrics = [m for each in body["widgets"] for m in each["properties"].get("metrics", ())]
    assert len(metrics) <= MOST_FREE_METRICS


def test_the_widgets_of_one_database_draw_what_its_alarms_use_against_both_thresholds() -> None:
    database = a_database(warning_percent=70.0)
    stack = Stack(App(), "Others", env=Environment(account="123456789012", region=REGION))
    widgets = database_widgets(database, "/connection-guard/Guard")
    cloudwatch.Dashboard(stack, "Dashboard", widgets=[widgets])
    [dashboard] = assertions.Template.from_stack(stack).to_json()["Resources"].values()
    percent, *details = json.loads(plain(dashboard["Properties"]["DashboardBody"]))["widgets"]
    drawn = [each[0] for each in percent["properties"]["metrics"] if isinstance(each[0], dict)]
    assert utilisation(database).expression in {each["expression"] for each in drawn}
    assert {
        each["label"]: each["value"] for each in percent["properties"]["annotations"]["horizontal"]
    } == {"warning": 70, "critical": 90}
    assert all("orders" in json.dumps(each) for each in details)


@pytest.mark.parametrize("region", [REGION, "us-east-1"])
def test_stacks_in_two_regions_have_dashboards_of_their_own(region: str) -> None:
    """A name of a dashboard is unique in the account, that of a stack only in its region."""
    stack = synthesized(a_configuration(target=a_target(region=region)))
    [dashboard] = stack.of("AWS::CloudWatch::Dashboard").values()
    assert dashboard["DashboardName"] == f"connection-guard-{region}"
