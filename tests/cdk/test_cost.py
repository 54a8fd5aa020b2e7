"""The price of a stack."""

import json
import shutil
from pathlib import Path

import pytest

from connection_guard.adapters.aws.metric_log import write_metrics
from connection_guard.configuration.guard.guard_configuration import Configuration
from connection_guard.core.database.capacity import ConnectionLimit, LimitOwner
from connection_guard.core.report.kind import Kind
from connection_guard_cdk import cost as command
from connection_guard_cdk.cost import (
    PRICES,
    Cost,
    cost_of,
    cost_table,
    resources_of,
    total,
    watching,
)
from tests.cdk.template import ROOT, synthesize
from tests.support.builders import a_measurement
from tests.support.configurations import a_configuration, a_database
from tests.support.runs import a_run
from tests.unit.configuration.guard.guard_files import DEPLOY, guard

MOST_PER_DATABASE = 2.50
# What Lambda writes about a run, and Powertools about an event: START, END, REPORT, a headline.
BYTES_OF_OTHER_LINES = 900


ONE = a_configuration(a_database())


@pytest.fixture(scope="module")
def template_of_one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the template of a stack with one database, without a proxy."""
    return synthesize(ONE, tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module")
def of_one(template_of_one: Path) -> Cost:
    """Return the cost of that stack."""
    return cost_of(resources_of(template_of_one), ONE)


def test_a_database_costs_no_more_than_it_may(of_one: Cost) -> None:
    assert 2.00 < total(of_one.per_database) <= MOST_PER_DATABASE


def test_the_documents_have_the_table_that_the_command_prints(of_one: Cost) -> None:
    document = (ROOT / "docs" / "deploying.md").read_text()
    assert cost_table(of_one) in document
    assert watching(of_one) in " ".join(document.split())


def test_an_hour_of_watching_costs_less_than_ten_cents(of_one: Cost) -> None:
    assert 0.01 < of_one.hour_of_watching < 0.10


def test_a_stack_is_its_databases_what_they_share_and_its_proxies(
    template_file: Path, configuration: Configuration, of_one: Cost
) -> None:
    cost = cost_of(resources_of(template_file), configuration)
    assert total(cost.per_database) == pytest.approx(total(of_one.per_database))
    smallest = PRICES["rds_proxy"]["hour_of_smallest"] * PRICES["usage"]["hours_per_month"]
    assert cost.proxies == pytest.approx(smallest), "it creates one of two"
    secrets = 3 * PRICES["secrets_manager"]["secret"]
    assert total(cost.shared) == pytest.approx(total(of_one.shared) + secrets)
    assert cost.month == pytest.approx(
        3 * total(cost.per_database) + total(cost.shared) + cost.proxies
    )


def test_a_heartbeat_s_lines_are_no_longer_than_what_is_paid_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    limits = (ConnectionLimit(LimitOwner.ROLE, "app", 20, 15),)
    write_metrics(a_run(Kind.HEARTBEAT, measurement=a_measurement(used=3_000, limits=limits)))
    line = capsys.readouterr().out
    assert json.loads(line)["used"] == 3_000
    assert len(line) + BYTES_OF_OTHER_LINES <= PRICES["usage"]["log_bytes_per_heartbeat"]


def test_each_of_several_files_has_its_table(
    template_of_one: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The stacks have one name, in two regions: the CDK calls them by their regions."""
    output = shutil.copytree(template_of_one.parent, tmp_path / "out")
    (tmp_path / "cdk.json").write_text('{"output": "out"}')
    for region in ("eu-central-1", "eu-west-1"):
        deploy = DEPLOY | {"stack_name": "Guard", "region": region}
        text = guard(deploy=deploy).replace("eu-central-1", region)
        (tmp_path / f"{region}.toml").write_text(text)
        for kind in ("template", "assets"):
            name = f"Guard-{DEPLOY['account']}-{region}.{kind}.json"
            shutil.copy(template_of_one.with_suffix("").with_suffix(f".{kind}.json"), output / name)
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr("sys.argv", ["cost", "eu-*.toml"])

    command.main()

    printed = capsys.readouterr().out
    assert printed.count("together, per database") == 2
    assert f"Guard-{DEPLOY['account']}-eu-west-1\n" in printed
