"""The end of a tunnel, as a bastion gives one: a port of this machine that leads to a server."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

PORT = 15432
END = f"localhost:{PORT}"


@contextmanager
def tunnel_to(host: str, port: int) -> Iterator[str]:
    """Yield the address of the tunnel's end, which is the same in every picture."""

    class Relay(BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((host, port)) as server:
                there = Thread(target=_pass_on, args=(self.request, server))
                there.start()
                _pass_on(server, self.request)
                there.join()

    class Tunnel(ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Tunnel(("127.0.0.1", PORT), Relay) as tunnel:
        thread = Thread(target=tunnel.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield END
        finally:
            tunnel.shutdown()
            thread.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):  # one end may be gone before the other
        while part := source.recv(65536):
            target.sendall(part)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
