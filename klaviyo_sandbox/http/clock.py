"""The account's time: it can be moved ahead, and pass faster or more slowly than everybody else's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

# Slower than this is standing still; faster, and the years that dates can tell are over within weeks.
SPEEDS = (0.001, 10_000)


class Clock:
    """Seconds since 1970 for the account. Safe to share between threads.

    Neither ``advance`` nor ``hasten`` lets it run backwards, and a new speed holds from the present moment on.

    Args:
        base: the clock that it follows.
        speed: how many seconds pass for the account in one of ``base``'s.
    """

    def __init__(self, base: Callable[[], float], speed: float = 1.0) -> None:
        self._base = base
        self._lock = threading.Lock()
        self._since = self._then = 0.0 if speed == 1.0 else base()
        self._speed = speed

    def __call__(self) -> float:
        with self._lock:
            return self._now(self._base())

    @property
    def speed(self) -> float:
        return self._speed

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass at once."""
        with self._lock:
            self._then += seconds

    def hasten(self, speed: float) -> None:
        """Go on at this speed."""
        with self._lock:
            base = self._base()
            self._since, self._then, self._speed = base, self._now(base), speed

    async def pause(self, seconds: float) -> None:
        """Wait for so many seconds of the account."""
        await asyncio.sleep(seconds / self._speed)

    def _now(self, base: float) -> float:
        return self._then + (base - self._since) * self._speed
