"""Which resources of a page belong to its slice, and which to the slice before or after. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from tap_klaviyo.model import Collection, Resource, Slice
from tap_klaviyo.rows.values import ConversionError, as_datetime, bookmark_text

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


def latest_listed_time(resource: Resource, collection: Collection, parent: Resource | None) -> str | None:
    """The latest of the times (RFC 3339 in UTC) to which a collection's dotted bookmark leads; None where it has none.

    Where the collection has parents, of the entries that name this parent alone.
    """
    *names, last = (collection.bookmark or "").split(".")
    value: Any = resource.get("attributes")
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    entries = [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
    if parent is not None and collection.parent_filter is not None:
        owner = collection.parent_filter.rsplit(".", 1)[-1]
        entries = [entry for entry in entries if entry.get(owner) == parent["id"]]
    times = []
    for entry in entries:
        with contextlib.suppress(ConversionError):
            times.append(as_datetime(entry.get(last)))
    return max(times, default=None)
