"""A summary of each stack that was just synthesized, to decide whether to deploy it: `make synth`
ends with it.
"""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path

from connection_guard.configuration.bootstrap_command import bootstrap_command
from connection_guard.configuration.guard.guard_configuration import Configuration
from connection_guard.core.budget.pool_budget import (
    DEFAULT_SHARE,
    PoolBudget,
    assigned,
    with_declarations,
)
from connection_guard.errors import ConfigurationError
from connection_guard_cdk.cost import cost_of, resources_of, total
from connection_guard_cdk.fleet_limits import RESOURCES_OF_DEPLOYMENT
from connection_guard_cdk.nested_stacks import stack_identifiers
from connection_guard_cdk.several_guard_files import read_guard_files

ROOT = Path(__file__).parents[2]
# More would hide the rest; `connection-guard doctor` shows them for each database.
MOST_BOOTSTRAP_COMMANDS = 3


def main() -> None:
    """Print, for each stack, the databases, the resources, the estimated price, and the path of
    the template.
    """
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("guard_files")
    parser.add_argument(
        "--output", "-o", default=json.loads((ROOT / "cdk.json").read_text())["output"]
    )
    arguments, _others_for_the_cdk = parser.parse_known_args()
    try:
        configurations = tuple(read_guard_files(arguments.guard_files, ROOT).values())
    except ConfigurationError as mistakes:
        sys.exit(str(mistakes))
    identifiers = stack_identifiers([each.target for each in configurations])
    for configuration, identifier in zip(configurations, identifiers, strict=True):
        print("\n" + "\n  ".join(summary(configuration, Path(arguments.output), identifier)))


def summary(configuration: Configuration, assembly: Path, identifier: str) -> Iterator[str]:
    """Yield the lines about one stack."""
    target = configuration.target
    template = assembly / f"{identifier}.template.json"
    resources = resources_of(ROOT / template)
    cost = cost_of(resources, configuration)

    names = [database.identifier for database in configuration.databases]
    databases = "1 database" if len(names) == 1 else f"{len(names)} databases"
    price = (
        f"about {cost.month:.0f} dollars per month: {total(cost.per_database):.2f} per database, "
        f"{total(cost.shared):.2f} for the rest"
    )
    if cost.proxies:
        price += f", at least {cost.proxies:.0f} for the RDS Proxies that it creates"
    yield f"{target.stack_name} guards {databases} in {target.region}: {', '.join(names)}"
    yield (
        f"{len(resources):,} of the {RESOURCES_OF_DEPLOYMENT:,} resources that CloudFormation "
        "deploys at once"
    )
    yield f"{price}: `make cost` has it item by item"
    yield f"template: {template}"
    if len(names) <= MOST_BOOTSTRAP_COMMANDS:
        for database in configuration.databases:
            yield f"the roles on {database.identifier}: {bootstrap_command(database)}"
    yield from budget_lines(configuration)


def budget_lines(configuration: Configuration) -> Iterator[str]:
    """Yield a line for each database whose services guard.toml declares: whether their pools fit.

    They are a warning: `connection-guard budget` is the gate, and knows more than is declared.
    """
    services = assigned(with_declarations((), configuration.services), {}, {})
    for database in configuration.databases:
        own = tuple(each for each in services if each.database == database.identifier)
        if own:
            budget = PoolBudget(
                database.identifier, database.max_connections.usable, DEFAULT_SHARE, own
            )
            is_warning = budget.over or budget.unknown
            yield (
                f"{'warning: ' if is_warning else ''}{database.identifier}: {budget.in_words()}"
                f"{'; see `connection-guard budget`' if is_warning else ''}"
            )


if __name__ == "__main__":
    main()
