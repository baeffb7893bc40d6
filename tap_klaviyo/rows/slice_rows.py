"""Which resources of a page belong to its slice, and which to the slice before or after. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tap_klaviyo.model import Slice
from tap_klaviyo.rows.values import bookmark_text


def own_rows(part: Slice, times: Sequence[str | None], cut: str | None = None) -> range:
    """Which resources of a page of the slice are its own; the others come with the slice before or after.

    Args:
        part: the slice.
        times: the bookmark of each resource (RFC 3339 in UTC), None where it has none.
        cut: the bookmark from which on the slice was given up: what follows belongs to other slices. None when it was
            not given up.
    """
    first, last = 0, len(times)
    if part.inner and part.start is not None:
        start = bookmark_text(part.start)
        while first < last and (time := times[first]) is not None and time < start:
            first += 1
    stops = [bound for bound in (cut, None if part.stop is None else bookmark_text(part.stop)) if bound is not None]
    if stops:
        stop = min(stops)
        while last > first and (time := times[last - 1]) is not None and time >= stop:
            last -= 1
    return range(first, last)
