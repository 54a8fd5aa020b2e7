"""The price of a stack."""

import re

import pytest

from connection_guard.configuration.guard.guard_configuration import Configuration
from connection_guard_cdk.cost import SECRET, SMALLEST_PROXY, dollars_per_month, proxies
from tests.cdk.template import ROOT, Template

TOGETHER = r"\| \*\*together\*\* \| \*\*([\d.]+)\*\* \| \*\*together\*\* \| \*\*([\d.]+) to"


def test_a_stack_costs_what_the_documents_say(
    template: Template, configuration: Configuration
) -> None:
    [(each, once)] = re.findall(TOGETHER, (ROOT / "docs" / "deploying.md").read_text())
    without_proxy = sum(database.proxy is None for database in configuration.databases)

    dollars = dollars_per_month(template.resources, configuration)

    expected = (
        len(configuration.databases) * float(each)
        - 0.10 * without_proxy
        + float(once)
        + len(("slack", "pagerduty", "teams")) * SECRET
        + SMALLEST_PROXY
    )
    assert dollars == pytest.approx(expected, abs=0.1)
    assert proxies(template.resources) == 1
    assert f"about {float(each):.0f} dollars per database" in (ROOT / "README.md").read_text()
