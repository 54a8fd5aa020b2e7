"""Every error that Connection Guard raises.

ConnectionGuardError
├── ConfigurationError       a setting or the policy is wrong: says where, and what is right
├── ForeignEventError        an event that the function does not serve
├── StoreError               S3 or DynamoDB refused or could not be reached: nothing, or not
│                            all, was stored
├── NotificationError        a channel refused or could not be reached: people may not have been
│                            notified
└── DatabaseError
    ├── DoorShutError        no session could be opened through a door
    ├── ConnectionLostError  an open session died, or did not answer in time: what it was doing
    │                        is unknown
    └── StatementError       the server answered with an ERROR
"""

from enum import StrEnum


class Refusal(StrEnum):
    """Why a door stayed shut, where something follows from it."""

    FULL = "full"
    NOT_THE_WRITER = "not the writer"


class ConnectionGuardError(Exception):
    """The root of every error that Connection Guard itself raises."""


class ConfigurationError(ConnectionGuardError):
    """A setting or the policy is wrong; each argument is a mistake, with its place and what would
    be right.
    """

    def __str__(self) -> str:
        """Return a line for each mistake."""
        return "\n".join(self.args)


class ForeignEventError(ConnectionGuardError):
    """The event is not one that this function serves; the message names what was expected."""


class StoreError(ConnectionGuardError):
    """S3 or DynamoDB refused or could not be reached; the message names the bucket or the table,
    and the reason.
    """


class NotificationError(ConnectionGuardError):
    """A channel refused or could not be reached; the message names which, and the reason, and no
    secret.

    `retry_after` is how many seconds the service asked to be left alone, None where it named none.
    `is_of_message` says that only this message was refused, and others may pass; `is_of_secret`
    that the secret was refused, and another may pass.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        is_of_message: bool = False,
        is_of_secret: bool = False,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.is_of_message = is_of_message
        self.is_of_secret = is_of_secret


class DatabaseError(ConnectionGuardError):
    """The database refused, vanished, or answered with an error; `sqlstate` is the server's code
    for it, None where it gave none.
    """

    def __init__(self, message: str, *, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class DoorShutError(DatabaseError):
    """No session could be opened through a door, None where it is not a single one; `refusal` says
    why where the guard knows what follows from it.
    """

    def __init__(
        self,
        message: str,
        refusal: Refusal | None = None,
        *,
        door: str | None = None,
        sqlstate: str | None = None,
    ) -> None:
        super().__init__(message, sqlstate=sqlstate)
        self.refusal = refusal
        self.door = door


class ConnectionLostError(DatabaseError):
    """An open session died or missed its deadline: its statement may or may not have run."""


class StatementError(DatabaseError):
    """The server answered a statement with an ERROR; the session lives on."""
