"""How far a read is, said every few seconds; and what came of it, at the end.

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

from klaviyo_client.errors import KlaviyoError, NotAllowed
from klaviyo_client.http.usage import Usage, UsageWindow
from klaviyo_client.plugin.progress import ProgressDisplay, Status, terminal
from tap_klaviyo.model import Slice
from tap_klaviyo.reading.batches import Batch
from tap_klaviyo.rows.values import bookmark_text

logger = logging.getLogger("tap-klaviyo")

# Below this, what is left is anybody's guess.
_LEAST_PART = 0.01


@dataclass
class Pass:
    """One pass over a collection.

    Attributes:
        collection: its name.
        rows: how many were written, by table.
        began: when, in seconds on the clock.
        had: the requests that were sent before it, by operation.
        slice: what was read last.
        first, last: the bookmarks (RFC 3339) up to which the first page and the latest were read completely; None where
            pages come in no order of time.
    """

    collection: str
    rows: dict[str, int]
    began: float
    had: Mapping[str, Usage]
    slice: Slice | None = None
    first: str | None = None
    last: str | None = None

    def add(self, batch: Batch) -> None:
        """A page was written."""
        for name, lines in batch.lines.items():
            self.rows[name] += lines.count
        for name, rows in batch.rows.items():
            self.rows[name] += len(rows)
        # Not where the slice begins: years in which the account was not there yet would count as done.
        self.first = self.first or batch.bookmark
        self.last = batch.bookmark
        self.slice = batch.slice or self.slice

    def part(self, until: datetime) -> float | None:
        """How much of the time that is read lies behind, in [0, 1]; None where that cannot be known."""
        if self.first is None or self.last is None:
            return None
        first, last = datetime.fromisoformat(self.first), datetime.fromisoformat(self.last)
        return min(1.0, max(0.0, (last - first) / (until - first))) if first < until else None


class Progress(ProgressDisplay):
    """One run's passes, one after the other. Counting is the main thread's business.

    Args:
        usage: the requests that were sent so far, by operation.
        until: where the time that is read ends.
        quiet: nothing is to be said.
        clock: seconds.

    Attributes:
        SECONDS: how long it is silent.
    """

    SECONDS: ClassVar[float] = 5.0

    def __init__(
        self,
        usage: Callable[[], Mapping[str, Usage]],
        until: datetime,
        *,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(self.status, logger, interval=self.SECONDS, terminal=terminal())
        self._usage = usage
        self._until = until
        self._quiet = quiet
        self._clock = clock
        self._began: float | None = None
        self._now: Pass | None = None
        self._summed: Mapping[str, Usage] = {}
        self._total = 0
        self._skipped: list[dict[str, Any]] = []
        self._last = (0.0, 0)
        self._minute = UsageWindow(0.0, {})

    # While it reads ---------------------------------------------------------------------------------------------------

    @contextmanager
    def reading(self, collection: str, tables: Iterable[str]) -> Iterator[Pass]:
        """A pass over a collection, for these tables; it is summed up when it ends, and the run when it fails."""
        # What a pass asked for ahead of its turn is its own, so no request is between two passes, or before the first.
        had, began = self._summed, self._clock()
        current = Pass(collection, dict.fromkeys(tables, 0), began, had)
        if self._quiet:
            yield current
            return
        if self._began is None:
            self._began = began
            self._last = (began, 0)
            self._minute = UsageWindow(began, had)
            self.__enter__()
        self._now = current
        try:
            yield current
        except NotAllowed:
            raise  # the run goes on
        except BaseException as error:
            self._sum_up_pass()
            self.close("failed" if isinstance(error, Exception) else "stopped")
            raise
        finally:
            self._sum_up_pass()

    def status(self) -> Status | None:
        """How far the pass is; rows a second are of the time since this was asked last."""
        now, usage, current = self._clock(), self._usage(), self._now
        if current is None:
            return None
        rows = sum(current.rows.values())
        before, total = self._last
        self._last = (now, self._total + rows)
        seconds = now - before
        rate = (self._total + rows - total) / seconds if seconds > 0 else 0.0
        busy = self._minute.busiest(now, usage)
        part = current.part(self._until)
        left = (now - current.began) * (1 - part) / part if part is not None and part >= _LEAST_PART else None
        said = {
            "collection": current.collection,
            "slice": current.slice and _bounds(current.slice),
            "rows": rows,
            "rows_per_second": round(rate, 1),
            "operation": busy and busy[0],
            "budget_share": busy and round(busy[1], 3),
            "part": part if part is None else round(part, 3),
            "seconds_left": left if left is None else round(left),
        }
        text = f"{current.collection}: {rows:,} rows, {rate:,.0f} a second"
        text += "" if busy is None else f", {busy[1]:.0%} of the limit of {busy[0]} used"
        text += "" if left is None else f", some {max(1, round(left / 60))} minutes left"
        return Status(_line("PROGRESS", said), text, part)

    # What came of it --------------------------------------------------------------------------------------------------

    def _sum_up_pass(self) -> None:
        current, self._now = self._now, None
        if current is None:
            return
        self._total += sum(current.rows.values())
        usage, seconds = self._usage(), round(self._clock() - current.began, 3)
        self._summed = usage
        requests = {
            name: found.requests - (current.had[name].requests if name in current.had else 0)
            for name, found in usage.items()
        }
        said = {"collection": current.collection, "seconds": seconds}
        said |= {"requests": {name: count for name, count in requests.items() if count}, "rows": current.rows}
        logger.info("%s", _line("SUMMARY", said))

    def skipped(self, tables: Iterable[str], error: KlaviyoError) -> None:
        """Tables or columns were left out; it is said at once, and again at the end."""
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
        requests = sum(found.requests for found in self._usage().values())
        seconds = round(self._clock() - self._began, 3)
        said = {"ending": ending, "seconds": seconds, "requests": requests, "rows": self._total}
        logger.info("%s", _line("SUMMARY", said))
        self._began = None


def _bounds(part: Slice) -> dict[str, Any] | None:
    """What tells a slice from others; None where there are none."""
    bounds = {name: bookmark_text(moment) for name, moment in (("start", part.start), ("stop", part.stop)) if moment}
    parent = {} if part.parent is None else {"parent": part.parent["id"]}
    return {**bounds, **parent, **part.filter_set} or None


def _line(kind: str, said: Mapping[str, Any]) -> str:
    return f"{kind}: {json.dumps({name: value for name, value in said.items() if value is not None})}"
