"""The progress of a run: a line in the log now and then, or a bar."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import ClassVar

from klaviyo_client.http.usage import Usage, UsageWindow
from klaviyo_client.plugin.progress import ProgressDisplay, Status, terminal

logger = logging.getLogger("target-klaviyo")


class Progress(ProgressDisplay):
    """Shows every so often how many records came, and what became of them.

    Args:
        records: how many records came so far.
        outcomes: what became of them, in words, without personal data.
        usage: the requests that were sent, by operation; the line names the operation whose budget is used most.
        expected: how many records are still to come, None when unknown; the line says how long they will take.

    Attributes:
        SECONDS: the time between two lines.
    """

    SECONDS: ClassVar[float] = 30.0

    def __init__(
        self,
        records: Callable[[], int],
        outcomes: Callable[[], str],
        *,
        usage: Callable[[], Mapping[str, Usage]] = dict,
        expected: Callable[[], int | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(self.status, logger, interval=self.SECONDS, terminal=terminal())
        self._records = records
        self._outcomes = outcomes
        self._usage = usage
        self._expected = expected
        self._clock = clock
        self._last = (clock(), 0)
        self._minute = UsageWindow(clock(), {})

    def status(self) -> Status:
        """The progress now; the records a second are those since the last call."""
        now, records = self._clock(), self._records()
        last_time, last_records = self._last
        self._last = (now, records)
        rate = (records - last_records) / (now - last_time) if now > last_time else 0.0
        expected = self._expected()
        line = f"{records:,} records read, {rate:,.0f} a second; {self._outcomes()}"
        line += self._budget(now) + _estimate(expected, rate)
        return Status(line, line, records / (records + expected) if expected and records else None)

    def _budget(self, now: float) -> str:
        """The operation that used most of its limit in the last minute, in words."""
        busiest = self._minute.busiest(now, self._usage())
        return "" if busiest is None else f"; {busiest[1]:.0%} of the limit of {busiest[0]} used"


def _estimate(expected: int | None, rate: float) -> str:
    if expected is None or rate <= 0:
        return ""
    return f"; {expected:,} to come, in about {max(1, round(expected / rate / 60))} minutes"
