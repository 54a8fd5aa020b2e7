"""What is said of databases that are in the file, and not in AWS."""

import pytest

from connection_guard.cli.discover.account.discovered import LeftOut
from connection_guard.cli.discover.file_findings import estimates_of, findings_of_file
from connection_guard.cli.discover.merge_tables import TableOfFile
from connection_guard.cli.discover.wanted_tables import WantedTable
from tests.unit.cli.discover.rds_answers import a_found_instance

MEMBER = LeftOut("instance", "payments-1", 'instance of cluster "payments"', is_of_cluster=True)
REPLICA = LeftOut("instance", "copy", 'read replica of "orders"')


def problems(**says: str) -> list[str]:
    tables = [TableOfFile(says, [1])]
    found = findings_of_file(tables, [a_found_instance()], [MEMBER, REPLICA])
    return [each.problem for each in found]


@pytest.mark.parametrize(
    "says",
    [
        {"instance": "orders"},
        {"instance": "ORDERS"},
        {"instance": "renamed", "resource_id": "db-ORDERS"},
        {"instance": "payments-1"},  # a person may guard an instance of Aurora
        {},
    ],
)
def test_nothing_is_said_of_a_database_that_is_there(says: dict[str, str]) -> None:
    assert not problems(**says)


def test_a_database_that_is_gone_is_named() -> None:
    assert problems(instance="books") == [
        "it is in the file, but no longer in AWS; its table is kept"
    ]
    assert problems(cluster="orders") == problems(instance="books")


def test_a_database_that_became_a_replica_is_named() -> None:
    [problem] = problems(instance="copy")

    assert 'cannot be guarded (read replica of "orders")' in problem


def test_an_estimate_needs_to_know_the_parameter_group() -> None:
    known = WantedTable(
        "instance", "a", {"instance_class": "db.m7g.large", "max_connections": 100}, ()
    )
    unknown = WantedTable("instance", "b", {"instance_class": "db.m7g.large"}, ())

    assert estimates_of([known, unknown]) == {"a": 91}
