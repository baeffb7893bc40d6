"""Finds a page of a table by keyset: a cursor is a sort value and an id, so rows that come or go shift no page."""

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
from klaviyo_sandbox.spec.errors import Refusal, invalid_parameter
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
    """A place between two rows, and the direction ("next" or "prev") of the page from there."""

    direction: str
    position: SortKey

    def encode(self) -> str:
        """The cursor as it stands in a link."""
        raw = json.dumps([self.direction, *self.position]).encode()
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@dataclass(frozen=True)
class Page:
    """Rows in the requested order, and the cursors of the pages before and after them, None at the ends."""

    rows: list[Row]
    before: str | None
    after: str | None


def parse_cursor(text: str) -> Cursor:
    """The cursor that ``Cursor.encode`` made the text of.

    Raises:
        Refusal: 400, the text is no such cursor.
    """
    # The vendor's SDK cuts cursors out of links with the equals sign before them, and reads live accounts so.
    text = text.lstrip("=")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        direction, value, row_id = json.loads(raw)
    except (binascii.Error, ValueError, TypeError, RecursionError):
        direction = None
    if direction not in ("next", "prev") or not (isinstance(value, str) and isinstance(row_id, str)):
        raise bad_cursor()
    return Cursor(direction, (value, row_id))


def bad_cursor() -> Refusal:
    """The 400 to a cursor that leads nowhere, or no more."""
    return invalid_parameter("Invalid cursor provided.", "page_cursor")


def find_page(
    table: Table,
    order: Order,
    clauses: Iterable[Clause],
    holds: Callable[[Row, Clause], bool],
    view: Callable[[Row], Row],
    cursor: Cursor | None,
    size: int,
) -> Page:
    """Up to ``size`` rows that satisfy every clause, from the cursor on.

    Raises:
        Refusal: 400, the table cannot be searched by the field of a clause.
    """
    keys = table.sorted_keys(order.field)
    bounds, row_clauses = _split_clauses(clauses, order.field)
    start, stop = _range_within(keys, bounds)
    is_backwards = cursor is not None and cursor.direction == "prev"
    # Keys ascend: a descending order is walked down, and a page before the cursor the other way round.
    walks_up = order.descending if is_backwards else not order.descending
    if cursor is not None and walks_up:
        start = max(start, bisect.bisect_right(keys, cursor.position))
    elif cursor is not None:
        stop = min(stop, bisect.bisect_left(keys, cursor.position))
    table.check_scan(row_clauses)
    positions = range(start, stop) if walks_up else range(stop - 1, start - 1, -1)
    entries = table.entries_at(order.field, positions, row_clauses)
    matches: Iterable[tuple[int, Row]] = ((position, view(row)) for position, row in entries)
    # Most pages leave nothing out, and then no row has to be compared.
    if row_clauses:
        matches = (match for match in matches if all(holds(match[1], clause) for clause in row_clauses))
    # One row more than requested shows that there is another page.
    pairs = list(itertools.islice(matches, size + 1))
    has_more = len(pairs) > size
    pairs = pairs[:size]
    if is_backwards:
        pairs.reverse()
    has_before = cursor is not None and (has_more or not is_backwards)
    has_after = has_more or is_backwards
    return Page(
        [row for _, row in pairs],
        Cursor("prev", keys[pairs[0][0]]).encode() if pairs and has_before else None,
        Cursor("next", keys[pairs[-1][0]]).encode() if pairs and has_after else None,
    )


def _split_clauses(clauses: Iterable[Clause], field: str) -> tuple[list[Clause], list[Clause]]:
    """The clauses that bound the sorted field, which the keys decide, and those that each row decides."""
    # A dotted field may hold several values in one row, and keys hold text only.
    keys_decide = "." not in field
    bounds: list[Clause] = []
    row_clauses: list[Clause] = []
    for clause in clauses:
        is_bound = keys_decide and clause.is_bound and clause.field == field and isinstance(clause.value, str)
        (bounds if is_bound else row_clauses).append(clause)
    return bounds, row_clauses


def _range_within(keys: Sequence[SortKey], bounds: Iterable[Clause]) -> tuple[int, int]:
    """First and last-plus-one position that the bounds on the sorted field leave."""
    start, stop = 0, len(keys)
    for bound in bounds:
        first_equal = bisect.bisect_left(keys, (bound.value,))
        after_equal = bisect.bisect_right(keys, (bound.value, _LAST))
        if bound.operator == "greater-or-equal":
            start = max(start, first_equal)
        elif bound.operator == "greater-than":
            start = max(start, after_equal)
        elif bound.operator == "less-than":
            stop = min(stop, first_equal)
        else:
            stop = min(stop, after_equal)
    if bounds:
        # Rows without a value stand first and satisfy no bound.
        start = max(start, bisect.bisect_right(keys, ("", _LAST)))
    return start, stop
