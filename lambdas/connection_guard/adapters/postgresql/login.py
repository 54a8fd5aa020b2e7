"""The production login: TLS with the server's identity verified, and an IAM token in place of a
password.
"""

from collections.abc import Mapping
from pathlib import Path

import psycopg2
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from psycopg2.extensions import connection

from connection_guard.adapters.postgresql.guard_session import Connect
from connection_guard.core.database.door import Door, DoorName
from connection_guard.core.deployment.responder_settings import ResponderSettings
from connection_guard.errors import DoorShutError

# Amazon RDS User Guide, "Using SSL/TLS to encrypt a connection": an instance's certificate is
# signed by RDS's own authority, RDS Proxy's (like every AWS endpoint's) by Amazon Trust Services.
ROOTS = {DoorName.PROXY: "amazon-trust-roots.pem", DoorName.DIRECT: "rds-global-bundle.pem"}

# Amazon RDS User Guide, "IAM database authentication": a token is valid for 15 minutes.
TOKEN_SECONDS = 900


def connect_with_iam(settings: ResponderSettings, environment: Mapping[str, str]) -> Connect:
    """Return how to log in as each door's role, with a token signed by the credentials that Lambda
    put in `environment`.
    """

    def connect(door: Door) -> connection:
        return start_login(
            door,
            settings.database_name,
            root_certificates(door),
            sign_token(door, settings.region, environment),
        )

    return connect


def start_login(
    door: Door,
    database_name: str,
    roots: Path,
    password: str | None,
    tunnel: tuple[str, int] | None = None,
) -> connection:
    """Start a non-blocking login to the host that the door names: its certificate must name that
    host, and be signed by one of `roots`.

    `tunnel` is an IP address and a port that lead to that host; without it the host's own are used
    (PostgreSQL manual, "Database Connection Control Functions": hostaddr). Without a password libpq
    looks for one, as psql does.
    """
    address, port = tunnel or (None, door.port)
    return psycopg2.connect(
        host=door.host,
        hostaddr=address,
        port=port,
        user=door.role,
        password=password,
        dbname=database_name,
        sslmode="verify-full",
        sslrootcert=str(roots),
        async_=True,
    )


def root_certificates(door: Door) -> Path:
    """Return the file of the authorities that sign the certificate of the server at this door."""
    return Path(__file__).parent / "roots" / ROOTS[door.name]


def sign_token(door: Door, region: str, environment: Mapping[str, str]) -> str:
    """Return an IAM authentication token, the same as `rds.generate_db_auth_token` returns.

    It needs only botocore's signer: a service client reads its model first, which takes ten times
    as long at a cold start. Raise DoorShutError where there are no credentials.
    """
    try:
        credentials = Credentials(
            environment["AWS_ACCESS_KEY_ID"],
            environment["AWS_SECRET_ACCESS_KEY"],
            environment.get("AWS_SESSION_TOKEN"),
        )
    except KeyError as missing:
        raise DoorShutError(
            f"no credentials to sign a token with: environment variable {missing} is missing",
            door=door.name,
        ) from missing
    parameters = {"Action": "connect", "DBUser": door.role}
    request = AWSRequest("GET", f"https://{door.host}:{door.port}/", params=parameters)
    SigV4QueryAuth(credentials, "rds-db", region, expires=TOKEN_SECONDS).add_auth(request)
    assert request.url is not None
    return request.url.removeprefix("https://")
