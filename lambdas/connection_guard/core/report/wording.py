"""The words of every reason: one sentence per code."""

from collections.abc import Mapping
from datetime import timedelta

from connection_guard.core.database.pause import Pause
from connection_guard.core.decision.reason import Figure, Reason, ReasonCode
from connection_guard.core.words import connections_in_use, shown, spelled

NOTE_MOST = 120

_SENTENCES: Mapping[ReasonCode, str] = {
    ReasonCode.GUARDS_OWN: "the guard's own session",
    ReasonCode.AMAZONS_OWN: "a session of Amazon RDS itself",
    ReasonCode.SUPERUSERS: "a superuser's session",
    ReasonCode.STATE_UNKNOWN: "its state is not known",
    ReasonCode.PROXYS_POOL: (
        "in RDS Proxy's own pool: the proxy would reopen it, and resets its idle time"
    ),
    ReasonCode.ROLE_DROPPED: "its role was dropped, so it may have been a protected one",
    ReasonCode.ROLE_PROTECTED: "its role is protected",
    ReasonCode.DATABASE_PROTECTED: "its database is protected",
    ReasonCode.APPLICATION_PROTECTED: "its application is protected",
    ReasonCode.CLIENT_PROTECTED: "its client is protected",
    ReasonCode.HOLDS_ADVISORY_LOCK: "it holds an advisory lock",
    ReasonCode.LISTENS: "its last statement was LISTEN",
    ReasonCode.IN_STATE: "{state} for {time}",
    ReasonCode.ONE_OF_POOL: "{state} for {time}, one of {candidates} in its pool",
    ReasonCode.NO_RULE: "no rule matched",
    ReasonCode.POOL_REOPENS: (
        "its pool reopened what was terminated; terminating more would free nothing"
    ),
    ReasonCode.RECENTLY_USED: "among the most recently used of its pool",
    ReasonCode.ENOUGH_OTHERS: "enough others come before it; larger pools go first",
    ReasonCode.RUN_SHARE_USED: "this run's share is used up",
    ReasonCode.HOUR_SHARE_USED: "this hour's share is used up",
    ReasonCode.TO_BE_TERMINATED: (
        "{chosen} of {candidates} candidates are to be terminated, {in_use}"
    ),
    ReasonCode.ALARM_CLEARED: "alarm cleared; no action needed",
    ReasonCode.ALARM_WITHOUT_DATA: "the alarm has no data; no action needed",
    ReasonCode.BELOW_TARGET: "{in_use}, already below the target of {target:g} %",
    ReasonCode.ONLY_OBSERVES: "the policy only observes at {tier}",
    ReasonCode.PAUSED: "{pause}: role connection_guard_paused is granted to the guard's role",
    ReasonCode.LOGIN_REFUSED: (
        "{in_use}, but a login was refused: terminating sessions would not help"
    ),
    ReasonCode.POOLS_REOPEN: (
        "{in_use}, and the pools of {sessions} of them reopen what is terminated: terminating "
        "more would free nothing"
    ),
    ReasonCode.NO_CANDIDATE: (
        "{in_use}, and the policy does not allow any of them to be terminated"
    ),
    ReasonCode.HOURLY_CAP: "limits.most_per_hour: {most} were terminated within the last hour",
    ReasonCode.TOO_MANY: (
        "the plan would terminate {chosen} of {sessions} sessions ({share:.0f} %): "
        "limits.refuse_above is {limit:g} %"
    ),
    ReasonCode.ANOTHER_RUN: (
        "another run of the guard (pid {pid}) is working on this database and did not finish in "
        "time"
    ),
    ReasonCode.NO_DOOR_OPENED: (
        "no door opened: log in as the master user, for whom Amazon RDS reserves connections, and "
        "end idle sessions by hand"
    ),
    ReasonCode.NOT_THE_WRITER: (
        "the endpoint in guard.toml leads to a standby or reader, and the guard works only on the "
        "writer: unless a failover is under way, name the writer's endpoint (of a cluster, the "
        "cluster endpoint) and deploy again"
    ),
    ReasonCode.MISSING_PRIVILEGE: (
        "the guard's role lacks a privilege; run, as the master user: {statements}"
    ),
    ReasonCode.DATABASE_LOST: "the connection to the database was lost",
    ReasonCode.ATTEMPTS_USED: "still at {percent:.0f} % after {attempts} attempts",
    ReasonCode.REFUSED_WHILE_FULL: (
        "the server is full and refused a login for this alarm; the next heartbeat goes on, or "
        "says that the guard is locked out"
    ),
    ReasonCode.LOST_BEFORE_ACTING: (
        "the connection to the database was lost before anything was done: {error}"
    ),
    ReasonCode.LOCK_TAKEN_BY_OTHERS: (
        "role {role} (pid {pid}) holds the guard's own advisory lock: two runs may act at once; "
        "release it"
    ),
    ReasonCode.SECOND_DOOR_SHUT: "the second door would stay shut on a full database: {remedy}",
    ReasonCode.DEADLINE_NEAR: "stopped early: the function's deadline is near",
    ReasonCode.ENOUGH_FREED: "stopped early: {used} sessions are in use, below the target",
    ReasonCode.LOST_WHILE_TERMINATING: (
        "stopped early: the connection to the database was lost: {error}"
    ),
    ReasonCode.NOT_VERIFIED: "the result could not be verified: {error}",
    ReasonCode.SERVER_CHANGED: (
        "afterwards another server answered, or the same one after a restart: it is not known what "
        "was terminated"
    ),
    ReasonCode.NOT_REMEMBERED: (
        "this run may be forgotten if another execution environment serves the next one: {error}"
    ),
}


def worded(reason: Reason) -> str:
    """Return the reason as a sentence, or the end of one; names in it are as clients wrote them."""
    figures = {name: _shown(figure) for name, figure in reason.figures.items()}
    match reason.figures:
        case {"used": int(used), "usable": int(usable)}:
            figures["in_use"] = connections_in_use(used, usable)
    return _SENTENCES[reason.code].format_map(figures)


def pause_in_words(pause: Pause) -> str:
    """Return that the guard is paused, until when, by whom and why, on one line."""
    note = shown(pause.note, NOTE_MOST)
    return f"{pause_until(pause)} ({note})" if note else pause_until(pause)


def pause_until(pause: Pause) -> str:
    """Return that the guard is paused, and until when."""
    return "paused" if pause.until is None else f"paused until {pause.until:%Y-%m-%d %H:%M} UTC"


def _shown(figure: Figure) -> str | int | float:
    match figure:
        case timedelta():
            return spelled(figure)
        case Pause():
            return pause_in_words(figure)
    return figure
