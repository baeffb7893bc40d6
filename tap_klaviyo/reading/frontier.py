"""Chooses the next page to request, and hands the pages out in order. Pure.

Slices are read in order of time. If the first page of a slice shows that many pages follow, the slice ends there, and
the rest (a *gap*) is split into slices of a few pages, which are read in parallel. So sparse years cost one page, dense
days are read by many threads, and a dense second, which cannot be split, is read page after page.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import sqrt

from klaviyo_client.api.links import PageTrail
from klaviyo_client.api.pages import RawPage
from klaviyo_client.http.permits import Permit
from tap_klaviyo.model import Slice, SlicePage
from tap_klaviyo.reading.daily_rhythm import DailyRhythm
from tap_klaviyo.reading.page_times import PageTimes

SECOND = timedelta(seconds=1)
# A slice is cut only when the rest has so many times the pages of a new slice: each cut may cost a half-empty page.
_MIN_GAIN = 1.3
# The part of a page that a slice leaves free: a few rows more than thought would cost a page of their own.
_SPARE = 0.1
# How many times a density may rise or fall by one page. Too wide a slice costs a little time, too narrow a one costs
# calls: so it may fall further than it may rise.
_MAX_RISE, _MAX_FALL = 4.0, 8.0
# Slices of a gap that may be in flight before any of them has shown that its density still holds.
_MIN_IN_FLIGHT = 4


@dataclass(eq=False)
class SliceRead:
    """The state of one slice while it is read, or of a gap: then of the rest that was not split off yet.

    Attributes:
        slice: what is read.
        link: the address of its next page, None for its first.
        is_gap: whether slices are still to be split off it; a gap itself is never requested.
        is_tail: whether it begins where the settled past ends.
        pages_expected: how many pages are still to come, those in flight included.
        gap: the gap that it was split off, None for others.
        density: of a gap: rows a second, weighted by the hour of the day.
        max_in_flight: of a gap: how many of its slices may be in flight before their first page has come.
        in_flight: of a gap: how many are.
        pages: pages that have come and were not handed out.
        has_begun: whether its first page has come.
        is_requested: whether a request for its next page is in flight.
        ended: whether its last page has come, or the one after which it was cut.
        cut: where it was cut; what follows belongs to a gap.
        latest: the bookmark of the last resource so far.
        is_ordered: whether its pages came in order of time so far; one that did not is read to its end by its cursor.
        error: why it cannot be read.
        permit: what its next request is sent with.
        trail: its pages so far and the links between them, for whoever requests them.
        restarts: how often it was begun again, because a cursor had expired.
    """

    slice: Slice
    link: str | None = None
    is_gap: bool = False
    is_tail: bool = False
    pages_expected: float = 1.0
    gap: SliceRead | None = None
    density: float = 0.0
    max_in_flight: int = _MIN_IN_FLIGHT
    in_flight: int = 0
    pages: deque[RawPage] = field(default_factory=deque)
    has_begun: bool = False
    is_requested: bool = False
    ended: bool = False
    cut: datetime | None = None
    latest: datetime | None = None
    is_ordered: bool = True
    error: BaseException | None = None
    permit: Permit | None = None
    trail: PageTrail | None = None
    restarts: int = 0

    @property
    def is_waiting(self) -> bool:
        """Whether nothing of it can be requested before an answer comes, or at all."""
        return self.in_flight >= self.max_in_flight if self.is_gap else self.is_requested or self.ended

    @property
    def pages_to_request(self) -> float:
        """How many pages are still to be requested, as far as is known."""
        return self.pages_expected - self.is_requested


class Frontier:
    """The slices of one read, in order. Not thread-safe.

    Args:
        slices: the whole, in the order in which its pages are handed out.
        page_size: rows of a full page.
        end: gives where the settled past ends, for slices that can be cut; None when they cannot. Only asked when there
            was an answer, which shows Klaviyo's clock.

    Attributes:
        pages_per_slice: how many pages a slice that is split off a gap should have; may be changed at any time.
    """

    def __init__(
        self, slices: Iterable[Slice], *, page_size: int = 0, end: Callable[[], datetime] | None = None
    ) -> None:
        self._slices: Iterator[Slice] = iter(slices)
        self._reads: list[SliceRead] = []
        self._page_size = page_size
        self._end = end
        self._rhythm = DailyRhythm()
        self.pages_per_slice = 4
        self._append_slice()

    # Requests ---------------------------------------------------------------------------------------------------------

    def has_work(self, room: float) -> bool:
        """Whether ``take`` would give something."""
        return self._next(room) is not None

    def take(self, room: float) -> SliceRead | None:
        """The slice to request a page of, oldest first; None when there is nothing to request just now.

        Args:
            room: how many more pages may be held. A slice is taken only when room is left beside what the slices
                before it will need. Without any, only the first slice goes on, and only when none of its pages waits.
        """
        index = self._next(room)
        if index is None:
            return None
        read = self._reads[index]
        if read.is_gap:
            read = self._split_gap(index)
        if read is self._reads[-1]:
            self._append_slice()
        read.is_requested = True
        return read

    def _next(self, room: float) -> int | None:
        """The index of what to request a page of; None when there is nothing, or no room for it."""
        reserved = 0.0
        for index, read in enumerate(self._reads):
            if read.error is not None or not self._has_room(room - reserved, index):
                return None
            # What is changed while we read moves to the tail, so that is read when all else is.
            if not read.is_waiting and (index == 0 or not read.is_tail):
                return index
            reserved += read.pages_to_request
        return None

    def _has_room(self, room: float, index: int) -> bool:
        """Whether a page may be requested, with this room left beside what earlier slices need."""
        # The first slice must always go on; but not while its own pages wait, or all of it would be held.
        return room > 0 or (index == 0 and not self._reads[0].pages)

    def _append_slice(self) -> None:
        """Keep one slice that has not begun at the end, while there are any."""
        for part in self._slices:
            self._reads.append(SliceRead(part))
            return

    def _split_gap(self, index: int) -> SliceRead:
        """Split a slice off a gap, or take what is left of the gap."""
        gap = self._reads[index]
        start, stop = gap.slice.start, gap.slice.stop
        if start is None or stop is None:
            raise AssertionError("a gap has two ends")
        rows = (self.pages_per_slice - _SPARE) * self._page_size
        seconds = self._rhythm.seconds_of(start, rows / gap.density)
        seconds_left = (stop - start).total_seconds()
        gap.in_flight += 1
        # Nothing must be left that is no second long: Klaviyo answers 400 to an empty window.
        whole_seconds = max(1, int(min(seconds, seconds_left)))
        if seconds * _MIN_GAIN >= seconds_left or whole_seconds >= seconds_left:
            read = self._reads[index] = SliceRead(gap.slice, gap=gap, pages_expected=gap.pages_expected)
            return read
        middle = start + whole_seconds * SECOND
        read = SliceRead(replace(gap.slice, stop=middle), gap=gap, pages_expected=self.pages_per_slice)
        gap.slice = replace(gap.slice, start=middle, inner=True)
        gap.pages_expected = self._expect_pages(gap)
        self._reads.insert(index, read)
        return read

    def _expect_pages(self, gap: SliceRead) -> float:
        """How many pages a gap has, if its density holds."""
        start, stop = gap.slice.start, gap.slice.stop
        if start is None or stop is None:
            return 1.0
        return max(1.0, gap.density * self._rhythm.weigh(start, stop) / max(1, self._page_size))

    # Answers ----------------------------------------------------------------------------------------------------------

    def add_page(self, read: SliceRead, page: RawPage, times: PageTimes) -> None:
        """Take the answer to a request: the next page of a slice."""
        read.is_requested = False
        read.pages.append(page)
        read.link = page.next
        read.ended = page.next is None
        read.pages_expected = 0.0 if read.ended else max(1.0, read.pages_expected - 1)
        start = read.latest or read.slice.start
        stop = read.slice.stop if read.ended else times.last
        weighted = 0.0
        if start is not None and stop is not None:
            weighted = self._rhythm.weigh(start, stop)
            self._rhythm.learn(start, stop, page.size)
        if read.gap is not None and not read.has_begun:
            self._update_density(read.gap, page, weighted)
        read.has_begun = True
        if not read.ended and not read.is_tail and self._end is not None:
            self._cut_if_dense(read, page, times)

    def add_error(self, read: SliceRead, error: BaseException) -> None:
        """Take the failure of a request: nothing after this slice will be handed out."""
        read.is_requested = False
        read.error = error

    def _update_density(self, gap: SliceRead, page: RawPage, weighted: float) -> None:
        """Adapt a gap's density to what the first page of one of its slices shows of so many weighted seconds."""
        gap.in_flight -= 1
        if weighted <= 0:
            return
        density = page.size / max(weighted, 1.0)
        if density < gap.density:
            gap.density = max(density, gap.density / _MAX_FALL)
        else:
            gap.density = min(density, gap.density * _MAX_RISE)
        gap.pages_expected = self._expect_pages(gap)
        if page.next is not None:
            gap.max_in_flight += 1
        elif page.size * 2 < self._page_size:
            gap.max_in_flight = max(_MIN_IN_FLIGHT, gap.max_in_flight // 2)

    def _cut_if_dense(self, read: SliceRead, page: RawPage, times: PageTimes) -> None:
        """End a slice with this page, and make the rest a gap, when the rest has many pages."""
        # Slices begin and end with whole seconds, so that none is shorter than one.
        stop = read.slice.stop or (self._end and self._end().replace(microsecond=0))
        if times.first is None or times.last is None or stop is None:
            return
        is_first = read.latest is None
        read.is_ordered = read.is_ordered and (read.latest is None or read.latest <= times.first <= times.last)
        read.latest = times.last
        cut = times.last.replace(microsecond=0)
        began = max(times.first, read.slice.start or times.first).replace(microsecond=0)
        if not (read.is_ordered and began < cut < stop):
            return  # a dense second, or the last of the slice
        density = page.size / self._rhythm.weigh(times.first, times.last)
        if read.gap is not None and is_first:
            # It may be a moment's rush: what was seen before it counts as much. For later pages somebody may wait soon.
            density = sqrt(density * read.gap.density)
        read.pages_expected = max(1.0, density * self._rhythm.weigh(cut, stop) / max(1, self._page_size))
        if read.pages_expected < _MIN_GAIN * self.pages_per_slice:
            return
        ordered_until = times.cut()
        read.is_ordered = ordered_until is not None
        if ordered_until is None or ordered_until <= began:
            return
        cut = ordered_until
        read.ended, read.cut, read.pages_expected = True, cut, 0.0
        index = self._reads.index(read)
        gap = SliceRead(replace(read.slice, start=cut, stop=stop, inner=True), is_gap=True, density=density)
        gap.pages_expected = self._expect_pages(gap)
        self._reads.insert(index + 1, gap)
        if read.slice.stop is None:
            tail = replace(read.slice, start=stop, stop=None, inner=True)
            self._reads.insert(index + 2, SliceRead(tail, is_tail=True))

    @property
    def pages_expected(self) -> float:
        """How many pages are still to be handed out, as far as those that came show."""
        return sum(len(read.pages) + read.pages_expected for read in self._reads)

    # Handing out ------------------------------------------------------------------------------------------------------

    @property
    def is_done(self) -> bool:
        """Whether everything was handed out."""
        return not self._reads

    def is_first(self, read: SliceRead) -> bool:
        """Whether nothing is handed out before what waits of this slice."""
        return bool(self._reads) and self._reads[0] is read

    def pop(self) -> SlicePage | None:
        """The page whose turn it is, None when it has not come yet.

        Raises:
            BaseException: the error of the slice whose turn it is, as ``add_error`` took it.
        """
        if not self._reads:
            return None
        read = self._reads[0]
        if not read.pages:
            if read.error is not None:
                raise read.error
            return None
        page = read.pages.popleft()
        ended = read.ended and not read.pages
        self._drop_ended()
        return SlicePage(read.slice, page, read.cut if ended else None, ended)

    def _drop_ended(self) -> None:
        while self._reads and self._reads[0].ended and not self._reads[0].pages:
            del self._reads[0]
            if not self._reads:
                self._append_slice()
