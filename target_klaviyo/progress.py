"""A line in the log now and then: how far a run is."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import ClassVar

from klaviyo_client.limits import Spent

logger = logging.getLogger("target-klaviyo")


class Progress:
    """While it is entered, a thread says every so often how many records came, and what became of them.

    A thread, so that taking in a record costs no look at the clock, and so that waiting for Klaviyo is seen too.

    Args:
        records: how many records came so far.
        outcomes: what became of them, in words, without personal data.
        spent: the requests that were sent, by operation; the line names the operation whose budget is used most.
        to_come: how many records are still to come, None when nobody knows; the line says how long they will take.

    Attributes:
        SECONDS: how long it is silent.
    """

    SECONDS: ClassVar[float] = 30.0

    def __init__(
        self,
        records: Callable[[], int],
        outcomes: Callable[[], str],
        *,
        spent: Callable[[], Mapping[str, Spent]] = dict,
        to_come: Callable[[], int | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._records = records
        self._outcomes = outcomes
        self._spent = spent
        self._to_come = to_come
        self._clock = clock
        self._had: Mapping[str, Spent] = {}
        self._last = (clock(), 0)
        self._thread: threading.Thread | None = None
        self._over = threading.Event()

    def say(self) -> None:
        """Log one line; the records a second are those since the last one."""
        now, records = self._clock(), self._records()
        before, had = self._last
        self._last = (now, records)
        rate = (records - had) / (now - before) if now > before else 0.0
        line = f"{records:,} records taken in, {rate:,.0f} a second; {self._outcomes()}"
        logger.info("%s", line + self._budget(now - before) + self._estimate(rate))

    def _budget(self, seconds: float) -> str:
        """The operation of which most of what it may have was used since the last line."""
        spent, had = self._spent(), self._had
        self._had = spent
        shares = {
            name: (found.requests - (had[name].requests if name in had else 0)) * 60 / (found.per_minute * seconds)
            for name, found in spent.items()
            if seconds > 0
        }
        name = max(shares, key=lambda name: shares[name], default=None)
        return "" if name is None or not shares[name] else f"; {shares[name]:.0%} of the limit of {name} used"

    def _estimate(self, rate: float) -> str:
        to_come = self._to_come()
        if to_come is None or rate <= 0:
            return ""
        return f"; {to_come:,} to come, in some {max(1, round(to_come / rate / 60))} minutes"

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
