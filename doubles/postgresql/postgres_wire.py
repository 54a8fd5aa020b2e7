"""Messages of PostgreSQL's frontend/backend protocol, as doubles read and write them.

https://www.postgresql.org/docs/current/protocol.html
"""

import asyncio
import struct

Startup = tuple[tuple[bytes, bytes], ...]  # the parameters of a startup message, sorted

PROTOCOL_3_0, CANCEL_REQUEST, SSL_REQUEST, GSSENC_REQUEST = 196608, 80877102, 80877103, 80877104
AUTHENTICATED = b"R" + struct.pack("!II", 8, 0)
READY_FOR_QUERY = b"Z" + struct.pack("!I", 5) + b"I"
TERMINATE = b"X" + struct.pack("!I", 4)


class RefusedError(Exception):
    """A login answered with an ErrorResponse; `message` is that response as it goes over the
    wire.
    """

    def __init__(self, message: bytes) -> None:
        super().__init__(message)
        self.message = message
        self.sqlstate = next(part[1:] for part in message[5:].split(b"\0") if part.startswith(b"C"))


async def read_message(reader: asyncio.StreamReader) -> bytes:
    """Return one whole message: kind, length, body. Raise asyncio.IncompleteReadError where the
    stream ends.
    """
    head = await reader.readexactly(5)
    return head + await reader.readexactly(int.from_bytes(head[1:]) - 4)


async def read_startup(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Startup | None:
    """Return what a client sends before it is logged in, None for a CancelRequest. Raise
    RefusedError for `options`.
    """
    while True:
        length, code = struct.unpack("!II", await reader.readexactly(8))
        body = await reader.readexactly(length - 8)
        if code == CANCEL_REQUEST:
            return None
        if code not in (SSL_REQUEST, GSSENC_REQUEST):
            break
        writer.write(b"N")
    words = body.split(b"\0")
    parameters = {name: value for name, value in zip(words[::2], words[1::2], strict=False) if name}
    if b"options" in parameters:
        message = "Feature not supported: RDS Proxy currently doesn't support command-line options."
        raise RefusedError(fatal(message, "0A000"))
    return tuple(sorted({b"database": parameters[b"user"], **parameters}.items()))


async def log_in(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, startup: Startup
) -> bytes:
    """Log in to a server that asks for no password, and return its ParameterStatus messages. Raise
    RefusedError.
    """
    body = b"".join(name + b"\0" + value + b"\0" for name, value in startup) + b"\0"
    writer.write(struct.pack("!II", len(body) + 8, PROTOCOL_3_0) + body)
    greeting = b""
    while (message := await read_message(reader)) != READY_FOR_QUERY:
        if message[:1] == b"E":
            raise RefusedError(message)
        if message[:1] == b"R" and message != AUTHENTICATED:
            raise RefusedError(
                fatal("the server behind the RDS Proxy double does not trust it", "28000")
            )
        if message[:1] == b"S":
            greeting += message
    return greeting


def fatal(message: str, sqlstate: str) -> bytes:
    """Return an ErrorResponse that ends the connection."""
    fields = f"SFATAL\0VFATAL\0C{sqlstate}\0M{message}\0\0".encode()
    return b"E" + struct.pack("!I", len(fields) + 4) + fields
