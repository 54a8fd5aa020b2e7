"""Builders of whole runs: plausible ones for stories, and arbitrary ones for what must hold for
every database.
"""

from dataclasses import fields
from datetime import UTC, timedelta
from random import Random
from typing import Any, TypeVar

from hypothesis import strategies as st

from connection_guard.core.database.capacity import ConnectionLimit, LimitOwner
from connection_guard.core.database.door import DoorAttempt, DoorName
from connection_guard.core.database.pause import Pause
from connection_guard.core.database.session import Pool, Session, SessionState
from connection_guard.core.database.snapshot import Measurement, Privileges, Server, Snapshot
from connection_guard.core.decision.outcome import Outcome, Reconnection, Result
from connection_guard.core.decision.plan import Plan, Verdict
from connection_guard.core.decision.reason import Reason, ReasonCode
from connection_guard.core.decision.restraint import Restraint
from connection_guard.core.decision.round import Round
from connection_guard.core.deployment.events import AlarmNotification, AlarmState, Heartbeat
from connection_guard.core.diagnosis.case import Diagnosis
from connection_guard.core.diagnosis.cause import Cause
from connection_guard.core.policy import Action, Tier
from connection_guard.core.report.kind import Kind
from connection_guard.core.report.run import Run
from tests.support.builders import NOW, a_capacity, a_session, a_snapshot

T = TypeVar("T")


def an_alarm(
    *, state: AlarmState = AlarmState.ALARM, reason: str = "Threshold Crossed"
) -> AlarmNotification:
    """Return the critical alarm of the database orders-prod."""
    name = "orders-prod-connections-critical"
    arn = f"arn:aws:cloudwatch:eu-central-1:123456789012:alarm:{name}"
    return AlarmNotification(arn, name, Tier.CRITICAL, state, NOW - timedelta(seconds=4), reason)


def a_run(kind: Kind, **changes: Any) -> Run:
    """Return a run on the database orders-prod, for a heartbeat where the kind is one, else for the
    critical alarm.
    """
    event = Heartbeat(NOW) if kind is Kind.HEARTBEAT else an_alarm()
    facts: dict[str, Any] = {
        "kind": kind,
        "database": "orders-prod",
        "event": event,
        "received_at": NOW,
    }
    of_round = {each.name: changes.pop(each.name) for each in fields(Round) if each.name in changes}
    if of_round:
        facts["round"] = Round(**of_round)
    return Run(**(facts | changes))


def a_plan(snapshot: Snapshot, *, terminate: int, restraint: Restraint | None = None) -> Plan:
    """Return a plan by which the first `terminate` sessions go and the others are spared."""
    verdicts = tuple(
        Verdict(session, Action.TERMINATE, "forgotten", idle_for(timedelta(minutes=place)))
        if place < terminate
        else Verdict(session, Action.SPARE, "no rule", Reason(ReasonCode.NO_RULE))
        for place, session in enumerate(snapshot.sessions)
    )
    is_cleared = restraint is Restraint.NOT_AN_ALARM
    paused = Reason(ReasonCode.PAUSED, {"pause": Pause()})
    reason = Reason(ReasonCode.ALARM_CLEARED) if is_cleared else paused
    return Plan(verdicts, restraint, reason)


def idle_for(time: timedelta) -> Reason:
    """Return the reason of a rule that goes by the time in which a session was idle."""
    return Reason(ReasonCode.IN_STATE, {"state": "idle", "time": time})


def a_remediation(
    *sessions: Session,
    terminate: int,
    results: tuple[Result, ...] = (),
    usable: int = 97,
    **changes: Any,
) -> Run:
    """Return a run that tried to terminate the first of these sessions; `results` are those of the
    first, and the others were terminated.
    """
    before = a_snapshot(*sessions, usable=usable)
    plan = a_plan(before, terminate=terminate)
    known = (*results, *[Result.TERMINATED] * terminate)
    outcomes = tuple(
        Outcome(verdict, result) for verdict, result in zip(plan.chosen, known, strict=False)
    )
    facts = {
        "measurement": before.measurement,
        "before": before,
        "plan": plan,
        "outcomes": outcomes,
    }
    return a_run(Kind.REMEDIATION, **(facts | changes))


def a_crowd(count: int) -> tuple[Session, ...]:
    """Return sessions as in a large installation: 40 applications, 60 clients, 200 statements."""
    random = Random(count)  # noqa: S311 - the same crowd every time
    pids = random.sample(range(300, 65_536), count)
    applications = [(f"app{n % 12}", f"service-{n}", f"shop{n % 5}") for n in range(40)]
    queries = [_a_query(random, n) for n in range(200)]
    states = [SessionState.IDLE] * 6 + [SessionState.ACTIVE, SessionState.IDLE_IN_TRANSACTION]

    def ago(longest: timedelta) -> timedelta:
        return timedelta(microseconds=int(longest.total_seconds() * 1e6 * random.random() ** 2))

    def session(pid: int) -> Session:
        role, application, database = random.choice(applications)
        state = random.choice(states)
        idle_for = ago(timedelta(hours=1))
        waits = (
            ("Client", "ClientRead") if state is not SessionState.ACTIVE else ("IO", "DataFileRead")
        )
        return a_session(
            pid=pid,
            state=state,
            idle_for=idle_for,
            connected_for=idle_for + ago(timedelta(hours=8)),
            role=role,
            application=application,
            database=database,
            client=f"10.0.{random.randrange(3)}.{random.randrange(20)}",
            query=random.choice(queries),
            wait_event_type=waits[0],
            wait_event=waits[1],
        )

    return tuple(session(pid) for pid in pids)


def _a_query(random: Random, n: int) -> str:
    columns = ", ".join(
        f'"t{n}"."column_{random.randrange(1000)}"' for _ in range(random.randrange(3, 25))
    )
    condition = f'"t{n}"."id" = $1 AND "t{n}"."x" IN (?)'
    return f'SELECT {columns} FROM "schema_{n % 7}"."table_{n}" AS "t{n}" WHERE {condition}'


# What clients may call themselves: anything but NUL, in 63 bytes.
_CHARACTERS = st.one_of(
    st.sampled_from('a \x01\n"\\\x7fé😀'),
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]),
)
_NAMES = st.text(_CHARACTERS, max_size=63).map(
    lambda name: name.encode()[:63].decode(errors="ignore")
)
_TEXTS = st.builds(lambda text, times: text * times, _NAMES, st.sampled_from([1, 1, 2000]))
_TIMES = st.datetimes(NOW.replace(tzinfo=None), timezones=st.just(UTC))
_COUNTS = st.integers(0, 100_000)
_SECONDS = st.floats(0, 900)


def _many(items: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[T, ...]]:
    """Return no item, a few, or hundreds (a few over and over)."""
    return st.builds(
        lambda few, times: tuple(few) * times,
        st.lists(items, max_size=3),
        st.sampled_from([1, 1, 300]),
    )


_SESSIONS = st.builds(
    Session,
    pid=st.integers(1, 4_194_304),
    backend_start=_TIMES,
    role=_NAMES,
    database=_NAMES,
    application_name=_NAMES,
    client_address=st.sampled_from(["", "10.0.0.1", "2001:db8::1"]),
    state=st.none() | st.sampled_from(SessionState),
    state_change=st.none() | _TIMES,
    transaction_start=st.none() | _TIMES,
    query_start=st.none() | _TIMES,
    wait_event_type=st.none() | st.just("Lock"),
    wait_event=st.none() | st.just("transactionid"),
    query=_TEXTS.map(lambda text: text[:1000]),
    is_superuser=st.booleans(),
    is_listening=st.booleans(),
    holds_advisory_lock=st.booleans(),
    is_owned_by_proxy=st.booleans(),
    blocked_by=st.lists(st.integers(0, 4_194_304), max_size=10).map(tuple),
)
_PAUSES = st.builds(Pause, st.none() | _TIMES, _TEXTS)
# Every figure that any sentence has.
_REASONS = st.builds(
    Reason,
    st.sampled_from(ReasonCode),
    st.fixed_dictionaries(
        dict.fromkeys(("state", "tier", "role", "statements", "error", "remedy"), _TEXTS)
        | {name: st.floats(0, 200) for name in ("target", "limit", "share", "percent")}
        | dict.fromkeys(("used", "usable", "chosen", "candidates", "sessions", "most"), _COUNTS)
        | dict.fromkeys(("pid", "attempts"), _COUNTS)
        | {"time": st.timedeltas(timedelta(), timedelta(days=900)), "pause": _PAUSES}
    ),
)
_VERDICTS = st.builds(Verdict, _SESSIONS, st.sampled_from(Action), _TEXTS, _REASONS)
_MEASUREMENTS = st.builds(
    Measurement,
    taken_at=_TIMES,
    server=st.builds(
        Server,
        address=st.sampled_from(["", "10.0.0.5"]),
        port=st.integers(0, 65_535),
        started_at=_TIMES,
        version=st.sampled_from(["14.0", "16.10", "18.4"]),
        database=_NAMES,
        is_in_recovery=st.booleans(),
    ),
    role=_NAMES,
    privileges=st.builds(Privileges),
    capacity=st.builds(
        a_capacity,
        _COUNTS,
        superuser=_COUNTS,
        reserved=_COUNTS,
        rds_superuser=_COUNTS,
        rds=_COUNTS,
    ),
    used=_COUNTS,
    sessions_by_state=st.dictionaries(st.sampled_from([*SessionState, "hidden"]), _COUNTS),
    oldest_idle_in_transaction=st.timedeltas(timedelta(), timedelta(days=900)),
    limits=_many(st.builds(ConnectionLimit, st.sampled_from(LimitOwner), _NAMES, _COUNTS, _COUNTS)),
    pause=st.none() | _PAUSES,
    other_backends=st.dictionaries(_NAMES, _COUNTS, max_size=5),
)


@st.composite
def _rounds(draw: st.DrawFn) -> Round:
    """Draw sessions, verdicts on them, and the outcomes of those that were chosen, if any."""
    verdicts = draw(_many(_VERDICTS))
    measurement = draw(_MEASUREMENTS)
    snapshot = Snapshot(
        measurement, measurement.taken_at, tuple(verdict.session for verdict in verdicts)
    )
    plan = Plan(verdicts, draw(st.none() | st.sampled_from(Restraint)), draw(_REASONS))
    results = draw(st.lists(st.sampled_from(Result), min_size=1, max_size=7))
    outcomes = tuple(
        Outcome(verdict, results[n % len(results)]) for n, verdict in enumerate(plan.chosen)
    )
    pools = st.builds(Pool, _NAMES, _NAMES, st.just("10.0.0.1"))
    return Round(
        snapshot,
        plan,
        () if plan.restraint else outcomes,
        draw(st.none() | _MEASUREMENTS),
        draw(_many(st.builds(Reconnection, pools, _COUNTS, _COUNTS))),
    )


@st.composite
def any_runs(draw: st.DrawFn) -> Run:
    """Draw any run that a database, its clients and CloudWatch can cause, and many that they
    cannot.
    """
    alarm_text = _TEXTS | st.just("\ud800")  # JSON can spell half a character
    return Run(
        kind=draw(st.sampled_from(Kind)),
        database=draw(st.sampled_from(["orders-prod", "d" * 63])),
        event=draw(
            st.builds(Heartbeat, _TIMES)
            | st.builds(
                AlarmNotification,
                *(alarm_text, alarm_text),
                st.sampled_from(Tier),
                st.sampled_from(AlarmState),
                _TIMES,
                alarm_text,
            )
        ),
        received_at=NOW,
        is_duplicate=draw(st.booleans()),
        is_stale=draw(st.booleans()),
        target_percent=draw(st.none() | st.floats(0, 100)),
        tier=draw(st.none() | st.sampled_from(Tier)),
        attempt=draw(st.integers(0, 5)),
        engaged=draw(st.booleans()),
        recovered=draw(st.booleans()),
        escalation=draw(st.none() | _REASONS),
        doors=draw(
            _many(
                st.builds(
                    DoorAttempt,
                    st.sampled_from(DoorName),
                    st.booleans(),
                    _COUNTS,
                    _SECONDS,
                    st.none() | _TEXTS,
                )
            )
        ),
        reconnected=draw(st.integers(0, 2)),
        seat_held=draw(st.booleans()),
        measurement=draw(st.none() | _MEASUREMENTS),
        minutes_to_full=draw(st.none() | st.floats(0, 60)),
        round=draw(st.none() | _rounds()),
        diagnoses=draw(
            _many(
                st.builds(
                    Diagnosis,
                    *(st.sampled_from(Cause), _COUNTS, st.none() | _TIMES, _TEXTS),
                    st.dictionaries(_TEXTS, _TEXTS | _COUNTS | _SECONDS, max_size=3),
                    st.tuples(_TEXTS),
                )
            )
        ),
        problems=draw(_many(_REASONS)),
        seconds=draw(
            st.dictionaries(
                st.sampled_from(["connect", "turn", "gather", "decide", "act", "verify"]), _SECONDS
            )
        ),
    )
