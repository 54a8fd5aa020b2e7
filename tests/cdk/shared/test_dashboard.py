"""What the dashboard shows."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from connection_guard.configuration.guard.guard_configuration import (
    Configuration,
    ExistingProxy,
)
from connection_guard.core.report.metric_names import DIMENSION, NAMESPACE, Metric
from tests.cdk.template import (
    Template,
    synthesized,
)
from tests.support.configurations import (
    REGION,
    a_configuration,
    a_database,
    a_target,
    an_existing_proxy,
)


def widgets(template: Template, database: str) -> dict[str, Mapping[str, Any]]:
    """Return the widgets of the database by their titles without its name."""
    [dashboard] = template.of("AWS::CloudWatch::Dashboard").values()
    return {
        each["properties"]["title"].removeprefix(f"{database}: "): each["properties"]
        for each in json.loads(dashboard["DashboardBody"])["widgets"]
        if each["properties"]["title"].startswith(f"{database}: ")
    }


def shown(widget: Mapping[str, Any], database: str) -> set[Metric]:
    """Return the guard's own metrics of that database."""
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


def test_the_dashboard_draws_what_the_alarms_use(
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
    """A name of a dashboard is unique in the account, that of a stack only in its region."""
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
def test_the_dashboard_of_a_few_databases_costs_nothing(
    databases: int, proxy: ExistingProxy | None
) -> None:
    """A free dashboard has at most 50 metrics."""

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
