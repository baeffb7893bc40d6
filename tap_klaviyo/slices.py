"""A collection and a bookmark become slices. Pure; owns every rule about edges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from klaviyo_client import protocol
from klaviyo_client.operations import Operation
from tap_klaviyo.model import Collection, Resource, Slice

# Where only `>` exists, going back one tick makes it `>=`: rows of the bookmark's own second come again.
TICK = timedelta(seconds=1)
# Klaviyo answers 400 to a bound in its future, and is still writing down the last seconds.
SETTLE = timedelta(seconds=10)


def plan(
    collection: Collection,
    operation: Operation,
    *,
    since: datetime | None,
    now: datetime,
    parents: Iterable[Resource] = (),
    narrowed: Sequence[tuple[str, ...]] = ((),),
) -> list[Slice]:
    """The slices that hold every row of the collection at or after ``since``, pass by pass.

    The last slice has no upper bound: a row that is changed while we read, or dated in the future, is not lost.

    Args:
        collection: what is read.
        operation: what the specification says of it.
        since: the bookmark; None reads everything.
        now: when the run began.
        parents: the resources that the slices hang on, where they do.
        narrowed: conditions of the user's own; one slice for each set of them.
    """
    bound = lower_bound(collection, operation, since, now)
    hangers = [Slice({"id": parent["id"]}, parent=parent) for parent in parents] if collection.parent else [Slice()]
    return [
        replace(hanger, conditions=(*_of_pass(constants), *own, *bound), constants=constants)
        for constants in collection.passes
        for own in narrowed
        for hanger in hangers
    ]


def _of_pass(constants: Mapping[str, str | bool]) -> tuple[str, ...]:
    return tuple(protocol.condition("equals", name, value) for name, value in constants.items())


def lower_bound(collection: Collection, operation: Operation, since: datetime | None, now: datetime) -> tuple[str, ...]:
    """The condition for "at or after ``since``", empty when everything is to be read."""
    if since is None or collection.bookmark is None:
        return ()
    since = min(since, now - SETTLE)
    operators = operation.operators(collection.bookmark)
    if "greater-or-equal" in operators:
        return (protocol.condition("greater-or-equal", collection.bookmark, since),)
    if "greater-than" in operators:
        return (protocol.condition("greater-than", collection.bookmark, since - TICK),)
    return ()


class Edge:
    """How far the collection is read: the bookmark of the completed prefix.

    Args:
        now: when the run began; no edge passes it.
        ordered: whether pages come in bookmark order, so that each page's end is an edge.
    """

    def __init__(self, *, now: datetime, ordered: bool) -> None:
        self._cap = (now - SETTLE).astimezone(UTC).isoformat(timespec="seconds")
        self._ordered = ordered
        self._highest: str | None = None

    def after_page(self, values: Iterable[str | None]) -> str | None:
        """The edge after a page with these bookmark values (RFC 3339, UTC), None when there is none to publish."""
        for value in values:
            if value is None:
                continue
            if self._highest is not None and value < self._highest:
                # Klaviyo has been seen to break the order it was asked for; then only the end is an edge.
                self._ordered = False
            else:
                self._highest = value
        return self.at_end() if self._ordered else None

    def at_end(self) -> str | None:
        """The edge when every slice is done, None when no row came."""
        return min(self._highest, self._cap) if self._highest is not None else None
