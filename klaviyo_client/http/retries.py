"""The one retry place: what may pass by itself is tried again, with waits that grow or that Klaviyo names."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

import backoff

from klaviyo_client import errors
from klaviyo_client.http.clock import Clock

T = TypeVar("T")
logger = logging.getLogger("klaviyo_client")
# Of our own: a thread that waits must not move the random numbers of the program that it runs in.
_RANDOM = random.Random()
# Shorter waits are not worth a line in the log.
_NOTABLE = 0.05


@dataclass(frozen=True)
class Patience:
    """How long a call may go on trying.

    Attributes:
        attempts: requests that one call may send in vain; those that are answered with 429 do not count.
        seconds: time after which no further attempt is begun.
        longest_wait: how long waits grow that Klaviyo does not name. One that it names is kept whole; a call that has
            no time for it ends at once.
    """

    attempts: int = 8
    seconds: float = 600.0
    longest_wait: int = 120

    @property
    def longest(self) -> float:
        """Seconds that a call would wait, at most, before it sends anything."""
        return max(self.longest_wait, self.seconds)

    def bears(self, seconds: float, elapsed: float) -> bool:
        """Whether a call that has gone on for ``elapsed`` seconds has time for a wait."""
        return seconds <= max(self.longest_wait, self.seconds - elapsed)


def retrying(
    attempt: Callable[[Callable[[float], None]], T], patience: Patience, clock: Clock, *, repeatable: bool
) -> T:
    """What ``attempt`` gives in the end.

    Args:
        attempt: sends one request; it is given what to call with the seconds of a wait before it begins one.
        patience: how long to go on.
        clock: what waits are taken on.
        repeatable: whether an attempt that was perhaps carried out may be made again.

    Raises:
        Unavailable: the last one, when patience has ended.
    """
    began, faults = clock.monotonic(), 0
    met: errors.Unavailable | None = None

    def told(seconds: float) -> None:
        if met is not None and seconds >= _NOTABLE:
            logger.warning("%s; trying again in %.1f s", met, seconds)

    def is_enough(fault: Exception) -> bool:
        nonlocal faults, met
        # A 429 is no fault: others are spending too, and only time tells whether they ever stop.
        faults += not isinstance(fault, errors.Throttled)
        met = fault if isinstance(fault, errors.Unavailable) else None
        is_lost = not repeatable and getattr(fault, "perhaps_done", True)
        is_over = isinstance(fault, errors.DaySpent)
        elapsed = clock.monotonic() - began
        late = elapsed >= patience.seconds or not patience.bears(getattr(fault, "retry_after", None) or 0, elapsed)
        return is_lost or is_over or late or faults >= patience.attempts

    def waits() -> Generator[float, errors.Unavailable, None]:
        return _waits(patience, clock, told)

    attempts = backoff.on_exception(waits, errors.Unavailable, giveup=is_enough, jitter=None, logger=None)
    result: T = attempts(attempt)(told)
    return result


def _waits(
    patience: Patience, clock: Clock, told: Callable[[float], None]
) -> Generator[float, errors.Unavailable, None]:
    # The waiting is done here, on our own clock, so that a test can switch it off; `backoff` is told to add none.
    fault = yield 0.0
    pause = 0.5
    while True:
        # After a 429 the budget is closed, and knows best for how long.
        if not fault.is_gated:
            seconds = pause * _RANDOM.uniform(0.75, 1.25) if fault.retry_after is None else float(fault.retry_after)
            told(seconds)
            clock.sleep(seconds)
            pause = min(pause * 2, patience.longest_wait)
        fault = yield 0.0
