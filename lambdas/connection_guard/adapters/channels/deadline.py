"""A deadline for a whole call: resolving a name, connecting, and an answer that comes in drips."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

from botocore.config import Config

from connection_guard.errors import NotificationError

# An AWS client gives up before any deadline for the whole, and leaves trying again to the caller.
ONE_ATTEMPT = Config(
    connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 1}
)

T = TypeVar("T")


def answer_within(seconds: float, service: str, call: Callable[[], T]) -> T:
    """Return what the call returns, and raise what it raises.

    Raises NotificationError, which names the service, where that takes longer: the call is then
    left to itself, and may still succeed. A timeout of a socket would start anew with each byte.
    """
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:  # noqa: BLE001 the caller gets it
            answer.set_exception(error)

    thread = Thread(target=run, name=service, daemon=True)
    thread.start()
    thread.join(seconds)
    if not answer.done():
        raise NotificationError(f"{service} did not answer within {seconds:g} s")
    return answer.result()
