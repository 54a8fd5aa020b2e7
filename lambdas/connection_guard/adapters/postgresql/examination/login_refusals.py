"""Why a login was refused, by the words of the server, of libpq and of RDS Proxy.

libpq keeps the SQLSTATE of a refused login to itself, so the texts are all that there is. They are
PostgreSQL's (postmaster.c, auth.c, postinit.c, miscinit.c), and those of the Amazon RDS User Guide,
"Troubleshooting for RDS Proxy".
"""

import re
from enum import StrEnum

from connection_guard.errors import DatabaseError, DoorShutError, Refusal


class LoginRefusal(StrEnum):
    """What a refused login means, where something different is to be done about it."""

    FULL = "the server is full"
    ROLE_LIMIT = "the role's own connection limit is reached"
    DATABASE_LIMIT = "the database's own connection limit is reached"
    TOKEN = "the IAM token was refused"  # noqa: S105 - no secret
    PASSWORD = "the password was refused"  # noqa: S105 - no secret
    NO_PASSWORD = "the server asks for a password, and there is none"  # noqa: S105 - no secret
    NOT_ADMITTED = "pg_hba.conf does not admit the role from here"
    NO_ROLE = "the role does not exist"
    NO_LOGIN = "the role may not log in"
    NO_DATABASE = "the PostgreSQL database does not exist"
    NO_CONNECT = "the role may not connect to the PostgreSQL database"
    STARTING = "the server is starting or stopping"
    NO_SECRET = "the proxy has no secret of the role"  # noqa: S105 - no secret
    PROXY_WAITS = "the proxy waits for a connection to the database"
    TLS = "TLS failed"
    CANCELLED = "a timeout ends the guard's first statement"
    LATE = "there was no answer in time"
    UNREACHABLE = "the server cannot be reached"


_TEXTS = (
    (LoginRefusal.ROLE_LIMIT, "too many connections for role"),
    (LoginRefusal.DATABASE_LIMIT, "too many connections for database"),
    # RDS checks a token with a PAM module of its own.
    (LoginRefusal.TOKEN, "PAM authentication failed|IAM authentication failed"),
    (LoginRefusal.NO_SECRET, "proxy has no credentials for the role"),
    (LoginRefusal.PASSWORD, "password authentication failed|authentication failed for user"),
    (LoginRefusal.NO_PASSWORD, "no password supplied|empty password"),
    (LoginRefusal.NOT_ADMITTED, r"no pg_hba\.conf entry|pg_hba\.conf rejects connection"),
    (LoginRefusal.NO_LOGIN, "is not permitted to log in"),
    (LoginRefusal.NO_DATABASE, 'database ".*" does not exist'),
    (LoginRefusal.NO_ROLE, 'role ".*" does not exist'),
    (LoginRefusal.NO_CONNECT, "permission denied for database|not currently accepting connections"),
    (
        LoginRefusal.STARTING,
        r"the database system is (starting up|shutting down|not yet accepting|in recovery mode)",
    ),
    (LoginRefusal.PROXY_WAITS, "Timed-out waiting to acquire database connection"),
    (LoginRefusal.CANCELLED, "canceling statement due to|due to transaction timeout"),
    (LoginRefusal.TLS, "certificate|SSL|TLS"),
    (LoginRefusal.LATE, "no answer in time|timeout expired"),
    (
        LoginRefusal.UNREACHABLE,
        "Connection refused|is unreachable|could not translate host name|closed the connection",
    ),
)


def login_refusal(error: DatabaseError) -> LoginRefusal | None:
    """Return what the error of a login means, None where that is not known."""
    if isinstance(error, DoorShutError) and error.refusal is Refusal.FULL:
        return LoginRefusal.FULL
    return next((refusal for refusal, text in _TEXTS if re.search(text, str(error))), None)
