"""What happened in the last minutes, counted in slots of some seconds: little memory, however much it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Generic, TypeVar

from klaviyo_sandbox.http import oauth
from klaviyo_sandbox.http.request_log import LoggedRequest

SLOT_SECONDS, SLOT_COUNT = 5, 60
KINDS = ("read", "write", "limited", "failed")
_READING_METHODS = ("GET", "HEAD", "OPTIONS")
# So begin the operations that are asked for by POST and change nothing.
_READING_OPERATION = "query_"

Value = TypeVar("Value")


class Slots(Generic[Value]):
    """A value for each of the latest slots in which there was something; the time only goes forward.

    Args:
        make: makes the value of a new slot.
    """

    def __init__(self, make: Callable[[], Value]) -> None:
        self._make = make
        self._values: dict[int, Value] = {}

    def at(self, now: float) -> Value:
        """The value of the present slot."""
        slot = int(now // SLOT_SECONDS)
        if slot not in self._values:
            self._values[slot] = self._make()
            while len(self._values) > SLOT_COUNT:
                del self._values[next(iter(self._values))]
        return self._values[slot]

    def latest(self, now: float) -> list[tuple[int, Value]]:
        """(age in slots, value) of each slot that is not too old, the oldest first; 0 is the present one."""
        present = int(now // SLOT_SECONDS)
        ages = ((present - slot, value) for slot, value in list(self._values.items()))
        return [(age, value) for age, value in ages if 0 <= age < SLOT_COUNT]


class Traffic:
    """Counts requests by their kind, which is one of ``KINDS``."""

    def __init__(self) -> None:
        self._slots: Slots[Counter[str]] = Slots(Counter)

    def count(self, request: LoggedRequest) -> None:
        self._slots.at(request.at)[_kind_of(request)] += 1

    def latest(self, now: float) -> list[tuple[int, Counter[str]]]:
        """(age in slots, kind -> requests), the oldest first."""
        return self._slots.latest(now)


def _kind_of(request: LoggedRequest) -> str:
    if request.status == 429:
        return "limited"
    if not 200 <= request.status < 400:
        return "failed"
    return "write" if is_write(request) else "read"


def is_write(request: LoggedRequest) -> bool:
    """Is it one that changes the account, unless it is refused?"""
    if request.method in _READING_METHODS or request.path == oauth.PATH:
        return False
    return not (request.operation or "").startswith(_READING_OPERATION)
