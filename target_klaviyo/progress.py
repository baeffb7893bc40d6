"""A line in the log now and then: how far a run is."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import ClassVar

logger = logging.getLogger("target-klaviyo")


class Progress:
    """While it is entered, a thread says every so often how many records came, and what became of them.

    A thread, so that taking in a record costs no look at the clock, and so that waiting for Klaviyo is seen too.

    Args:
        records: how many records came so far.
        outcomes: what became of them, in words, without personal data.

    Attributes:
        SECONDS: how long it is silent.
    """

    SECONDS: ClassVar[float] = 30.0

    def __init__(
        self, records: Callable[[], int], outcomes: Callable[[], str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._records = records
        self._outcomes = outcomes
        self._clock = clock
        self._last = (clock(), 0)
        self._thread: threading.Thread | None = None
        self._over = threading.Event()

    def say(self) -> None:
        """Log one line; the records a second are those since the last one."""
        now, records = self._clock(), self._records()
        before, had = self._last
        self._last = (now, records)
        rate = (records - had) / (now - before) if now > before else 0.0
        logger.info("%s records taken in, %s a second; %s", f"{records:,}", f"{rate:,.0f}", self._outcomes())

    def __enter__(self) -> None:
        self._over.clear()
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _talk(self) -> None:
        while not self._over.wait(self.SECONDS):
            self.say()
