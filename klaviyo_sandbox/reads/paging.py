"""Keyset pages: a cursor is a position (sort value and id), so rows that come or go do not shift the pages."""

from __future__ import annotations

import base64
import binascii
import bisect
import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from klaviyo_sandbox.account.rows import Row, SortKey
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.errors import invalid_parameter
from klaviyo_sandbox.spec.filters import Clause

# Greater than any id, for "after every row with this value".
_LAST = "\U0010ffff"


@dataclass(frozen=True)
class Order:
    """The order of a collection: one field, ties broken by id."""

    field: str
    descending: bool = False


@dataclass(frozen=True)
class Cursor:
    """A place between two rows, and the direction in which the page lies from there."""

    direction: str
    position: SortKey

    def text(self) -> str:
        raw = json.dumps([self.direction, *self.position]).encode()
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@dataclass(frozen=True)
class Page:
    """Rows in the order asked for, and the cursors of the pages beside them, None at the ends."""

    rows: list[Row]
    before: str | None
    after: str | None


def read_cursor(text: str) -> Cursor:
    """What ``Cursor.text`` wrote.

    Raises:
        Refusal: 400, the text is no such cursor.
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        direction, value, row_id = json.loads(raw)
    except (binascii.Error, ValueError, TypeError, RecursionError):
        direction = None
    if direction not in ("next", "prev") or not (isinstance(value, str) and isinstance(row_id, str)):
        raise invalid_parameter("Invalid cursor provided.", "page_cursor")
    return Cursor(direction, (value, row_id))


def page(
    table: Table,
    order: Order,
    clauses: Iterable[Clause],
    holds: Callable[[Row, Clause], bool],
    view: Callable[[Row], Row],
    cursor: Cursor | None,
    size: int,
) -> Page:
    """Up to ``size`` rows that satisfy every clause, from the cursor on."""
    keys = table.sorted_keys(order.field)
    # A dotted field may hold several values in one row, and then its place in the order says too little.
    narrows = "." not in order.field
    # Places are told by text; what is compared as a number is asked of each row.
    bounds = [
        clause
        for clause in clauses
        if narrows and clause.is_bound and clause.field == order.field and isinstance(clause.value, str)
    ]
    others = [clause for clause in clauses if clause not in bounds]
    start, stop = _window(keys, bounds)
    backwards = cursor is not None and cursor.direction == "prev"
    ascending = order.descending == backwards
    if cursor is not None and ascending:
        start = max(start, bisect.bisect_right(keys, cursor.position))
    elif cursor is not None:
        stop = min(stop, bisect.bisect_left(keys, cursor.position))
    table.check_scan(others)
    places = range(start, stop) if ascending else range(stop - 1, start - 1, -1)
    rows = map(view, table.rows_at(order.field, places))
    # Most pages leave nothing out, and then there is nothing to ask of a row.
    kept: Iterable[tuple[int, Row]] = zip(places, rows, strict=True)
    if others:
        kept = (pair for pair in kept if all(holds(pair[1], clause) for clause in others))
    # One more than asked for tells that there is another page.
    found = list(itertools.islice(kept, size + 1))
    more = len(found) > size
    found = found[:size]
    if backwards:
        found.reverse()
    return Page(
        [row for _, row in found],
        Cursor("prev", keys[found[0][0]]).text() if found and cursor and (more or not backwards) else None,
        Cursor("next", keys[found[-1][0]]).text() if found and (more or backwards) else None,
    )


def _window(keys: Sequence[SortKey], bounds: Iterable[Clause]) -> tuple[int, int]:
    """First and last-plus-one place that the bounds on the sorted field leave."""
    start, stop = 0, len(keys)
    for bound in bounds:
        before = bisect.bisect_left(keys, (bound.value,))
        behind = bisect.bisect_right(keys, (bound.value, _LAST))
        if bound.operator == "greater-or-equal":
            start = max(start, before)
        elif bound.operator == "greater-than":
            start = max(start, behind)
        elif bound.operator == "less-than":
            stop = min(stop, before)
        else:
            stop = min(stop, behind)
    if bounds:
        # Rows without a value stand first and satisfy no bound.
        start = max(start, bisect.bisect_right(keys, ("", _LAST)))
    return start, stop
