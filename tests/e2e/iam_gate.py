"""What RDS and RDS Proxy do with a login before PostgreSQL sees it: they ask for TLS, and for an
IAM token in place of a password.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html
"""

import asyncio
import contextlib
import hashlib
import hmac
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, quote, urlsplit

from doubles.certificates import TlsFiles
from doubles.postgresql.postgres_wire import SSL_REQUEST, fatal

REQUEST_FOR_SSL = struct.pack("!II", 8, SSL_REQUEST)
ASK_FOR_PASSWORD = b"R" + struct.pack("!II", 8, 3)
TOKEN_LIFETIME = timedelta(minutes=15)
CLOCK_SKEW = timedelta(minutes=5)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Target = Callable[[], Awaitable[Streams]]


@dataclass(frozen=True, slots=True)
class Signer:
    """The owner of an access key: a role, and the temporary credentials that belong to the key."""

    role: str
    secret_key: str
    session_token: str


@dataclass(frozen=True, slots=True)
class Iam:
    """What a gate asks IAM: which signer owns an access key, and whether a role may connect as the
    database user with this ARN.
    """

    signer_of: Callable[[str], Signer | None]
    may_connect: Callable[[str, str], bool]


class RefusedError(Exception):
    """The login is refused; the message says why."""


class IamGate:
    """A context manager; within it, a client with a valid token reaches the target at `host` and
    `port`.

    `target` opens a connection to the server behind the gate, which trusts the gate. `users` is
    what the ARN of each database user begins with: "arn:aws:rds-db:REGION:ACCOUNT:dbuser:ID".
    `refusals` holds the reason of each refused login so far, `logins` the ARN of each other one.
    """

    host = "localhost"

    def __init__(self, target: Target, users: str, iam: Iam, tls: TlsFiles) -> None:
        self.port = 0
        self.refusals: list[str] = []
        self.logins: list[str] = []
        self._target = target
        self._users = users
        self._iam = iam
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(tls.certificate, tls.key)
        self._is_open = asyncio.Event()
        self._holds_up = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="IAM gate", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._start())
        return self

    def __exit__(self, *_exception: object) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @contextlib.contextmanager
    def closed(self) -> Iterator[threading.Event]:
        """Let nothing pass to the target within the block; the event is set once something would
        have passed.
        """
        self._holds_up.clear()
        self._loop.call_soon_threadsafe(self._is_open.clear)
        try:
            yield self._holds_up
        finally:
            self._loop.call_soon_threadsafe(self._is_open.set)

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    # Everything below runs on the event loop

    async def _start(self) -> None:
        self._is_open.set()
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._listener.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            startup = await self._admit(reader, writer)
            target_reader, target_writer = await self._target()
            writers.append(target_writer)
            target_writer.write(startup)
            await asyncio.gather(
                self._to_target(reader, target_writer), _pipe(target_reader, writer)
            )
        except RefusedError as refusal:
            self.refusals.append(str(refusal))
            writer.write(fatal("IAM authentication failed", "28P01"))  # as little as AWS says
        except (OSError, asyncio.IncompleteReadError):
            pass  # either side is gone
        except asyncio.CancelledError:  # the gate goes, and waits for no side's end of TLS
            for each in writers:
                each.transport.abort()
        finally:
            writer.close()

    async def _admit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        """Return the startup message of a client that may pass. Raise RefusedError."""
        if await reader.readexactly(len(REQUEST_FOR_SSL)) != REQUEST_FOR_SSL:
            raise RefusedError("a login without TLS")
        writer.write(b"S")
        await writer.start_tls(self._tls)
        length = await reader.readexactly(4)
        startup = length + await reader.readexactly(int.from_bytes(length) - 4)
        words = startup[8:].split(b"\0")
        user = dict(zip(words[::2], words[1::2], strict=False))[b"user"].decode()
        writer.write(ASK_FOR_PASSWORD)
        message = await reader.readexactly(5)
        token = (await reader.readexactly(int.from_bytes(message[1:]) - 4)).rstrip(b"\0").decode()
        signer = verify_token(
            token, user, f"{self.host}:{self.port}", self._iam.signer_of, datetime.now(UTC)
        )
        arn = f"{self._users}/{user}"
        # It may call a service.
        if not await asyncio.to_thread(self._iam.may_connect, signer.role, arn):
            raise RefusedError(f"{signer.role} may not connect as {arn}")
        self.logins.append(arn)
        return startup

    async def _to_target(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def wait_while_closed() -> None:
            if not self._is_open.is_set():
                self._holds_up.set()
                await self._is_open.wait()

        await _pipe(reader, writer, wait_while_closed)


def verify_token(
    token: str, user: str, address: str, signer_of: Callable[[str], Signer | None], now: datetime
) -> Signer:
    """Return the signer of the token. Raise RefusedError where the token is not valid for this user
    at this "host:port".

    https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html, here without the
    signer's library.
    """
    url = urlsplit(f"https://{token}")
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    signature = query.pop("X-Amz-Signature", "")
    try:
        access_key, date, region, service, _ = query["X-Amz-Credential"].split("/")
        signed_at = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%S%z")
        lifetime = min(timedelta(seconds=int(query["X-Amz-Expires"])), TOKEN_LIFETIME)
    except (KeyError, ValueError) as wrong:
        raise RefusedError(f"not a token: {wrong!r}") from None
    if (query.get("Action"), query.get("DBUser")) != ("connect", user):
        raise RefusedError(f"the token is not for connecting as {user}")
    if url.netloc != address:
        raise RefusedError(f"the token is for {url.netloc}, not for {address}")
    if not signed_at - CLOCK_SKEW <= now <= signed_at + lifetime:
        raise RefusedError(f"the token was signed at {signed_at}; now it is {now}")
    signer = signer_of(access_key)
    if signer is None or query.get("X-Amz-Security-Token") != signer.session_token:
        raise RefusedError(f"nobody has the credentials of {access_key}")
    canonical_query = "&".join(
        f"{_quoted(name)}={_quoted(value)}" for name, value in sorted(query.items())
    )
    request = f"GET\n{url.path}\n{canonical_query}\nhost:{address}\n\nhost\n{_sha256(b'')}"
    scope = f"{date}/{region}/{service}/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{query['X-Amz-Date']}\n{scope}\n{_sha256(request.encode())}"
    key = f"AWS4{signer.secret_key}".encode()
    for part in (date, region, service, "aws4_request"):
        key = _hmac(key, part)
    if service != "rds-db" or not hmac.compare_digest(_hmac(key, to_sign).hex(), signature):
        raise RefusedError("the signature is wrong")
    return signer


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _hmac(key: bytes, message: str) -> bytes:
    return hmac.digest(key, message.encode(), "sha256")


def loopback(host: str, port: int) -> Target:
    """Return a target on this machine, reached without TLS."""
    return lambda: asyncio.open_connection(host, port)


def postgres_over_tls(host: str, port: int, authority: Path) -> Target:
    """Return a PostgreSQL server whose certificate this authority has signed."""
    tls = ssl.create_default_context(cafile=authority)

    async def connect() -> Streams:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(REQUEST_FOR_SSL)
        if await reader.readexactly(1) != b"S":
            raise ConnectionError("the server has no TLS")
        await writer.start_tls(tls, server_hostname=host)
        return reader, writer

    return connect


async def _nothing() -> None: ...


async def _pipe(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    before_each: Callable[[], Awaitable[None]] = _nothing,
) -> None:
    try:
        while data := await reader.read(65536):
            await before_each()
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
