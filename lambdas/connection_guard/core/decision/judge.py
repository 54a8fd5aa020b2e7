"""One session's verdict: built-in protection, then the policy's, then its rules in their order."""

from collections.abc import Collection, Iterable
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_address

from connection_guard.core.database.session import Session, SessionState
from connection_guard.core.database.snapshot import Snapshot
from connection_guard.core.decision.plan import PROTECTED, Verdict
from connection_guard.core.decision.reason import Figure, Reason, ReasonCode
from connection_guard.core.policy import NO_RULE, Action, Policy, Protection, Rule, Tier

NEVER_VICTIMS = frozenset({None, SessionState.STARTING, SessionState.DISABLED})

BUILT_IN = "built in"


def judge(
    snapshot: Snapshot, policy: Policy, tier: Tier, guard_roles: Collection[str]
) -> list[Verdict]:
    """Return a verdict per session, in the snapshot's order, before any limit is applied."""

    def verdict(session: Session) -> Verdict:
        if code := _never_a_victim(session, guard_roles):
            return spared(session, BUILT_IN, code)
        if code := _protected(session, policy.protection):
            return spared(session, PROTECTED, code)
        time_in_state = session.time_in_state(snapshot.taken_at)
        for rule in policy.rules:
            if _matches(rule, session, time_in_state, tier):
                if rule.action is Action.TERMINATE and (code := _holds_on(session, rule)):
                    return spared(session, rule.name, code)
                figures: dict[str, Figure] = {"state": str(session.state), "time": time_in_state}
                return Verdict(
                    session, rule.action, rule.name, Reason(ReasonCode.IN_STATE, figures)
                )
        return spared(session, NO_RULE, ReasonCode.NO_RULE)

    return [verdict(session) for session in snapshot.sessions]


def spared(session: Session, rule: str, code: ReasonCode) -> Verdict:
    """Return the verdict that spares the session."""
    return Verdict(session, Action.SPARE, rule, _reason(code))


@cache
def _reason(code: ReasonCode) -> Reason:
    """Return the reason without figures: thousands of sessions share it."""
    return Reason(code)


def _never_a_victim(session: Session, guard_roles: Collection[str]) -> ReasonCode | None:
    if session.role in guard_roles:
        return ReasonCode.GUARDS_OWN
    if session.is_owned_by_amazon:
        return ReasonCode.AMAZONS_OWN
    if session.is_superuser:
        return ReasonCode.SUPERUSERS
    if session.state in NEVER_VICTIMS:
        return ReasonCode.STATE_UNKNOWN
    if session.is_owned_by_proxy and session.state is SessionState.IDLE:
        return ReasonCode.PROXYS_POOL
    return None


def _protected(session: Session, protection: Protection) -> ReasonCode | None:
    if protection.roles and not session.role:
        return ReasonCode.ROLE_DROPPED
    if _any_glob(protection.roles, session.role):
        return ReasonCode.ROLE_PROTECTED
    if _any_glob(protection.databases, session.database):
        return ReasonCode.DATABASE_PROTECTED
    if _any_glob(protection.applications, session.application_name):
        return ReasonCode.APPLICATION_PROTECTED
    if _in_any_network(protection.clients, session.client_address):
        return ReasonCode.CLIENT_PROTECTED
    return None


def _matches(rule: Rule, session: Session, time_in_state: timedelta, tier: Tier) -> bool:
    return (
        tier in rule.tiers
        and session.state in rule.states
        and time_in_state >= rule.older_than
        and (not rule.roles or _any_glob(rule.roles, session.role) or _may_be_spared(session, rule))
        and (not rule.databases or _any_glob(rule.databases, session.database))
        and (not rule.applications or _any_glob(rule.applications, session.application_name))
        and (not rule.clients or _in_any_network(rule.clients, session.client_address))
    )


def _may_be_spared(session: Session, rule: Rule) -> bool:
    """Return whether the rule's exception may be for it: its role was dropped while its session
    lives.
    """
    return rule.action is Action.SPARE and not session.role


def _holds_on(session: Session, rule: Rule) -> ReasonCode | None:
    if session.holds_advisory_lock and not rule.even_with_advisory_lock:
        return ReasonCode.HOLDS_ADVISORY_LOCK
    if session.is_listening and not rule.even_if_listening:
        return ReasonCode.LISTENS
    return None


def _any_glob(globs: Iterable[str], name: str) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


def _in_any_network(networks: Collection[IPv4Network | IPv6Network], address: str) -> bool:
    if not networks or not address:
        return False
    client = ip_address(address)
    return any(client in network for network in networks)
