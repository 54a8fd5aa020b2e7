"""The remedies of a diagnosis as SQL, or as clauses that name PostgreSQL's settings and views."""

from collections.abc import Mapping

from connection_guard.adapters.postgresql.names import identifier
from connection_guard.core.diagnosis.remedy import Remedy, RemedyKind

_WORDS: Mapping[RemedyKind, str] = {
    RemedyKind.END_IDLE_TRANSACTIONS: (
        "ALTER ROLE {name} SET idle_in_transaction_session_timeout = '1min'"
    ),
    RemedyKind.END_IDLE_SESSIONS: "ALTER ROLE {name} SET idle_session_timeout = '15min'",
    RemedyKind.END_LONG_TRANSACTIONS: "ALTER ROLE {name} SET transaction_timeout = '1h'",
    RemedyKind.LIMIT_ROLE: "ALTER ROLE {name} CONNECTION LIMIT {number}",
    RemedyKind.LIMIT_DATABASE: "ALTER DATABASE {name} CONNECTION LIMIT {number}",
    # -1 is no limit (PostgreSQL manual, ALTER ROLE).
    RemedyKind.UNLIMIT_ROLE: "ALTER ROLE {name} CONNECTION LIMIT -1",
    RemedyKind.TERMINATE_SESSION: "SELECT pg_terminate_backend({number})",
    RemedyKind.CANCEL_STATEMENT: "SELECT pg_cancel_backend({number})",
    RemedyKind.INSPECT_PROCESS: (
        "Look up pid {number} in pg_stat_activity; if it is an autovacuum to prevent wraparound, "
        "let it finish"
    ),
    RemedyKind.END_PREPARED_TRANSACTION: (
        "find it in pg_prepared_xacts, and run COMMIT PREPARED or ROLLBACK PREPARED for it"
    ),
    RemedyKind.LOG_LOGINS: "log_connections",
    RemedyKind.SHORTEN_LOGINS: (
        "lower authentication_timeout (60 s by default), after which PostgreSQL closes them"
    ),
}


def statement(remedy: Remedy) -> str:
    """Return the remedy in PostgreSQL's words."""
    return _WORDS[remedy.kind].format(name=identifier(remedy.name), number=remedy.number)
