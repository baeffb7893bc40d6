"""Plans the slices of a collection from a bookmark on, and tracks the bookmark: every rule about edges. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from klaviyo_client.api import filters
from klaviyo_client.api.operations import Operation, operation
from tap_klaviyo.model import Collection, Resource, Slice
from tap_klaviyo.reading.page_times import places_too_late

# Where only `>` exists, going back one tick makes it `>=`: rows of the bookmark's own second come again.
TICK = timedelta(seconds=1)
# Klaviyo answers 400 to a lower bound in its future or its last five seconds, and is still writing these down.
SETTLE = timedelta(seconds=10)

_LOWER = frozenset(("greater-or-equal", "greater-than"))
_UPPER = frozenset(("less-than", "less-or-equal"))


def plan_slices(
    collection: Collection,
    *,
    since: datetime | None,
    now: datetime,
    parents: Iterable[Resource] = (),
    extra_conditions: Sequence[tuple[str, ...]] = ((),),
) -> list[Slice]:
    """The slices that hold every row of the collection at or after ``since``, one filter set after the other.

    They have no upper bound: a row that is changed while we read, or dated in the future, is not lost.

    Args:
        collection: what is read.
        since: the bookmark; None reads everything.
        now: when the run began.
        parents: the resources that the slices belong to, where the collection has parents.
        extra_conditions: conditions of the user's own; one slice for each set of them.
    """
    start = None if since is None else min(since, now - SETTLE)
    slices = [_parent_slice(collection, parent) for parent in parents] if collection.parent else [Slice()]
    return [
        replace(
            part,
            conditions=(*part.conditions, *_set_conditions(filter_set), *extra),
            start=start,
            filter_set=filter_set,
        )
        for filter_set in collection.filter_sets
        for extra in extra_conditions
        for part in slices
    ]


def _parent_slice(collection: Collection, parent: Resource) -> Slice:
    if collection.parent_filter is None:
        return Slice({"id": parent["id"]}, parent=parent)
    if "any" in operation(collection.operation).operators(collection.parent_filter):
        condition = filters.condition("any", collection.parent_filter, [parent["id"]])
    else:
        condition = filters.condition("equals", collection.parent_filter, parent["id"])
    return Slice(conditions=(condition,), parent=parent)


def _set_conditions(filter_set: Mapping[str, str | bool]) -> tuple[str, ...]:
    return tuple(filters.condition("equals", name, value) for name, value in filter_set.items())


def can_be_cut(collection: Collection, operation: Operation) -> bool:
    """Whether Klaviyo gives any span of the collection's time alone, in the order of time."""
    if collection.bookmark is None or not collection.has_order or collection.bookmark not in operation.sort:
        return False
    operators = operation.operators(collection.bookmark)
    return bool(operators & _LOWER and operators & _UPPER)


def conditions(part: Slice, collection: Collection, operation: Operation) -> tuple[str, ...]:
    """Every filter condition of a slice: its own, and those of its window as the operation's operators can say it.

    Where no operator fits exactly, the condition is a little wider: ``own_rows`` leaves out the rest.
    """
    name = collection.bookmark
    if name is None:
        return part.conditions
    operators = operation.operators(name)
    terms = list(part.conditions)
    if part.start is not None and operators & _LOWER:
        inclusive = "greater-or-equal" in operators
        terms.append(
            filters.condition("greater-or-equal", name, part.start)
            if inclusive
            else filters.condition("greater-than", name, part.start - TICK)
        )
    if part.stop is not None:
        terms.append(filters.condition("less-than" if "less-than" in operators else "less-or-equal", name, part.stop))
    return tuple(terms)


class BookmarkTracker:
    """How far a collection is read: the bookmark up to which nothing is missing.

    Args:
        now: gives when the run began; no bookmark passes it. What Klaviyo's clock showed then is known only once
            there was an answer.
        ordered: whether pages come in bookmark order, so that a bookmark holds at each page's end.
    """

    def __init__(self, *, now: Callable[[], datetime], ordered: bool) -> None:
        self._now = now
        self._ordered = ordered
        self._highest: str | None = None
        self._latest: list[str] = []
        self._places = 0

    def after_page(self, values: Iterable[str | None]) -> str | None:
        """The bookmark after a page with these values (RFC 3339, UTC), None when none holds there.

        It stays some rows behind: the next page may begin with what stands a few places too late.
        """
        known = [value for value in values if value is not None]
        for value in known:
            if self._highest is not None and value < self._highest:
                # Klaviyo has been seen to break the order it was asked for; then a bookmark holds only at the end.
                self._ordered = False
            else:
                self._highest = value
        self._places = max(self._places, places_too_late(len(known)))
        self._latest = [*self._latest, *known][-self._places - 1 :]
        return self._settled(self._latest[0]) if self._ordered and self._latest else None

    def at_end(self) -> str | None:
        """The bookmark when every slice is read, None when no row came."""
        return None if self._highest is None else self._settled(self._highest)

    def _settled(self, value: str) -> str:
        return min(value, (self._now() - SETTLE).astimezone(UTC).isoformat(timespec="seconds"))
