"""Faults at the calls that the reporter makes: refused, unanswered, or the end of the process."""

from collections.abc import Callable
from enum import StrEnum
from threading import Lock
from typing import Any, TypeVar

from connection_guard.errors import StoreError

T = TypeVar("T")


class Fault(StrEnum):
    """What becomes of a call."""

    REFUSED = "refused"
    UNANSWERED = "done, but its answer was lost"
    KILLED = "the process ended before it"


class KilledError(BaseException):
    """Lambda ended the process: nothing of it runs any more."""


class Faults:
    """Counts the calls, and lets those fail that a test names."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.down: set[str] = set()
        self.at: dict[int, Fault] = {}
        self._before: dict[str, Callable[[], None]] = {}
        self._is_killed = False
        self._lock = Lock()

    def before(self, call: str, happens: Callable[[], None]) -> None:
        """Let something happen before the next such call."""
        self._before[call] = happens

    def kill(self) -> None:
        """End the process."""
        self._is_killed = True

    def restart(self) -> None:
        """Begin a new process."""
        self._is_killed = False

    def around(self, name: str, call: Callable[[], T], refusal: Exception) -> T:
        """Return what the call returns, unless it is to fail."""
        with self._lock:
            number = len(self.calls)
            self.calls.append(name)
            happens = self._before.pop(name, None)
            fault = self.at.get(number)
            self._is_killed |= fault is Fault.KILLED
        if happens:
            happens()
        if self._is_killed:
            raise KilledError
        if fault is Fault.REFUSED or name.partition(".")[0] in self.down:
            raise refusal
        answer = call()
        if fault is Fault.UNANSWERED:
            raise refusal
        return answer


class Breakable:
    """Passes every call on to one of the reporter's stores, unless it is to fail."""

    def __init__(self, name: str, target: object, faults: Faults) -> None:
        self._name = name
        self._target = target
        self._faults = faults

    def __getattr__(self, method: str) -> Callable[..., Any]:
        name = f"{self._name}.{method}"
        real: Callable[..., Any] = getattr(self._target, method)

        def call(*arguments: Any, **options: Any) -> Any:
            refusal = StoreError(f"{self._name}: ThrottlingException")
            return self._faults.around(name, lambda: real(*arguments, **options), refusal)

        return call
