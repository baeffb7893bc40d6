"""Which resources of a page belong to its slice, and which to the slice before or after. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tap_klaviyo.model import Slice
from tap_klaviyo.rows.values import bookmark_text

# After every time.
_END = "~"


def own_rows(part: Slice, times: Sequence[str | None], cut: str | None = None) -> Sequence[int]:
    """Which resources of a page of the slice are its own; the others come with the slice before or after.

    Whatever their places: Klaviyo has been seen to break the order that it was asked for.

    Args:
        part: the slice.
        times: the bookmark of each resource (RFC 3339 in UTC), None where it has none: such a one is every slice's own.
        cut: the bookmark from which on the slice was given up: what follows belongs to other slices. None when it was
            not given up.

    Returns:
        Their positions, in order.
    """
    start = bookmark_text(part.start) if part.inner and part.start is not None else ""
    stop = min(bound for bound in (cut, _END if part.stop is None else bookmark_text(part.stop)) if bound is not None)
    if not start and stop == _END:
        return range(len(times))
    return [place for place, time in enumerate(times) if time is None or start <= time < stop]
