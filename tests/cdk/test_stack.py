"""The stack as a whole: tags, logs, outputs and warnings."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.cdk.template import (
    Template,
    referred,
    synthesize,
    synthesized,
)
from tests.support.configurations import (
    a_configuration,
    a_target,
    notifications,
)


@pytest.mark.parametrize(("emails", "warned"), [((), True), (("on-call@example.com",), False)])
def test_synthesis_warns_where_only_the_reporter_notifies_people(
    emails: tuple[str, ...], warned: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    synthesized(
        a_configuration(notifications=notifications(slack_secret="guard/slack", emails=emails))
    )
    assert ("Name at least one e-mail address" in capfd.readouterr().err) is warned


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


def test_no_log_is_kept_forever_and_the_reporter_does_not_share_the_responders(
    template: Template,
) -> None:
    groups = template.of("AWS::Logs::LogGroup")
    assert all(0 < group["RetentionInDays"] <= 365 for group in groups.values())
    functions = template.of("AWS::Lambda::Function")
    logs = {name: referred(each["LoggingConfig"]["LogGroup"]) for name, each in functions.items()}
    assert set(logs.values()) == set(groups)
    for group in groups:
        writers = {template.role_of(name) for name in logs if logs[name] == group}
        assert template.who_may("logs:PutLogEvents", group) == writers
    assert sorted(Counter(logs.values()).values()) == [1, len(functions) - 1]


def test_an_update_keeps_what_people_confirmed_and_what_is_stored(smallest: Template) -> None:
    """The names are those of the first version. SNS takes a subscription of another name for the
    same one, and CloudFormation would then end it with the former.
    """
    assert {
        "MessagingKey128A283C",
        "MessagingIncidents1F250228",
        "MessagingIncidentsoncallexamplecom45456B99",
        "MessagingReporterAlarms0D0FE150",
        "MessagingReporterAlarmsoncallexamplecomBE8EF269",
        "ReporterQueue782E1ACB",
        "RecordsIncidentsF21E1A44",
        "RecordsEvidenceB548F578",
        "ReporterFunction1B906D63",
    } <= smallest.resources.keys()


def test_the_outputs_say_where_to_look_and_what_to_do_next(
    template: Template, reporter: str
) -> None:
    outputs = {name: each["Value"] for name, each in template.outputs.items()}
    assert outputs["ReporterName"] == f"${{{reporter}}}"
    [dashboard] = template.of("AWS::CloudWatch::Dashboard").values()
    assert outputs["DashboardAddress"].endswith(
        f"#dashboards/dashboard/{dashboard['DashboardName']}"
    )


def test_an_update_changes_the_reporter_before_the_responders_whose_reports_it_reads(
    template: Template, reporter: str
) -> None:
    for function in set(template.of("AWS::Lambda::Function")) - {reporter}:
        assert reporter in template.resources[function]["DependsOn"]
