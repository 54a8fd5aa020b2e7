"""Sessions as the causes of a diagnosis show them, and what a test reads of a diagnosis."""

from dataclasses import replace
from datetime import timedelta

from connection_guard.adapters.postgresql.remedies import statement
from connection_guard.adapters.postgresql.rows.statements import last_use
from connection_guard.core.database.session import Session, SessionState
from connection_guard.core.diagnosis.case import Diagnosis
from connection_guard.core.diagnosis.cause import Cause
from connection_guard.core.diagnosis.remedy import worded_advice
from tests.support.builders import a_session

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def leaked(
    count: int, *, client: str = "10.0.1.10", application: str = "checkout"
) -> list[Session]:
    """Return sessions that were opened and forgotten, one every four minutes."""
    return [
        a_session(
            idle_for=10 * MINUTE + 4 * n * MINUTE,
            connected_for=11 * MINUTE + 4 * n * MINUTE,
            client=client,
            application=application,
        )
        for n in range(count)
    ]


def idle_pool(
    size: int,
    *,
    client: str,
    application: str = "checkout",
    role: str = "app",
    idle_for: timedelta = MINUTE,
) -> list[Session]:
    """Return a pool that was filled at its start an hour ago."""
    return [
        a_session(
            client=client, application=application, role=role, idle_for=idle_for, connected_for=HOUR
        )
        for _ in range(size)
    ]


def working(
    count: int, *, client: str = "10.0.7.7", connected_for: timedelta = HOUR
) -> list[Session]:
    """Return sessions of a busy application, each a second into its query."""
    return [
        a_session(
            state=SessionState.ACTIVE,
            idle_for=SECOND,
            connected_for=connected_for,
            client=client,
            application="search",
            role="search",
            query="SELECT ? FROM products",
            wait_event_type="IO",
            wait_event="DataFileRead",
        )
        for _ in range(count)
    ]


def waiting(count: int, *, behind: int) -> list[Session]:
    """Return a star: everyone waits for the same pid."""
    return [waiter(behind) for _ in range(count)]


def waiter(behind: int, *, pid: int | None = None) -> Session:
    return a_session(
        pid=pid,
        state=SessionState.ACTIVE,
        idle_for=3 * MINUTE,
        wait_event_type="Lock",
        wait_event="transactionid",
        blocked_by=(behind,),
    )


def forgotten_transaction(pid: int | None = None, **changes: object) -> Session:
    facts: dict[str, object] = {
        "state": SessionState.IDLE_IN_TRANSACTION,
        "idle_for": 12 * MINUTE,
        "application": "jobs",
    }
    return a_session(pid=pid, **(facts | changes))  # type: ignore[arg-type]


def the_only(diagnoses: tuple[Diagnosis, ...]) -> Diagnosis:
    assert len(diagnoses) == 1, [diagnosis.summary for diagnosis in diagnoses]
    return diagnoses[0]


def causes(diagnoses: tuple[Diagnosis, ...]) -> list[Cause]:
    return [diagnosis.cause for diagnosis in diagnoses]


def advice_of(diagnosis: Diagnosis) -> str:
    """Return the advice as a Report has it."""
    return worded_advice(diagnosis.advice, statement)


def after_statement(query: str, sessions: list[Session]) -> list[Session]:
    """Return the same sessions with another last statement."""
    return [replace(session, query=query, last_use=last_use(query)) for session in sessions]
