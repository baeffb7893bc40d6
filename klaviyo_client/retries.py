"""The one retry place: what may pass by itself is tried again, with waits that grow or that Klaviyo names."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

import backoff

from klaviyo_client import errors
from klaviyo_client.limits import Clock

T = TypeVar("T")
logger = logging.getLogger(__name__)
# Of our own: a thread that waits must not move the random numbers of the program that it runs in.
_RANDOM = random.Random()


@dataclass(frozen=True)
class Patience:
    """How long a call may go on trying.

    Attributes:
        attempts: requests that one call may send in vain; those that are answered with 429 do not count.
        seconds: time after which no further attempt is begun.
        longest_wait: cap on a single wait, also on one that Klaviyo asks for.
    """

    attempts: int = 8
    seconds: float = 600.0
    longest_wait: int = 120


def retrying(attempt: Callable[[], T], patience: Patience, clock: Clock, *, repeatable: bool) -> T:
    """What ``attempt`` gives in the end.

    Args:
        attempt: sends one request.
        patience: how long to go on.
        clock: what waits are taken on.
        repeatable: whether an attempt that was perhaps carried out may be made again.

    Raises:
        Unavailable: the last one, when patience has ended.
    """
    began, faults = clock.monotonic(), 0

    def is_enough(fault: Exception) -> bool:
        nonlocal faults
        # A 429 is no fault: others are spending too, and only time tells whether they ever stop.
        faults += not isinstance(fault, errors.Throttled)
        is_lost = not repeatable and getattr(fault, "perhaps_done", True)
        is_over = isinstance(fault, errors.DaySpent)
        late = clock.monotonic() - began >= patience.seconds
        return is_lost or is_over or late or faults >= patience.attempts

    def waits() -> Generator[float, errors.Unavailable, None]:
        return _waits(patience, clock)

    attempts = backoff.on_exception(waits, errors.Unavailable, giveup=is_enough, jitter=None, logger=None)
    result: T = attempts(attempt)()
    return result


def _waits(patience: Patience, clock: Clock) -> Generator[float, errors.Unavailable, None]:
    # The waiting is done here, on our own clock, so that a test can switch it off; `backoff` is told to add none.
    fault = yield 0.0
    pause = 0.5
    while True:
        seconds = pause * _RANDOM.uniform(0.75, 1.25) if fault.retry_after is None else float(fault.retry_after)
        logger.warning("%s; trying again in %.1f s", fault, seconds)
        # A 429 that names a time has already closed the budget for that long.
        if fault.retry_after is None or not isinstance(fault, errors.Throttled):
            clock.sleep(seconds)
        pause = min(pause * 2, patience.longest_wait)
        fault = yield 0.0
