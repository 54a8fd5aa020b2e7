"""What the guard's role lacks, and the statement that mends it."""

import pytest

from connection_guard.adapters.postgresql.grants import missing_grants, shortcomings
from connection_guard.core.database.snapshot import Privileges
from tests.support.builders import a_capacity, a_measurement


def privileges(
    *, reads: bool = True, signals: bool = True, reserve: bool | None = True
) -> Privileges:
    return Privileges(reads, signals, reserve)


@pytest.mark.parametrize(
    ("held", "grants"),
    [
        (privileges(), ()),
        (privileges(reads=False), ('GRANT pg_read_all_stats TO "connection_guard";',)),
        (privileges(signals=False), ('GRANT pg_signal_backend TO "connection_guard";',)),
    ],
)
def test_a_missing_privilege_comes_with_its_grant(
    held: Privileges, grants: tuple[str, ...]
) -> None:
    assert missing_grants(a_measurement(privileges=held)) == grants


RESERVE = "set reserved_connections to 2 or more in the parameter group, and reboot."
MAY_USE_IT = 'GRANT pg_use_reserved_connections TO "connection_guard";'


@pytest.mark.parametrize(
    ("reserve", "may_use_it", "said"),
    [
        (3, True, ()),
        (0, True, (RESERVE,)),
        (3, False, (MAY_USE_IT,)),
        (0, False, (MAY_USE_IT, RESERVE)),
        (0, None, ()),
    ],
)
def test_a_second_door_that_would_be_shut_in_the_outage_is_reported_before(
    reserve: int, may_use_it: bool | None, said: tuple[str, ...]
) -> None:
    measurement = a_measurement(
        capacity=a_capacity(reserved=reserve), privileges=privileges(reserve=may_use_it)
    )
    assert shortcomings(measurement) == said
