"""Real client libraries beside the responder with the shipped policy: `make clients`."""

import argparse
import sys
import time

from clients import findings_table as table
from clients.lab.lab_errors import LabError
from clients.lab.libraries import LIBRARIES, SHORT, SPECIAL
from clients.lab.turned_server import library
from clients.measured_rows import Task, measured
from clients.scenarios import SCENARIOS

VERSIONS = (14, 18)


def tasks(arguments: argparse.Namespace) -> list[Task]:
    """Return the rows that were asked for, scenario by scenario."""
    clients = arguments.client or (SHORT if arguments.short else [each.name for each in LIBRARIES])
    versions = arguments.version or (VERSIONS[-1:] if arguments.short else VERSIONS)
    return [
        Task(scenario.name, client, version)
        for scenario in SCENARIOS
        if not arguments.scenario or scenario.name in arguments.scenario
        for version in versions
        for client in (clients if scenario.has_library else [SPECIAL.name])
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="make clients", description=__doc__)
    parser.add_argument(
        "--short", action="store_true", help="four libraries, on the newest PostgreSQL"
    )
    parser.add_argument(
        "--client",
        action="append",
        help="only this library; may be repeated",
        choices=[each.name for each in LIBRARIES],
        metavar="CLIENT",
    )
    parser.add_argument(
        "--scenario",
        action="append",
        help="only this scenario; may be repeated",
        choices=[each.name for each in SCENARIOS],
        metavar="SCENARIO",
    )
    parser.add_argument("--version", action="append", type=int, choices=VERSIONS)
    parser.add_argument("--at-once", type=int, default=4, help="how many rows are measured at once")
    parser.add_argument(
        "--readme", action="store_true", help=f"write the table in {table.PAGE.name} again"
    )
    arguments = parser.parse_args()

    started = time.monotonic()
    try:
        library()
        rows = []
        for row in measured(tasks(arguments), arguments.at_once):
            rows.append(row)
            table.show_row(row)
    except LabError as error:
        sys.exit(f"make clients: {error}")
    order = {task: place for place, task in enumerate(tasks(arguments))}
    rows.sort(key=lambda row: order[Task(row.scenario, row.client, row.version)])
    if sys.stdout.isatty():
        table.show(rows, time.monotonic() - started)
    if arguments.readme:
        table.write_page(rows)
    # The short form is the one that has to be complete: what is not installed proves nothing.
    sys.exit(
        0 if all(row.holds and not (arguments.short and row.is_unavailable) for row in rows) else 1
    )


if __name__ == "__main__":
    main()
