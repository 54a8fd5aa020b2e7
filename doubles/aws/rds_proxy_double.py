"""A double of Amazon RDS Proxy for PostgreSQL, in front of a real server.

To a client it does what RDS Proxy does, as far as AWS documents it:

- lends a server connection for one transaction, then to the next client. Clients share one where
  their whole startup message is the same (user, database, application_name ...), so that the server
  sees each client's own name.
- pins: once a statement has changed the session, the client keeps its server connection until it
  leaves, and the server connection ends with it.
- queues, at login too, while its limit is reached or the server is full or away, until
  `connection_borrow_timeout`.
- refuses startup `options`, ignores CancelRequest, closes clients that are idle for
  `idle_client_timeout`.

It speaks no TLS, and pg_hba.conf has to trust `local_address`, which pg_stat_activity shows for
every session it opens. COPY in the extended protocol keeps its server connection, and a client in
the same process must not call psycopg2's `cancel()`: that waits for an answer without letting
another thread run.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy.html
"""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Optional, Self

from doubles.aws.rds_proxy_pinning import pins
from doubles.postgresql.postgres_wire import (
    AUTHENTICATED,
    READY_FOR_QUERY,
    TERMINATE,
    RefusedError,
    Startup,
    fatal,
    log_in,
    read_message,
    read_startup,
)

Address = tuple[str, int]

# too_many_connections, cannot_connect_now, admin_shutdown: the proxy waits until the server has
# room, or is back.
TRY_AGAIN = {b"53300", b"57P03", b"57P01"}
# Nothing notifies a proxy when a full server has a free connection again.
RETRY_SECONDS = 0.05


@dataclass(eq=False, slots=True)
class ServerConnection:
    startup: Startup
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    greeting: bytes  # its ParameterStatus messages, for clients that log in
    client: Optional["Client"] = None  # None: in the pool
    relay: asyncio.Task[None] | None = None


@dataclass(eq=False, slots=True)
class Client:
    writer: asyncio.StreamWriter
    startup: Startup = ()
    server: ServerConnection | None = None
    # The borrow timeout while queued, the idle timeout while idle.
    timer: asyncio.TimerHandle | None = None
    unsent: list[bytes] = field(default_factory=list)  # messages that wait for a server connection
    unanswered: int = 0  # queries, and extended-protocol batches, whose ReadyForQuery is to come
    in_batch: bool = False
    # Has prepared what it executes later, which only one server connection knows.
    unexecuted: bool = False
    logged_in: bool = False
    pinned: bool = False
    passed_over: bool = False  # is queued and was not served at once


class RdsProxyDouble:
    """A context manager; within it, it listens on `host` and `port`. Timeouts are in seconds.

    `max_connections` limits the server connections, as MaxConnectionsPercent does. Where
    `monitor_role` exists, one session of it stays open beside them, as RDS Proxy's own does.
    """

    host = "127.0.0.2"

    def __init__(
        self,
        target: Address,
        *,
        max_connections: int = 100,
        connection_borrow_timeout: float = 120,
        idle_client_timeout: float = 1800,
        local_address: str = "127.0.0.2",
        monitor_role: str = "rdsproxyadmin",
    ) -> None:
        self.port = 0
        self.round_trips = 0  # requests forwarded: simple queries and Syncs
        self._target = target
        self._max_connections = max_connections
        self._connection_borrow_timeout = connection_borrow_timeout
        self._idle_client_timeout = idle_client_timeout
        self._local_address = local_address
        self._monitor_startup = ((b"database", b"postgres"), (b"user", monitor_role.encode()))
        self._monitor: ServerConnection | None = None
        self._clients: set[Client] = set()
        self._queue: list[Client] = []
        self._servers: list[ServerConnection] = []
        self._wake = asyncio.Event()  # for the dispatcher: the queue or the pool changed
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="RDS Proxy double", daemon=True
        )

    # What a test sees and does, from its own thread

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def clients(self) -> int:
        return len(self._clients)

    @property
    def queued(self) -> int:
        """The number of clients that wait because no server connection was available."""
        return sum(client.passed_over for client in tuple(self._clients))

    @property
    def pinned(self) -> int:
        return sum(client.pinned for client in tuple(self._clients))

    @property
    def server_connections(self) -> int:
        """The number of open server connections, lent or pooled, without the monitoring session."""
        return len(self._servers)

    @property
    def target(self) -> Address:
        """The server behind the proxy. Setting it plays a failover: a client that holds a server
        connection loses both.
        """
        return self._target

    @target.setter
    def target(self, target: Address) -> None:
        self._run(self._fail_over(target))

    def drop_clients(self) -> None:
        self._run(self._close_clients())

    def stop(self) -> None:
        if self._thread.is_alive():
            self._run(self._shut_down())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    # Everything below runs on the event loop

    async def _start(self) -> None:
        await self._open_monitor()
        self._dispatcher = self._loop.create_task(self._dispatch())
        self._listener = await asyncio.start_server(self._serve, self.host, 0)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _open_monitor(self) -> None:
        with contextlib.suppress(RefusedError):
            self._monitor = await self._connect(self._monitor_startup)

    async def _fail_over(self, target: Address) -> None:
        self._target = target
        self._close_servers()
        await self._open_monitor()

    async def _shut_down(self) -> None:
        self._listener.close()
        self._dispatcher.cancel()
        self._close_servers()
        await self._close_clients()
        await asyncio.gather(
            *asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True
        )

    async def _close_clients(self) -> None:
        for client in self._clients:
            client.writer.close()

    def _close_servers(self) -> None:
        for server in tuple(self._servers):
            self._close(server)
        if self._monitor:
            self._monitor.writer.close()

    def _close(self, server: ServerConnection) -> None:
        """Close a server connection; the relay passes its last messages and its end on to the
        client that holds it.
        """
        if server in self._servers:
            self._servers.remove(server)
            server.writer.write(TERMINATE)
            server.writer.close()
            self._wake.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client, from its first byte to its last."""
        client = Client(writer)
        self._clients.add(client)
        try:
            if startup := await read_startup(reader, writer):
                client.startup = startup
                self._enqueue(client)
                while (message := await read_message(reader)) != TERMINATE:
                    client.unsent.append(message)
                    if client.server:
                        self._forward(client, client.server)
                    elif client not in self._queue:
                        self._enqueue(client)
        except RefusedError as refusal:
            writer.write(refusal.message)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client is gone
        finally:
            self._clients.remove(client)
            self._leave_queue(client)
            if client.server:
                self._close(client.server)
            writer.close()

    def _enqueue(self, client: Client) -> None:
        # AWS documents the message, not its SQLSTATE.
        refusal = fatal("Timed-out waiting to acquire database connection", "08000")
        self._set_timer(client, self._connection_borrow_timeout, refusal)
        self._queue.append(client)
        self._wake.set()

    def _leave_queue(self, client: Client) -> None:
        if client.timer:
            client.timer.cancel()
        if client in self._queue:
            self._queue.remove(client)
        client.passed_over = False

    def _set_timer(self, client: Client, seconds: float, last_word: bytes = b"") -> None:
        if client.timer:
            client.timer.cancel()
        client.timer = self._loop.call_later(seconds, self._refuse, client, last_word)

    def _refuse(self, client: Client, last_word: bytes) -> None:
        self._leave_queue(client)
        client.writer.write(last_word)
        client.writer.close()

    async def _dispatch(self) -> None:
        """Serve the queue in its order whenever something changed, and try a full server again and
        again.
        """
        while True:
            self._wake.clear()
            in_vain: set[Startup] = set()
            for client in tuple(self._queue):
                server = self._pooled(client.startup)
                if server is None and client.startup not in in_vain:
                    try:
                        server = await self._open(client.startup)
                    except RefusedError as refusal:
                        self._refuse(client, refusal.message)
                        continue
                if client not in self._queue:
                    continue  # left meanwhile: what was opened for it is the pool's
                if server:
                    self._lend(server, client)
                else:
                    in_vain.add(client.startup)
                    client.passed_over = True
            # Not wait_for: in Python 3.11 it can lose the cancellation that ends this task.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY_SECONDS if self._queue else None):
                    await self._wake.wait()

    def _pooled(self, startup: Startup) -> ServerConnection | None:
        return next(
            (server for server in self._servers if not server.client and server.startup == startup),
            None,
        )

    async def _open(self, startup: Startup) -> ServerConnection | None:
        """Return a new server connection in the pool, or None; at the limit, it replaces one that
        other clients left there.
        """
        if len(self._servers) >= self._max_connections:
            unused = next((server for server in self._servers if not server.client), None)
            if unused is None:
                return None
            self._close(unused)
        server = await self._connect(startup)
        if server:
            self._servers.append(server)
            server.relay = self._loop.create_task(self._relay(server))
        return server

    async def _connect(self, startup: Startup) -> ServerConnection | None:
        """Return None where trying again may help; raise RefusedError where it cannot."""
        try:
            reader, writer = await asyncio.open_connection(
                *self._target, local_addr=(self._local_address, 0)
            )
        except OSError:
            return None
        try:
            return ServerConnection(startup, reader, writer, await log_in(reader, writer, startup))
        except (RefusedError, OSError, asyncio.IncompleteReadError) as failure:
            writer.close()
            if isinstance(failure, RefusedError) and failure.sqlstate not in TRY_AGAIN:
                raise
            return None

    def _lend(self, server: ServerConnection, client: Client) -> None:
        self._leave_queue(client)
        client.server, server.client = server, client
        if client.logged_in:
            self._forward(client, server)
        else:
            client.logged_in = True
            client.writer.write(AUTHENTICATED + server.greeting + READY_FOR_QUERY)
            self._settle(client, server, transaction_status=b"I")

    def _forward(self, client: Client, server: ServerConnection) -> None:
        if client.timer:
            client.timer.cancel()
        for message in client.unsent:
            kind = message[:1]
            client.pinned |= pins(message)
            if kind not in b"dcf":  # COPY's messages belong to a query that was counted
                client.unanswered += not client.in_batch
                client.in_batch = kind not in b"QSF"
            if kind in b"PBEQ":
                client.unexecuted = kind in b"PB"
            self.round_trips += kind in b"QS"
            server.writer.write(message)
        client.unsent.clear()

    async def _relay(self, server: ServerConnection) -> None:
        """Pass on everything that a server connection sends to the client that holds it at the
        time.
        """
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                message = await read_message(server.reader)
                if client := server.client:
                    if message[:1] == b"Z":
                        client.unanswered -= 1
                        if not client.unanswered:
                            self._settle(client, server, transaction_status=message[5:])
                    client.writer.write(message)
        self._close(server)
        if server.client:
            server.client.writer.close()

    def _settle(self, client: Client, server: ServerConnection, transaction_status: bytes) -> None:
        """Let the client be idle once everything is answered, and return its server connection to
        the pool unless something ties the two.
        """
        self._set_timer(client, self._idle_client_timeout)
        if transaction_status == b"I" and not client.pinned and not client.unexecuted:
            client.server = server.client = None
            self._wake.set()
