"""How far a run is: a line in the log now and then, or a bar."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import ClassVar

from klaviyo_client.http.usage import Usage, UsageWindow
from klaviyo_client.plugin.progress import ProgressDisplay, Status, terminal

logger = logging.getLogger("target-klaviyo")


class Progress(ProgressDisplay):
    """Says every so often how many records came, and what became of them.

    Args:
        records: how many records came so far.
        outcomes: what became of them, in words, without personal data.
        usage: the requests that were sent, by operation; the line names the operation whose budget is used most.
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
        usage: Callable[[], Mapping[str, Usage]] = dict,
        to_come: Callable[[], int | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(self.status, logger, interval=self.SECONDS, terminal=terminal())
        self._records = records
        self._outcomes = outcomes
        self._usage = usage
        self._to_come = to_come
        self._clock = clock
        self._last = (clock(), 0)
        self._minute = UsageWindow(clock(), {})

    def status(self) -> Status:
        """How far it is; the records a second are those since this was asked last."""
        now, records = self._clock(), self._records()
        before, had = self._last
        self._last = (now, records)
        rate = (records - had) / (now - before) if now > before else 0.0
        to_come = self._to_come()
        line = f"{records:,} records taken in, {rate:,.0f} a second; {self._outcomes()}"
        line += self._budget(now) + _estimate(to_come, rate)
        return Status(line, line, records / (records + to_come) if to_come and records else None)

    def _budget(self, now: float) -> str:
        """The operation of which most of what it may have was used in the last minute."""
        found = self._minute.busiest(now, self._usage())
        return "" if found is None else f"; {found[1]:.0%} of the limit of {found[0]} used"


def _estimate(to_come: int | None, rate: float) -> str:
    if to_come is None or rate <= 0:
        return ""
    return f"; {to_come:,} to come, in some {max(1, round(to_come / rate / 60))} minutes"
