"""Detects pools that are larger than the server, or that reopen what was terminated.

A pool is what the database shows of one: a role, an application and a client's address. Several
processes behind one address look like one pool, so sizes are advised for all of them together.
"""

from collections.abc import Iterator

from connection_guard.core.database.capacity import LimitOwner
from connection_guard.core.decision.outcome import reopening_applications
from connection_guard.core.diagnosis.application import (
    Application,
    application_of,
    at_address,
    clients,
    oldest_state_change,
    pools_by_application,
)
from connection_guard.core.diagnosis.case import COMFORTABLE_PERCENT, Case, Diagnosis, Figures, idle
from connection_guard.core.diagnosis.cause import Cause
from connection_guard.core.diagnosis.leaks import lost_sessions
from connection_guard.core.diagnosis.remedy import Parts, Remedy, RemedyKind


def oversized_pools(case: Case) -> Iterator[Diagnosis]:
    """Yield a diagnosis for each application whose pools, mostly idle and used now and then,
    together with the others' want more than a comfortable share.

    The addresses of an application are configured alike: each may grow as large as the largest of
    them.
    """
    oversized = []
    for pools in pools_by_application(case.sessions):
        settled = [
            [s for s in pool if not case.is_fresh(s)]
            for pool in pools
            if not lost_sessions(case, pool)
        ]
        held = [session for pool in settled for session in pool]
        if len(held) >= case.considerable and 2 * idle(held) > len(held):
            oversized.append((held, application_of(held), max(map(len, settled))))
    wanted_in_all = sum(application.addresses * largest for _, application, largest in oversized)
    budget = case.usable * COMFORTABLE_PERCENT // 100
    if wanted_in_all <= budget:
        return
    for held, application, largest in oversized:
        wanted = application.addresses * largest
        arithmetic = (
            f"{clients(application.addresses)} x {largest} sessions = {wanted} wanted, "
            f"{case.usable} usable"
        )
        part = budget * wanted // wanted_in_all
        yield Diagnosis(
            Cause.OVERSIZED_POOLS,
            len(held),
            min(session.backend_start for session in held),
            f"{application} holds {len(held)} sessions, {idle(held)} of them idle: {arithmetic}",
            application.evidence
            | {
                "largest pool": largest,
                "wanted": wanted,
                "usable": case.usable,
                "idle": idle(held),
            },
            _sizes(case, application, largest, part, is_shared=wanted < wanted_in_all),
        )


def _sizes(
    case: Case, application: Application, largest: int, part: int, *, is_shared: bool
) -> str:
    share = (
        f"{part} sessions, {'its share of ' if is_shared else ''}{COMFORTABLE_PERCENT} % of "
        f"{case.usable}"
    )
    where, number = at_address(application.largest_address), application.addresses
    if part < number:
        return (
            f"One session per client is already more than {share}: put RDS Proxy in front of the "
            f"database for {application}"
        )
    if number == 1:
        return (
            f"Limit the pools of {application} to {part} sessions in total for all processes at "
            f"{where}, which have {largest} open (= {share})"
        )
    return (
        f"Limit the pools of {application} to {part // number} sessions in total for all processes "
        f"at one address: {where} has {largest} open (= {share}, / {number} addresses)"
    )


def pools_that_reopen(case: Case) -> Iterator[Diagnosis]:
    """Yield a diagnosis for each application whose pools reopened most of what was terminated, in
    this run or within the hour before.
    """
    applications = {
        name: (
            sum(pool.terminated for pool in pools),
            sum(pool.reopened for pool in pools),
            len(pools),
        )
        for name, pools in reopening_applications(case.reconnections).items()
    }
    for pool in case.reopening_pools:
        applications.setdefault((pool.role, pool.application_name), (0, 0, 0))
    for (role, name), (terminated, reopened, pools) in applications.items():
        open_now = [s for s in case.sessions if (s.role, s.application_name) == (role, name)]
        if not (terminated or open_now):
            continue
        application = (
            application_of(open_now) if open_now else Application(role, name, "", pools, 0)
        )
        if terminated:
            reopener = "the pool" if pools == 1 else f"{pools} pools"
            summary = (
                f"{terminated} sessions of {application} were terminated, and {reopener} reopened "
                f"{reopened}"
            )
        else:
            summary = (
                f"{application} reopened most of what was terminated within the last hour, and "
                f"now has {len(open_now)} open"
            )
        figures: Figures = {"terminated": terminated, "reopened": reopened} if terminated else {}
        yield Diagnosis(
            Cause.POOL_REOPENS,
            reopened or len(open_now),
            oldest_state_change(open_now) if not terminated else None,
            summary,
            application.evidence | figures,
            (
                (
                    f"Terminate no more sessions of {application}: lower its minimum pool size "
                    f"(HikariCP minimumIdle, SQLAlchemy pool_size){_by(reopened, application)}"
                ),
                *_hold_down(case, role, name),
            ),
        )


def _by(reopened: int, application: Application) -> str:
    return f" by {reopened} across {clients(application.addresses)}" if reopened else ""


def _hold_down(case: Case, role: str, name: str) -> Parts:
    """Return the limit that keeps a role to what the others leave it, where it has more."""
    of_role = [session for session in case.sessions if session.role == role]
    held = len(of_role)
    left = case.usable * COMFORTABLE_PERCENT // 100 - (case.snapshot.used - held)
    if not role or not 0 < left < held:
        return ()
    has_others = any(session.application_name != name for session in of_role)
    too = ", including its other applications," if has_others else ""
    return (
        ". Until then ",
        Remedy(RemedyKind.LIMIT_ROLE, role, left),
        f" limits the role{too} to what the others leave it, and ",
        _put_back(case, role),
        " restores its limit",
    )


def _put_back(case: Case, role: str) -> Remedy:
    for each in case.snapshot.measurement.limits:
        if (each.owner, each.name) == (LimitOwner.ROLE, role):
            return Remedy(RemedyKind.LIMIT_ROLE, role, each.limit)
    return Remedy(RemedyKind.UNLIMIT_ROLE, role)
