"""The bookmarks of a page, and from when on its slice may be given up after it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

# How many places too late a resource may stand: some, and one for so many of a page.
_MARGIN, _MARGIN_PART = 3, 20


def places_too_late(size: int) -> int:
    """How many places too late a resource may stand where pages have this size."""
    return _MARGIN + size // _MARGIN_PART


@dataclass(frozen=True)
class PageTimes:
    """The bookmarks of a page's first and last resource; None where there are none.

    Attributes:
        every: gives those of all of its resources, for a page after which a slice may be cut; None where nobody asks.
    """

    first: datetime | None = None
    last: datetime | None = None
    every: Callable[[], Sequence[datetime | None]] | None = None

    def cut(self) -> datetime | None:
        """From when on the page's slice may be given up after it; None where its resources come in no order of time.

        Klaviyo has been seen to break the order that it was asked for. What stands a few places too late, on the next
        page, is no older than what stands so many places before this one's end.
        """
        moments = [self.first, self.last] if self.every is None else list(self.every())
        known = [moment for moment in moments if moment is not None]
        if len(known) < len(moments) or any(later < earlier for earlier, later in pairwise(known)):
            return None
        places = 0 if self.every is None else places_too_late(len(known))
        return known[max(0, len(known) - 1 - places)].replace(microsecond=0)
