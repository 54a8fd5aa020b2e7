"""A role's timeout in PostgreSQL's words."""

from datetime import timedelta

import pytest

from connection_guard.adapters.postgresql.role_timeouts import has_timeout, set_timeout
from connection_guard.core.replay.gaps import GapKind


@pytest.mark.parametrize(
    ("role", "kind", "seconds", "statement"),
    [
        (
            "orders",
            GapKind.IDLE_IN_TRANSACTION,
            90,
            "ALTER ROLE \"orders\" SET idle_in_transaction_session_timeout = '90s';",
        ),
        ('o"r', GapKind.IDLE, 900, 'ALTER ROLE "o""r" SET idle_session_timeout = \'15min\';'),
        ("a", GapKind.TRANSACTION, 7200, "ALTER ROLE \"a\" SET transaction_timeout = '2h';"),
    ],
)
def test_the_statement_can_be_run_as_it_is(
    role: str, kind: GapKind, seconds: int, statement: str
) -> None:
    assert set_timeout(role, kind, timedelta(seconds=seconds)) == statement


def test_only_later_servers_limit_transactions() -> None:
    assert not has_timeout(GapKind.TRANSACTION, "16.4")
    assert has_timeout(GapKind.TRANSACTION, "17.0")
    assert not has_timeout(GapKind.TRANSACTION, "?")
    assert has_timeout(GapKind.IDLE, "14.1")
