"""One run of the past, rebuilt from its report and its evidence, as `decide` needs it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from ipaddress import ip_address
from lzma import LZMAError
from typing import Any

from connection_guard.core.database.capacity import Capacity
from connection_guard.core.database.pause import Pause
from connection_guard.core.database.session import Pool, Session
from connection_guard.core.database.snapshot import Measurement, Privileges, Server, Snapshot
from connection_guard.core.decision.decide import POOL_REOPENS
from connection_guard.core.decision.outcome import Result
from connection_guard.core.decision.restraint import Restraint
from connection_guard.core.policy import Tier
from connection_guard.core.replay.stored_lines import read_lines
from connection_guard.core.report.evidence_format import (
    Evidence,
    SessionEvidence,
    unpack_evidence,
)
from connection_guard.core.report.report import REPORT_SCHEMA_VERSION

# With these no policy was applied.
_UNDECIDED = frozenset({Restraint.NOT_AN_ALARM, Restraint.ANOTHER_RUN})
_SIGNALLED = (Result.TERMINATED, Result.SURVIVED, Result.UNKNOWN)


@dataclass(frozen=True, slots=True)
class PastRun:
    """What a run saw, decided and did.

    `sessions` are in the order of the snapshot's. `omitted` sessions found no room in the evidence:
    they count as used, and nothing else is known of them. `signalled` sessions count against the
    hour's share. Of the pools that reopen what they lose, the run knew those that are
    `known_to_reopen`, and saw the `reopening` ones. `is_eased` says that usage was below the target
    at the end.
    """

    database: str
    tier: Tier | None
    restraint: Restraint | None
    snapshot: Snapshot
    sessions: tuple[SessionEvidence, ...]
    omitted: int
    signalled: int
    known_to_reopen: frozenset[Pool]
    reopening: frozenset[Pool]
    is_eased: bool

    @property
    def is_decided(self) -> bool:
        """Whether a policy was applied to the sessions: not where the alarm had cleared, or another
        run had the turn.
        """
        return self.restraint not in _UNDECIDED


def past_run(
    report: object, lines: str | None, amazon_roles: Collection[str] = ()
) -> PastRun | None:
    """Return the run that a report and its evidence describe, None where it did not look at the
    sessions.

    `lines` are the stored evidence, None where the report itself carries it. Evidence does not say
    which sessions are Amazon's own: those of `amazon_roles` are. Raise ValueError with what is
    wrong with them.
    """
    if not isinstance(report, Mapping) or not {"schema_version", "kind", "evidence"} <= set(report):
        raise ValueError("it is not a report of Connection Guard")
    if report["schema_version"] != REPORT_SCHEMA_VERSION:
        raise ValueError(
            f"it is a report of version {report['schema_version']!r}, and this command reads "
            f"version {REPORT_SCHEMA_VERSION}: use the command of the guard that wrote it"
        )
    if report["evidence"] is None:
        return None
    try:
        return _run(report, _evidence(report, lines), amazon_roles)
    except _NoRunError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as wrong:
        raise ValueError(f"it is damaged ({type(wrong).__name__}: {wrong})") from wrong


class _NoRunError(ValueError):
    """What is wrong is known, and worded."""


def _evidence(report: Mapping[str, Any], lines: str | None) -> Evidence:
    packed = report["evidence"]
    if lines is None:
        try:
            return unpack_evidence(packed)
        except (LZMAError, EOFError) as wrong:
            raise _NoRunError(f"its evidence is damaged or truncated ({wrong})") from wrong
    evidence = read_lines(
        lines, datetime.fromisoformat(report["before"]["taken_at"]), packed["omitted"]
    )
    if len(evidence.sessions) != packed["sessions"]:
        raise _NoRunError(
            f"its evidence is truncated: {len(evidence.sessions)} of {packed['sessions']} sessions"
        )
    return evidence


def _run(report: Mapping[str, Any], evidence: Evidence, amazon_roles: Collection[str]) -> PastRun:
    restraint = None if report["restraint"] is None else Restraint(report["restraint"])
    sessions = tuple(_checked(each, amazon_roles) for each in evidence.sessions)
    reopening = {
        Pool(row["role"], row["application"], row["client"])
        for row in report["reconnections"]
        if row["reopens"]
    }
    latest, target = report["after"] or report["before"], report["target_percent"]
    return PastRun(
        database=str(report["database"]),
        tier=None if report["tier"] is None else Tier(report["tier"]),
        restraint=restraint,
        snapshot=_snapshot(report, evidence, tuple(each.session for each in sessions), restraint),
        sessions=sessions,
        omitted=int(evidence.omitted),
        signalled=sum(int(report["outcomes"][result]) for result in _SIGNALLED),
        known_to_reopen=frozenset(
            each.session.pool for each in sessions if each.rule == POOL_REOPENS
        ),
        reopening=frozenset(reopening),
        is_eased=target is not None and latest["utilisation"] < target,
    )


def _snapshot(
    report: Mapping[str, Any],
    evidence: Evidence,
    sessions: tuple[Session, ...],
    restraint: Restraint | None,
) -> Snapshot:
    """Return what the run saw. Of its privileges a report shows only that the guard was paused."""
    before, server = report["before"], report["server"]
    taken_at = evidence.taken_at
    if taken_at.tzinfo is None:
        raise ValueError(f"{taken_at} has no time zone")
    # What no session shows: logins in progress, and sessions that the evidence had no room for.
    others = int(before["used"]) - len(sessions)
    if others < 0:
        raise ValueError(f"{len(sessions)} sessions, but {before['used']} connections in use")
    measurement = Measurement(
        taken_at=taken_at,
        server=Server(
            address=str(server["address"]),
            port=int(server["port"]),
            started_at=datetime.fromisoformat(server["started_at"]),
            version=str(server["version"]),
            database="",
            is_in_recovery=False,
        ),
        role="",
        privileges=Privileges(
            reads_all_stats=True,
            signals_sessions=True,
            uses_reserved_connections=None,
        ),
        pause=Pause() if restraint is Restraint.PAUSED else None,
        capacity=Capacity(int(before["usable"]), {}),
        used=int(before["used"]),
        sessions_by_state={},
        oldest_idle_in_transaction=timedelta(),
        limits=(),
        other_backends={},
        logins_in_progress=others,
        refused_a_login=bool(before["refused_a_login"]),
    )
    return Snapshot(measurement, taken_at, sessions)


def _checked(each: SessionEvidence, amazon_roles: Collection[str]) -> SessionEvidence:
    """Return the session with what evidence does not say. Raise ValueError or TypeError where it is
    none that the guard has seen: what is damaged must not be judged.
    """
    session = each.session
    texts = session.role, session.database, session.application_name, session.query
    decided = each.action or "", each.rule or "", each.result or ""
    if not isinstance(session.pid, int) or not all(
        isinstance(text, str) for text in (*texts, *decided)
    ):
        raise TypeError(f"pid {session.pid!r} is not a session")
    if session.client_address:
        ip_address(session.client_address)
    times = (
        session.backend_start,
        session.state_change,
        session.transaction_start,
        session.query_start,
    )
    if session.backend_start is None or any(time and time.tzinfo is None for time in times):
        raise ValueError(f"the session with pid {session.pid} has no time, or one without a zone")
    is_owned_by_amazon = session.role in amazon_roles
    return replace(each, session=replace(session, is_owned_by_amazon=is_owned_by_amazon))
