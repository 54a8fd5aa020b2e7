"""What the audit finds among the sessions: long idle ones, unused pools, nameless ones."""

from collections import Counter
from collections.abc import Iterable

from connection_guard.cli.audit.audit_facts import AuditFacts
from connection_guard.cli.audit.audit_section import AuditSection
from connection_guard.core.database.session import Pool, Session
from connection_guard.core.words import spelled


def long_idle_sessions(facts: AuditFacts) -> AuditSection:
    """Return the sessions that have been idle for long, by application, role, client and state."""
    long_idle = list(filter(facts.is_long_idle, facts.clients))
    groups = [
        (pool, state, sessions)
        for state in {session.state for session in long_idle}
        for pool, sessions in _by_pool(each for each in long_idle if each.state is state).items()
    ]
    most_first = sorted(groups, key=lambda group: (-len(group[2]), str(group[1])))
    return AuditSection(
        "long_idle_sessions",
        "Long-idle sessions",
        f"Each of these has done nothing for {spelled(facts.idle_for)} or longer, and keeps a "
        "connection from others. Let the pool close idle connections, or make it smaller; a "
        "session that is idle in a transaction also keeps locks, and keeps VACUUM from its work.",
        f"No session has been idle for {spelled(facts.idle_for)} or longer.",
        {
            "application": "application",
            "role": "role",
            "client": "client",
            "state": "state",
            "sessions": "sessions",
            "longest": "longest",
        },
        tuple(
            {
                "application": pool.application_name,
                "role": pool.role,
                "client": pool.client_address,
                "state": str(state),
                "sessions": len(sessions),
                "longest": max(each.time_in_state(facts.snapshot.taken_at) for each in sessions),
            }
            for pool, state, sessions in most_first
        ),
    )


def unused_pools(facts: AuditFacts) -> AuditSection:
    """Return the pools of two sessions or more of which none was used for long."""
    unused = {
        pool: sessions
        for pool, sessions in _by_pool(facts.clients).items()
        if len(sessions) > 1 and all(map(facts.is_long_idle, sessions))
    }
    return AuditSection(
        "unused_pools",
        "Unused pools",
        "No session of these pools was used lately. Set the pool's minimum to 0, stop the "
        "instance, or share its pool with another.",
        "Every pool has a session that was used lately.",
        {
            "application": "application",
            "role": "role",
            "client": "client",
            "sessions": "sessions",
            "unused": "unused for",
        },
        tuple(
            {
                "application": pool.application_name,
                "role": pool.role,
                "client": pool.client_address,
                "sessions": len(sessions),
                "unused": min(each.time_in_state(facts.snapshot.taken_at) for each in sessions),
            }
            for pool, sessions in sorted(unused.items(), key=lambda pool: -len(pool[1]))
        ),
    )


def unnamed_sessions(facts: AuditFacts) -> AuditSection:
    """Return the sessions without an application_name, by role, client and database."""
    unnamed = Counter(
        (session.role, session.client_address, session.database)
        for session in facts.clients
        if not session.application_name
    )
    return AuditSection(
        "unnamed_sessions",
        "Sessions without application_name",
        "Nobody can see which service these belong to, and the guard cannot distinguish their "
        "pools. Add it to the connection string, as in "
        "`postgresql://.../orders?application_name=checkout`.",
        "Every session has an application_name.",
        {"role": "role", "client": "client", "database": "database", "sessions": "sessions"},
        tuple(
            {"role": role, "client": client, "database": database, "sessions": sessions}
            for (role, client, database), sessions in unnamed.most_common()
        ),
    )


def _by_pool(sessions: Iterable[Session]) -> dict[Pool, list[Session]]:
    pools: dict[Pool, list[Session]] = {}
    for session in sessions:
        pools.setdefault(session.pool, []).append(session)
    return pools
