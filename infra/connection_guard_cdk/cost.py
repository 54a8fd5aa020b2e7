"""What a stack costs per month, item by item: its synthesized templates, times the list prices and
the usage in prices.toml.

`make cost` prints it, and the table in docs/deploying.md is what it prints for one database.
"""

import json
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connection_guard.configuration.guard.guard_configuration import Configuration
from connection_guard.core.deployment.events import DATABASE_DIMENSIONS
from connection_guard.core.report.metric_names import Metric
from connection_guard.errors import ConfigurationError
from connection_guard_cdk.nested_stacks import stack_identifiers
from connection_guard_cdk.several_guard_files import read_guard_files
from connection_guard_cdk.shared.reporter_role import secrets_of

ROOT = Path(__file__).parents[2]
PRICES: Mapping[str, Any] = tomllib.loads(Path(__file__).with_name("prices.toml").read_text())
_USAGE: Mapping[str, float] = PRICES["usage"]

Resource = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Item:
    """A line of the bill, in dollars per month."""

    name: str
    dollars: float


@dataclass(frozen=True, slots=True)
class Cost:
    """`per_database` is the average of the stack's databases, without RDS Proxies; `shared` is paid
    once. `hour_of_watching` is added per hour of pressure.
    """

    databases: int
    per_database: tuple[Item, ...]
    shared: tuple[Item, ...]
    proxies: float
    hour_of_watching: float

    @property
    def month(self) -> float:
        """Return the price of the whole stack, every proxy at the smallest one's price."""
        return self.databases * total(self.per_database) + total(self.shared) + self.proxies


def total(items: Iterable[Item]) -> float:
    """Return the sum."""
    return sum(item.dollars for item in items)


def resources_of(template: Path) -> list[Resource]:
    """Return the resources of a synthesized template and of those nested in it."""
    stack = template.name.removesuffix(".template.json")
    assets = json.loads(template.with_name(f"{stack}.assets.json").read_text())["files"].values()
    sources = (Path(each["source"]["path"]).name for each in assets)
    nested = dict.fromkeys(name for name in sources if name.endswith(".nested.template.json"))
    return [
        resource
        for name in (template.name, *nested)
        for resource in json.loads(template.with_name(name).read_text())["Resources"].values()
    ]


def cost_of(resources: Sequence[Resource], configuration: Configuration) -> Cost:
    """Return what the resources of the configuration's templates cost."""
    databases = len(configuration.databases)
    functions = _of("AWS::Lambda::Function", resources)
    responder = next(each for each in functions if each["Handler"].startswith("responder."))
    proxies = len(_of("AWS::RDS::DBProxy", resources))
    hour = _USAGE["watching_seconds_per_minute"] * 60 * _gigabyte_second(responder)
    return Cost(
        databases,
        tuple(_per_database(resources, responder, databases)),
        tuple(_shared(resources, functions, len(set(secrets_of(configuration.notifications))))),
        proxies * PRICES["rds_proxy"]["hour_of_smallest"] * _USAGE["hours_per_month"],
        hour,
    )


def cost_table(cost: Cost) -> str:
    """Return the cost as Markdown."""
    rows = [f"| {item.name} | {item.dollars:.2f} |" for item in cost.per_database]
    rows.append(f"| **together, per database** | **{total(cost.per_database):.2f}** |")
    rows += [f"| {item.name} | {item.dollars:.2f} |" for item in cost.shared]
    rows.append(f"| **together, per stack** | **{total(cost.shared):.2f}** |")
    return "\n".join(["| dollars per month | |", "|---|---:|", *rows])


def watching(cost: Cost) -> str:
    """Return in a sentence what keeping watch costs."""
    hours = _USAGE["hours_per_month"]
    return (
        f"Keeping watch costs {cost.hour_of_watching:.3f} dollars per database and hour of "
        f"pressure; with `watch_from = 0` it never ends, which is "
        f"{cost.hour_of_watching * hours:.2f} dollars per month."
    )


def _per_database(
    resources: Sequence[Resource], responder: Resource, databases: int
) -> Iterator[Item]:
    cloudwatch, heartbeats = PRICES["cloudwatch"], _USAGE["heartbeats_per_month"]
    yield Item(f"{len(Metric)} metrics", len(Metric) * cloudwatch["metric"])
    alarms = [each for each in _alarms(resources) if _is_of_database(each)]
    metrics = sum(map(_metrics_of_alarm, alarms)) / databases
    yield Item(
        f"{len(alarms) / databases:g} alarms on {metrics:g} metrics",
        metrics * cloudwatch["metric_of_alarm"],
    )
    yield Item(
        f"Lambda: {heartbeats:,} heartbeats",
        heartbeats * (_request() + _USAGE["seconds_per_heartbeat"] * _gigabyte_second(responder)),
    )
    yield Item("their log", _log(heartbeats * _USAGE["log_bytes_per_heartbeat"]))
    yield Item("SNS: what they publish", heartbeats * PRICES["sns"]["million_publishes"] / 1e6)
    yield Item(
        "KMS: requests for the key of the topics",
        _USAGE["key_requests_per_month"] * PRICES["kms"]["ten_thousand_requests"] / 1e4,
    )
    reports = _USAGE["reports_per_database"]
    yield Item(
        "reports of trouble: S3, DynamoDB, e-mail",
        reports * PRICES["s3"]["thousand_writes"] * 2 / 1e3
        + reports * _USAGE["writes_per_report"] * PRICES["dynamodb"]["million_writes"] / 1e6
        + _USAGE["emails_per_database"] * PRICES["sns"]["hundred_thousand_emails"] / 1e5,
    )
    scanned = (
        _USAGE["dashboards_opened_per_month"]
        * _USAGE["queries_per_dashboard"]
        * _USAGE["hours_per_query"]
        * 60
        * _USAGE["log_bytes_per_heartbeat"]
    )
    yield Item("Logs Insights: the dashboard", scanned / 1e9 * cloudwatch["insights_gigabyte"])
    yield Item(
        "SSM: standard parameters",
        len(_of("AWS::SSM::Parameter", resources))
        / databases
        * PRICES["systems_manager"]["standard_parameter"],
    )


def _shared(
    resources: Sequence[Resource], functions: Sequence[Resource], secrets: int
) -> Iterator[Item]:
    reporter = next(each for each in functions if each["Handler"].startswith("reporter."))
    keys = len(_of("AWS::KMS::Key", resources))
    yield Item("the key of the topics, in its first year", keys * PRICES["kms"]["key"])
    alarms = [each for each in _alarms(resources) if not _is_of_database(each)]
    metrics = sum(map(_metrics_of_alarm, alarms))
    yield Item(f"{len(alarms)} alarms", metrics * PRICES["cloudwatch"]["metric_of_alarm"])
    polls = _USAGE["polls_per_minute"] * 60 * _USAGE["hours_per_month"]
    queues = len(_of("AWS::Lambda::EventSourceMapping", resources))
    yield Item(
        "SQS: the reporter's queue, which Lambda polls",
        queues * polls * PRICES["sqs"]["million_requests"] / 1e6,
    )
    runs = _USAGE["heartbeats_per_month"]
    yield Item(
        "Lambda: the reporter's schedule, with its log",
        runs * (_request() + _USAGE["seconds_per_scheduled_run"] * _gigabyte_second(reporter))
        + _log(runs * _USAGE["log_bytes_per_scheduled_run"]),
    )
    if secrets:
        yield Item(f"{secrets} secrets", secrets * PRICES["secrets_manager"]["secret"])


def _request() -> float:
    return float(PRICES["lambda"]["million_requests"]) / 1e6


def _gigabyte_second(function: Resource) -> float:
    """Return the price of a second of the function, by its memory and architecture."""
    [architecture] = function.get("Architectures", ["x86_64"])
    price = float(PRICES["lambda"][f"gigabyte_second_{architecture}"])
    return float(function["MemorySize"]) / 1024 * price


def _log(bytes_per_month: float) -> float:
    cloudwatch = PRICES["cloudwatch"]
    price = cloudwatch["log_gigabyte"] + (
        _USAGE["months_of_log"] * cloudwatch["log_gigabyte_stored"]
    )
    return float(bytes_per_month / 1e9 * price)


def _alarms(resources: Sequence[Resource]) -> list[Resource]:
    return _of("AWS::CloudWatch::Alarm", resources)


def _metrics_of_alarm(alarm: Resource) -> int:
    """Return how many metrics an alarm reads, which are its price: expressions are free."""
    return len(_metrics_in(alarm))


def _metrics_in(alarm: Resource) -> list[Resource]:
    if "Metrics" not in alarm:
        return [alarm]
    return [each["MetricStat"]["Metric"] for each in alarm["Metrics"] if "MetricStat" in each]


def _is_of_database(alarm: Resource) -> bool:
    return any(
        dimension["Name"] in DATABASE_DIMENSIONS
        for metric in _metrics_in(alarm)
        for dimension in metric.get("Dimensions", ())
    )


def _of(resource_type: str, resources: Iterable[Resource]) -> list[Resource]:
    return [each.get("Properties", {}) for each in resources if each["Type"] == resource_type]


def main() -> None:
    """Print the cost of the stacks that were synthesized last from the guard files."""
    try:
        configurations = tuple(read_guard_files(sys.argv[1], ROOT).values())
    except ConfigurationError as mistakes:
        sys.exit(str(mistakes))
    output = ROOT / json.loads((ROOT / "cdk.json").read_text())["output"]
    identifiers = stack_identifiers([each.target for each in configurations])
    for configuration, identifier in zip(configurations, identifiers, strict=True):
        template = output / f"{identifier}.template.json"
        if not template.exists():
            sys.exit(f"{template}: there is no such template; run `make synth` first")
        if len(identifiers) > 1:
            print(f"\n{identifier}\n")
        cost = cost_of(resources_of(template), configuration)
        print(cost_table(cost))
        print(f"\n{watching(cost)}")
        if cost.proxies:
            print(
                "RDS Proxies that the stack creates: at least "
                f"{cost.proxies:.2f} dollars per month."
            )


if __name__ == "__main__":
    main()
