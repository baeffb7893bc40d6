"""Tables that hold few rows: row i is worked out when it is asked for, and so is its place in every order.

What is written lies over them: a row that was put or dropped hides the one that would be worked out.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from klaviyo_sandbox.account.procedural.overlay import Keys, Merged
from klaviyo_sandbox.account.rows import Row, SortKey, sort_key, values_at
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.errors import Refusal, invalid, invalid_parameter
from klaviyo_sandbox.spec.filters import Clause

# A write that names so many rows by one word takes seconds, and holds up everybody else.
MOST_WALKED = 20_000


@dataclass(frozen=True)
class Order:
    """One order of a table: place -> (value, id), ascending; and place -> number of the row."""

    key: Callable[[int], SortKey]
    number: Callable[[int], int]


class VirtualTable(Table):
    """A table of ``count`` rows, and of what was written since.

    Args:
        count: how many rows.
        row: number -> row.
        find: id -> number, None when no row has it.
        orders: field -> order; the table cannot be sorted otherwise.
        scanned: fields that rows may be looked through for, page by page.
        finders: field -> value -> numbers of the rows that may have it; rows cannot be looked up by other fields.
    """

    def __init__(
        self,
        count: int,
        row: Callable[[int], Row],
        find: Callable[[str], int | None],
        orders: Mapping[str, Order],
        scanned: Collection[str] = (),
        finders: Mapping[str, Callable[[str], Iterable[int]]] | None = None,
    ) -> None:
        super().__init__()
        self._written = Table()
        # Ids of rows that are not to be worked out any more, with their numbers.
        self._hidden: dict[str, int] = {}
        self._merged: dict[str, Merged] = {}
        self.rows = _Rows(count, row, find, self._written.rows, self._hidden)
        self._count = count
        self._row = row
        self._find = find
        self._finders = finders or {}
        self._virtual_orders = orders
        self._scanned = scanned

    @property
    def in_memory(self) -> Mapping[str, Row]:
        return self._written.rows

    def put(self, row: Row) -> None:
        self._withdraw(row["id"])
        self._written.put(row)
        for field, keys in self._merged.items():
            keys.add(sort_key(row, field))
        self._note_change(row["id"])

    def drop(self, row_id: str) -> None:
        if self._withdraw(row_id):
            self._note_change(row_id)

    @property
    def overridden(self) -> Collection[str]:
        return self._hidden.keys()

    def candidates(self, field: str, value: str) -> Iterator[Row]:
        numbers = self._finders[field](value) if field in self._finders else ()
        rows = (self._row(number) for number in numbers if 0 <= number < self._count)
        return (row for row in rows if row["id"] not in self._hidden)

    def is_indexed(self, field: str) -> bool:
        return field in self._finders

    def ids_with(self, field: str, values: Iterable[Any]) -> Iterator[str]:
        for value in values:
            yield from self._written.ids_with(field, (value,))
            yield from (row["id"] for row in self.candidates(field, value) if value in values_at(row, field))

    def sorted_keys(self, field: str) -> Sequence[SortKey]:
        keys = _Keys(self._count, self._order(field).key)
        if not self._hidden and not self._written:
            return keys
        if field not in self._merged:
            merged = self._merged[field] = Merged(keys)
            for number in self._hidden.values():
                merged.leave_out(sort_key(self._row(number), field))
            for row in self._written.rows.values():
                merged.add(sort_key(row, field))
        return self._merged[field]

    def rows_at(self, field: str, places: range) -> Iterator[Row]:
        keys, number = self.sorted_keys(field), self._order(field).number
        if not isinstance(keys, Merged):
            return map(self._row, map(number, places))
        found = (self._stretched(field, keys, stretch) for stretch in _stretches(keys, places))
        return itertools.chain.from_iterable(found)

    def _stretched(self, field: str, keys: Merged, places: range | int) -> Iterable[Row]:
        """The rows at places below, or the one that was written to a place of the whole."""
        if isinstance(places, int):
            return (self._written.rows[keys[places][1]],)
        return map(self._row, map(self._order(field).number, places))

    def _withdraw(self, row_id: str) -> bool:
        """Take a row out, wherever it is; is there one?"""
        written = self._written.get(row_id)
        if written is not None:
            self._written.drop(row_id)
            for field, keys in self._merged.items():
                keys.remove(sort_key(written, field))
            return True
        number = self._find(row_id)
        if number is None or row_id in self._hidden:
            return False
        self._hidden[row_id] = number
        for field, keys in self._merged.items():
            keys.leave_out(sort_key(self._row(number), field))
        return True

    def check_walk(self) -> None:
        if len(self) > MOST_WALKED:
            detail = f"A procedural account does not take {len(self)} profiles at once; {MOST_WALKED} are the most."
            raise Refusal([invalid(detail, "/data")])

    def check_scan(self, clauses: Collection[Clause]) -> None:
        for clause in clauses:
            if clause.field not in self._scanned:
                detail = f"A procedural account cannot be searched by '{clause.field}' in this order."
                raise invalid_parameter(detail, "filter")

    def _order(self, field: str) -> Order:
        if field not in self._virtual_orders:
            raise invalid_parameter(f"A procedural account cannot be sorted by '{field}'.", "sort")
        return self._virtual_orders[field]


def _stretches(keys: Merged, places: range) -> Iterator[range | int]:
    """Places of the whole as ranges of places below; as they are where something was written."""
    at = 0
    while at < len(places):
        place = places[at]
        found = keys.stretch(place)
        if found.below is None:
            yield place
            at += 1
            continue
        below = found.below + place - found.start
        left = found.stop - place if places.step > 0 else place - found.start + 1
        size = min(left, len(places) - at)
        yield range(below, below + places.step * size, places.step)
        at += size


class _Rows(Mapping[str, Row]):
    def __init__(
        self,
        count: int,
        row: Callable[[int], Row],
        find: Callable[[str], int | None],
        written: Mapping[str, Row],
        hidden: Mapping[str, int],
    ) -> None:
        self._count = count
        self._row = row
        self._find = find
        self._written = written
        self._hidden = hidden

    def __getitem__(self, row_id: str) -> Row:
        if row_id in self._written:
            return self._written[row_id]
        number = None if row_id in self._hidden else self._find(row_id)
        if number is None:
            raise KeyError(row_id)
        return self._row(number)

    def __contains__(self, row_id: object) -> bool:
        if row_id in self._written:
            return True
        return isinstance(row_id, str) and row_id not in self._hidden and self._find(row_id) is not None

    def __iter__(self) -> Iterator[str]:
        below = (self._row(number)["id"] for number in range(self._count))
        return itertools.chain((row_id for row_id in below if row_id not in self._hidden), self._written)

    def __len__(self) -> int:
        return self._count - len(self._hidden) + len(self._written)


class _Keys(Keys):
    def __init__(self, count: int, key: Callable[[int], SortKey]) -> None:
        self._count = count
        self._key = key

    def __len__(self) -> int:
        return self._count

    def at(self, place: int) -> SortKey:
        return self._key(place)
