"""An AWS in this process, over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import Request, urlopen

from moto.server import ThreadedMotoServer


@contextmanager
def emulated_aws() -> Iterator[str]:
    """Yield the address of an AWS without anything in it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        # Every emulated account of this process is the same one: a test before may have left some.
        forget_everything(url)
        yield url
    finally:
        server.stop()


def forget_everything(url: str) -> None:
    """Be as at the start again."""
    urlopen(Request(f"{url}/moto-api/reset", method="POST")).close()  # noqa: S310
