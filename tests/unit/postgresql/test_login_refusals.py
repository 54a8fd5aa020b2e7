"""Refused logins are distinguished by the words of the server, of libpq and of RDS Proxy."""

import pytest

from connection_guard.adapters.postgresql.examination.login_refusals import (
    LoginRefusal,
    login_refusal,
)
from connection_guard.errors import DoorShutError, Refusal

PREFIX = 'connection to server at "db" (10.0.0.5), port 5432 failed: FATAL:  '


@pytest.mark.parametrize(
    ("message", "refusal"),
    [
        ('too many connections for role "connection_guard"', LoginRefusal.ROLE_LIMIT),
        ('too many connections for database "postgres"', LoginRefusal.DATABASE_LIMIT),
        ('PAM authentication failed for user "connection_guard"', LoginRefusal.TOKEN),
        (
            "IAM authentication failed for the role guard. Check the IAM token for this role",
            LoginRefusal.TOKEN,
        ),
        (
            "This RDS proxy has no credentials for the role guard. Check the credentials",
            LoginRefusal.NO_SECRET,
        ),
        ('password authentication failed for user "guard"', LoginRefusal.PASSWORD),
        ("fe_sendauth: no password supplied", LoginRefusal.NO_PASSWORD),
        (
            'no pg_hba.conf entry for host "10.0.0.9", user "guard", no encryption',
            LoginRefusal.NOT_ADMITTED,
        ),
        (
            'pg_hba.conf rejects connection for host "10.0.0.9", SSL encryption',
            LoginRefusal.NOT_ADMITTED,
        ),
        ('role "connection_guard" does not exist', LoginRefusal.NO_ROLE),
        ('role "connection_guard" is not permitted to log in', LoginRefusal.NO_LOGIN),
        ('database "orders" does not exist', LoginRefusal.NO_DATABASE),
        ('permission denied for database "orders"', LoginRefusal.NO_CONNECT),
        ("the database system is starting up", LoginRefusal.STARTING),
        ("Timed-out waiting to acquire database connection", LoginRefusal.PROXY_WAITS),
        ("SSL error: certificate verify failed", LoginRefusal.TLS),
        ("no answer in time", LoginRefusal.LATE),
        ("canceling statement due to statement timeout", LoginRefusal.CANCELLED),
        ("something that no version has said yet", None),
    ],
)
def test_each_text_has_its_meaning(message: str, refusal: LoginRefusal | None) -> None:
    assert login_refusal(DoorShutError(PREFIX + message)) is refusal


def test_a_full_server_is_known_already() -> None:
    assert login_refusal(DoorShutError("x", Refusal.FULL)) is LoginRefusal.FULL
