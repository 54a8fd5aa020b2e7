"""The names of the channels that a deployment has are those by which its settings know them."""

from dataclasses import replace

import pytest

from connection_guard.core.deployment.reporter_settings import ReporterSettings
from reporter.channels import channels_of

FEW = ReporterSettings("incidents", "evidence", "arn", "unreadable", "Guard", "/databases", "/log")
ALL = replace(
    FEW, slack_secret="slack", pagerduty_secret="pagerduty", teams_secret="teams", event_bus="bus"
)


@pytest.mark.parametrize("settings", [FEW, ALL])
def test_the_settings_name_the_channels(
    settings: ReporterSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    assert tuple(each.name for each in channels_of(settings)) == settings.channels
