"""The account's clock: it can be moved ahead, and run faster or more slowly than the machine's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

# Slower than this, and the clock seems to stand still.
MIN_SPEED = 0.001
# Faster than this, and the account leaves the years that dates can hold within weeks.
MAX_SPEED = 10_000


class Clock:
    """Seconds since 1970 for the account. Safe to share between threads.

    It never runs backwards. A new speed holds from the present moment on.

    Args:
        base: the clock that it follows.
        speed: how many seconds pass for the account in one of ``base``'s.
    """

    def __init__(self, base: Callable[[], float], speed: float = 1.0) -> None:
        self._base = base
        self._lock = threading.Lock()
        # Times of both clocks at one moment: when the speed was last set.
        self._base_start = self._start = 0.0 if speed == 1.0 else base()
        self._speed = speed

    def __call__(self) -> float:
        with self._lock:
            return self._at(self._base())

    @property
    def speed(self) -> float:
        return self._speed

    def advance(self, seconds: float) -> None:
        """Move ahead by so many seconds at once."""
        with self._lock:
            self._start += seconds

    def set_speed(self, speed: float) -> None:
        """Run at this speed from now on."""
        with self._lock:
            base_time = self._base()
            self._base_start, self._start, self._speed = base_time, self._at(base_time), speed

    async def sleep(self, seconds: float) -> None:
        """Wait for so many of the account's seconds."""
        await asyncio.sleep(seconds / self._speed)

    def _at(self, base_time: float) -> float:
        """The account's time at a time of the base."""
        return self._start + (base_time - self._base_start) * self._speed
