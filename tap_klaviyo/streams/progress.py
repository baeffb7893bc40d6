"""Logs how far a read is, every few seconds, and a summary at the end.

In the log both are lines of JSON after ``PROGRESS:`` and ``SUMMARY:``, as the SDK writes its ``METRIC:``.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from klaviyo_client.errors import KlaviyoError
from klaviyo_client.http.usage import Usage, UsageWindow
from klaviyo_client.plugin.progress import ProgressDisplay, Status, terminal
from tap_klaviyo.model import Slice
from tap_klaviyo.reading.batches import Batch
from tap_klaviyo.rows.values import bookmark_text
from tap_klaviyo.streams.failures import leaves_others

logger = logging.getLogger("tap-klaviyo")

# Below this fraction, the time that is left cannot be estimated.
_MIN_FRACTION = 0.01


@dataclass
class CollectionProgress:
    """How far the read of one collection is.

    Attributes:
        collection: its name.
        rows: how many were written, by table.
        began: when, in seconds on the clock.
        usage_before: the requests that were sent before it, by operation.
        slice: what was read last.
        first, last: the bookmarks (RFC 3339) up to which the first page and the latest were read completely; None where
            pages come in no order of time.
    """

    collection: str
    rows: dict[str, int]
    began: float
    usage_before: Mapping[str, Usage]
    slice: Slice | None = None
    first: str | None = None
    last: str | None = None

    def add(self, batch: Batch) -> None:
        """Count a page that was written."""
        for name, encoded in batch.encoded.items():
            self.rows[name] += encoded.count
        for name, rows in batch.rows.items():
            self.rows[name] += len(rows)
        # Not where the slice begins: years in which the account was not there yet would count as done.
        self.first = self.first or batch.bookmark
        self.last = batch.bookmark
        self.slice = batch.slice or self.slice

    def fraction(self, until: datetime) -> float | None:
        """How much of the time span is read, in [0, 1]; None where that cannot be known."""
        if self.first is None or self.last is None:
            return None
        first, last = datetime.fromisoformat(self.first), datetime.fromisoformat(self.last)
        return min(1.0, max(0.0, (last - first) / (until - first))) if first < until else None


class Progress(ProgressDisplay):
    """The progress of one run: its collections, one after the other. Only the main thread counts.

    Args:
        usage: the requests that were sent so far, by operation.
        until: gives where the time span that is read ends.
        waiting: how many look-ups rows wait for.
        quiet: log nothing.
        clock: seconds.

    Attributes:
        SECONDS: how long it waits between two lines.
    """

    SECONDS: ClassVar[float] = 5.0

    def __init__(
        self,
        usage: Callable[[], Mapping[str, Usage]],
        until: Callable[[], datetime],
        *,
        waiting: Callable[[], int] = lambda: 0,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(self.status, logger, interval=self.SECONDS, terminal=terminal())
        self._usage = usage
        self._until = until
        self._waiting = waiting
        self._quiet = quiet
        self._clock = clock
        self._began: float | None = None
        self._current: CollectionProgress | None = None
        self._summed_usage: Mapping[str, Usage] = {}
        self._total_rows = 0
        self._skipped: list[dict[str, Any]] = []
        # When status was called last, and how many rows there were.
        self._last_status = (0.0, 0)
        self._minute = UsageWindow(0.0, {})

    # While it reads ---------------------------------------------------------------------------------------------------

    @contextmanager
    def track(self, collection: str, tables: Iterable[str]) -> Iterator[CollectionProgress]:
        """Track the read of a collection, for these tables; summed up when it ends, and the run when it fails."""
        # What was prefetched of a collection is its own, so no request is between two of them, or before the first.
        usage_before, began = self._summed_usage, self._clock()
        current = CollectionProgress(collection, dict.fromkeys(tables, 0), began, usage_before)
        if self._quiet:
            yield current
            return
        if self._began is None:
            self._began = began
            self._last_status = (began, 0)
            self._minute = UsageWindow(began, usage_before)
            self.__enter__()
        self._current = current
        try:
            yield current
        except BaseException as error:
            # Where the run may go on, the tap decides.
            if not leaves_others(error):
                self._sum_up_collection()
                self.close("failed" if isinstance(error, Exception) else "stopped")
            raise
        finally:
            self._sum_up_collection()

    def status(self) -> Status | None:
        """How far the current collection is; rows a second are of the time since the last call."""
        now, usage, current = self._clock(), self._usage(), self._current
        if current is None:
            return None
        rows = sum(current.rows.values())
        before, total = self._last_status
        self._last_status = (now, self._total_rows + rows)
        seconds = now - before
        rate = (self._total_rows + rows - total) / seconds if seconds > 0 else 0.0
        busy, waiting = self._minute.busiest(now, usage), self._waiting()
        fraction = current.fraction(self._until())
        seconds_left = None
        if fraction is not None and fraction >= _MIN_FRACTION:
            seconds_left = (now - current.began) * (1 - fraction) / fraction
        fields = {
            "collection": current.collection,
            "slice": current.slice and _bounds(current.slice),
            "rows": rows,
            "rows_per_second": round(rate, 1),
            "operation": busy and busy[0],
            "budget_share": busy and round(busy[1], 3),
            "look_ups_waiting": waiting or None,
            "part": fraction if fraction is None else round(fraction, 3),
            "seconds_left": seconds_left if seconds_left is None else round(seconds_left),
        }
        text = f"{current.collection}: {rows:,} rows, {rate:,.0f} a second"
        text += "" if busy is None else f", {busy[1]:.0%} of the limit of {busy[0]} used"
        text += f", {waiting:,} look-ups waiting" if waiting else ""
        text += "" if seconds_left is None else f", about {max(1, round(seconds_left / 60))} minutes left"
        return Status(_line("PROGRESS", fields), text, fraction)

    # Summaries --------------------------------------------------------------------------------------------------------

    def _sum_up_collection(self) -> None:
        current, self._current = self._current, None
        if current is None:
            return
        self._total_rows += sum(current.rows.values())
        usage, before, seconds = self._usage(), current.usage_before, round(self._clock() - current.began, 3)
        self._summed_usage = usage
        requests = {
            name: used.requests - (before[name].requests if name in before else 0) for name, used in usage.items()
        }
        fields = {"collection": current.collection, "seconds": seconds}
        fields |= {"requests": {name: count for name, count in requests.items() if count}, "rows": current.rows}
        logger.info("%s", _line("SUMMARY", fields))

    def add_skipped(self, tables: Iterable[str], error: KlaviyoError) -> None:
        """Add tables or columns that were left out to the summary at the end."""
        self._skipped.append({"skipped": list(tables), "why": str(error)})

    def close(self, ending: str = "done") -> None:
        """Sum up the run. Once: a second call does nothing.

        Args:
            ending: how it ended: done, failed or stopped.
        """
        if self._began is None:
            return
        self.__exit__(None, None, None)
        for entry in self._skipped:
            logger.info("%s", _line("SUMMARY", entry))
        requests = sum(used.requests for used in self._usage().values())
        seconds = round(self._clock() - self._began, 3)
        fields = {"ending": ending, "seconds": seconds, "requests": requests, "rows": self._total_rows}
        logger.info("%s", _line("SUMMARY", fields))
        self._began = None


def _bounds(part: Slice) -> dict[str, Any] | None:
    """What distinguishes a slice from others, as fields of a line; None where nothing does."""
    bounds = {name: bookmark_text(moment) for name, moment in (("start", part.start), ("stop", part.stop)) if moment}
    parent = {} if part.parent is None else {"parent": part.parent["id"]}
    return {**bounds, **parent, **part.filter_set} or None


def _line(kind: str, fields: Mapping[str, Any]) -> str:
    return f"{kind}: {json.dumps({name: value for name, value in fields.items() if value is not None})}"
