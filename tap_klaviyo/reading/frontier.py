"""Which page to ask for next, and which page comes next: slices are cut as the density of their rows shows. Pure.

The account is a row of parts in the order of time. A part is asked for as a whole. When its first page shows that it
holds many more, it is given up where that page ends, and the rest becomes a *gap*, from which slices of a few pages are
cut and read at the same time. So sparse years cost one page, dense days are read by many, and a dense second, which
cannot be cut, is read page after page.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import sqrt

from klaviyo_client.api.pages import RawPage
from klaviyo_client.http.rate_limits import Turn
from tap_klaviyo.model import Slice, SlicePage

SECOND = timedelta(seconds=1)
# A part is given up only when what is left of it is worth more than the page that may be half empty at its end.
_WORTH = 1.3
# Too wide a slice costs a little time, too narrow a one costs calls: densities are believed down at once, up slowly.
_UP, _DOWN = 4.0, 8.0
# Slices of a gap that may be under way before any of them has shown that its density still holds.
_TRUST = 4


@dataclass(frozen=True)
class Times:
    """The bookmarks of a page's first and last resource; None where there are none."""

    first: datetime | None = None
    last: datetime | None = None


@dataclass(eq=False)
class Part:
    """A slice on its way; of a gap, what is left of it.

    Attributes:
        slice: what is read.
        link: where its next page is, None for its first.
        turn: what its next request was waited for with.
    """

    slice: Slice
    link: str | None = None
    is_gap: bool = False
    is_tail: bool = False
    left: float = 1.0  # how many pages are expected of it yet
    origin: Part | None = None
    density: float = 0.0  # of a gap: rows a second
    trust: int = _TRUST  # of a gap: how many of its slices may be under way
    under_way: int = 0  # of a gap: how many are
    pages: deque[RawPage] = field(default_factory=deque)
    begun: bool = False
    busy: bool = False
    ended: bool = False
    cut: datetime | None = None
    error: BaseException | None = None
    turn: Turn | None = None


class Frontier:
    """The parts of one read, in order. Not thread-safe.

    Args:
        slices: the whole, in the order in which its pages are handed out.
        page_size: rows of a full page.
        end: where the settled past ends, for slices that can be cut; None when they cannot.

    Attributes:
        pages_per_slice: how many pages to make a slice of; may be changed at any time.
    """

    def __init__(self, slices: Iterable[Slice], *, page_size: int = 0, end: datetime | None = None) -> None:
        self._rest: Iterator[Slice] = iter(slices)
        self._parts: list[Part] = []
        self._page_size = page_size
        # Slices begin and end with whole seconds, so that none is shorter than one.
        self._end = None if end is None else end.replace(microsecond=0)
        self.pages_per_slice = 4
        self._pull()

    # Asking -----------------------------------------------------------------------------------------------------------

    def has_work(self, room: float) -> bool:
        """Whether ``take`` would give something."""
        return self._next(room) is not None

    def take(self, room: float) -> Part | None:
        """The part to ask for a page, oldest first; None when there is nothing to ask for just now.

        Args:
            room: how many more pages may be held; a part is asked only when there is some left beside what those
                before it will need. Without any, only the part whose turn it is goes on, when none of its pages waits.
        """
        at = self._next(room)
        if at is None:
            return None
        part = self._parts[at]
        if part.is_gap:
            part = self._slice_off(at)
        if part is self._parts[-1]:
            self._pull()
        part.busy = True
        return part

    def _next(self, room: float) -> int | None:
        owed = 0.0
        for at, part in enumerate(self._parts):
            # What is next in turn must go on; but not while its own pages wait, or it would be held whole.
            if part.error is not None or (owed >= room and (at > 0 or part.pages)):
                return None
            waits = part.under_way >= part.trust if part.is_gap else part.busy or part.ended
            # What is changed while we read moves to the tail, so that is read when all else is.
            if not waits and not (part.is_tail and at > 0):
                return at
            # Room is kept for the pages that are still to come before what is asked for.
            owed += part.left - part.busy
        return None

    def _pull(self) -> None:
        """Keep one part that is not begun at the end, while there are any."""
        for part in self._rest:
            self._parts.append(Part(part))
            return

    def _slice_off(self, at: int) -> Part:
        """Cut a slice off a gap, or take what is left of it."""
        gap = self._parts[at]
        start, stop = gap.slice.start, gap.slice.stop
        if start is None or stop is None:
            raise AssertionError("a gap has two ends")
        seconds = self.pages_per_slice * self._page_size / gap.density
        left = (stop - start).total_seconds()
        gap.under_way += 1
        # Nothing must be left that is no second long: Klaviyo answers 400 to an empty window.
        whole_seconds = max(1, int(min(seconds, left)))
        if seconds * _WORTH >= left or whole_seconds >= left:
            part = self._parts[at] = Part(gap.slice, origin=gap, left=gap.left)
            return part
        middle = start + whole_seconds * SECOND
        part = Part(replace(gap.slice, stop=middle), origin=gap, left=self.pages_per_slice)
        gap.slice = replace(gap.slice, start=middle, inner=True)
        gap.left = self._expected(gap)
        self._parts.insert(at, part)
        return part

    def _expected(self, gap: Part) -> float:
        """Pages that a gap holds, if its density holds."""
        start, stop = gap.slice.start, gap.slice.stop
        if start is None or stop is None:
            return 1.0
        return max(1.0, gap.density * (stop - start).total_seconds() / max(1, self._page_size))

    # Answers ----------------------------------------------------------------------------------------------------------

    def answered(self, part: Part, page: RawPage, times: Times) -> None:
        """A page of a part has come."""
        part.busy = False
        part.pages.append(page)
        part.link = page.next
        part.ended = page.next is None
        part.left = 0.0 if part.ended else max(1.0, part.left - 1)
        if part.origin is not None and not part.begun:
            self._learn(part.origin, part.slice, page, times)
        part.begun = True
        if not part.ended and not part.is_tail and self._end is not None:
            self._give_up(part, page, times)

    def failed(self, part: Part, error: BaseException) -> None:
        """A part cannot be read: nothing after it will be handed out."""
        part.busy = False
        part.error = error

    def _learn(self, gap: Part, part: Slice, page: RawPage, times: Times) -> None:
        """What the first page of a slice says of the gap that it was cut from."""
        gap.under_way -= 1
        until = times.last if page.next is not None else part.stop
        if part.start is None or until is None:
            return
        seen = page.size / max((until - part.start).total_seconds(), 1.0)
        if seen < gap.density:
            gap.density = max(seen, gap.density / _DOWN)
        else:
            gap.density = min(seen, gap.density * _UP)
        gap.left = self._expected(gap)
        if page.next is not None:
            gap.trust += 1
        elif page.size * 2 < self._page_size:
            gap.trust = max(_TRUST, gap.trust // 2)

    def _give_up(self, part: Part, page: RawPage, times: Times) -> None:
        """End a part with this page, when so much is left of it that it is better cut."""
        stop = part.slice.stop or self._end
        if times.first is None or times.last is None or stop is None:
            return
        cut = times.last.replace(microsecond=0)
        began = max(times.first, part.slice.start or times.first).replace(microsecond=0)
        if not began < cut < stop:
            return  # a dense second, or the last of the part
        density = page.size / (times.last - times.first).total_seconds()
        if part.origin is not None:
            # One page is a moment of a day with its rushes and nights; what was seen before it counts as much.
            density = sqrt(density * part.origin.density)
        part.left = max(1.0, density * (stop - cut).total_seconds() / max(1, self._page_size))
        if part.left < _WORTH * self.pages_per_slice:
            return
        part.ended, part.cut, part.left = True, cut, 0.0
        at = self._parts.index(part)
        rest = replace(part.slice, start=cut, stop=stop, inner=True)
        gap = Part(rest, is_gap=True, density=density)
        gap.left = self._expected(gap)
        self._parts.insert(at + 1, gap)
        if part.slice.stop is None:
            tail = replace(part.slice, start=stop, stop=None, inner=True)
            self._parts.insert(at + 2, Part(tail, is_tail=True))

    # Handing out ------------------------------------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Whether everything was handed out."""
        return not self._parts

    def pop(self) -> SlicePage | None:
        """The page whose turn it is, None when it has not come yet.

        Raises:
            BaseException: what ``failed`` was told of the part whose turn it is.
        """
        if not self._parts:
            return None
        part = self._parts[0]
        if not part.pages:
            if part.error is not None:
                raise part.error
            return None
        page = part.pages.popleft()
        ended = part.ended and not part.pages
        self._drop_ended()
        return SlicePage(part.slice, page, part.cut if ended else None, ended)

    def _drop_ended(self) -> None:
        while self._parts and self._parts[0].ended and not self._parts[0].pages:
            del self._parts[0]
            if not self._parts:
                self._pull()
