"""Client addresses for processes: what a process sends is forwarded from an address of 127.0.0.0/8.

No library has to bind an address, and the server sees as many hosts as the scenario has.
"""

import asyncio
import socket
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

# Linux: the kernel chooses the port when it connects, as for any client that binds nothing, so that
# ports are consecutive, as they are between two hosts (ip(7)).
IP_BIND_ADDRESS_NO_PORT = 24


class Forwarders:
    """Every forwarder of one lab, on one thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def open(self, address: str, port: int) -> "Forwarder":
        """Return what forwards to the server at this port, as a client at this address."""
        forwarder = Forwarder(address, port)
        forwarder.port = self._wait(forwarder.start())
        return forwarder

    def close(self, forwarder: "Forwarder") -> None:
        self._wait(forwarder.stop())

    def _wait(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


class Forwarder:
    """A listener on 127.0.0.1; `client_ports` are the ports that the server has seen."""

    def __init__(self, address: str, server_port: int) -> None:
        self.address = address
        self.port = 0
        self.client_ports: set[int] = set()
        self._server_port = server_port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with suppress(asyncio.CancelledError):
                await self._forward(reader, writer)
        finally:
            self._connections.discard(task)
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = socket.socket()
        upstream.setblocking(False)
        upstream.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        upstream.bind((self.address, 0))
        await asyncio.get_running_loop().sock_connect(upstream, ("127.0.0.1", self._server_port))
        self.client_ports.add(upstream.getsockname()[1])
        server_reader, server_writer = await asyncio.open_connection(sock=upstream)
        try:
            await asyncio.gather(_copy(reader, server_writer), _copy(server_reader, writer))
        finally:
            server_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the end, and pass the end on: a client notices at once that its session has
    ended.
    """
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        writer.write_eof()
