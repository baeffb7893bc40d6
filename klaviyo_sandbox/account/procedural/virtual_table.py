"""Tables whose rows are computed when asked for, from their numbers, and so are their positions in every order.

A row that is written is held in memory, and overrides the computed one of its id; a dropped one is computed no more.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from klaviyo_sandbox.account.procedural.overlay import KeySequence, OverlayKeys
from klaviyo_sandbox.account.rows import Row, SortKey, sort_key, values_at
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.errors import Refusal, invalid, invalid_parameter
from klaviyo_sandbox.spec.filters import Clause

# A write to so many rows at once takes seconds, and holds up all other requests.
MAX_WALKED = 20_000


@dataclass(frozen=True)
class SortOrder:
    """One order of a table: position -> (value, id), ascending; and position -> number of the row."""

    key_at: Callable[[int], SortKey]
    number_at: Callable[[int], int]


class VirtualTable(Table):
    """A table of ``count`` computed rows, and of the rows that were written since.

    Args:
        count: how many rows.
        row: number -> row.
        find: id -> number, None when no row has it.
        orders: field -> order; the table cannot be sorted otherwise.
        scanned: fields that may be checked row by row, page by page.
        finders: field -> value -> numbers of the rows that may have it; rows cannot be looked up by other fields.
        selectors: field -> (value, numbers) -> those of the numbers, in their order, whose rows have it. Only for
            tables all of whose orders are that of the numbers.
    """

    def __init__(
        self,
        count: int,
        row: Callable[[int], Row],
        find: Callable[[str], int | None],
        orders: Mapping[str, SortOrder],
        scanned: Collection[str] = (),
        finders: Mapping[str, Callable[[str], Iterable[int]]] | None = None,
        selectors: Mapping[str, Callable[[str, range], Iterator[int]]] | None = None,
    ) -> None:
        super().__init__()
        self._written = Table()
        # Id -> number of the rows that are not computed any more.
        self._overridden: dict[str, int] = {}
        self._overlays: dict[str, OverlayKeys] = {}
        self.rows = _Rows(count, row, find, self._written.rows, self._overridden)
        self._count = count
        self._row = row
        self._find = find
        self._finders = finders or {}
        self._selectors = selectors or {}
        self._virtual_orders = orders
        self._scanned = scanned

    @property
    def in_memory(self) -> Mapping[str, Row]:
        return self._written.rows

    def put(self, row: Row) -> None:
        self._take_out(row["id"])
        self._written.put(row)
        for field, keys in self._overlays.items():
            keys.add(sort_key(row, field))
        self._note_change(row["id"])

    def drop(self, row_id: str) -> None:
        if self._take_out(row_id):
            self._note_change(row_id)

    @property
    def overridden(self) -> Collection[str]:
        return self._overridden.keys()

    def candidates(self, field: str, value: str) -> Iterator[Row]:
        numbers = self._finders[field](value) if field in self._finders else ()
        rows = (self._row(number) for number in numbers if 0 <= number < self._count)
        return (row for row in rows if row["id"] not in self._overridden)

    def is_indexed(self, field: str) -> bool:
        return field in self._finders

    def ids_with(self, field: str, values: Iterable[Any]) -> Iterator[str]:
        for value in values:
            yield from self._written.ids_with(field, (value,))
            yield from (row["id"] for row in self.candidates(field, value) if value in values_at(row, field))

    def sorted_keys(self, field: str) -> Sequence[SortKey]:
        keys = _BaseKeys(self._count, self._order(field).key_at)
        if not self._overridden and not self._written:
            return keys
        if field not in self._overlays:
            overlay = self._overlays[field] = OverlayKeys(keys)
            for number in self._overridden.values():
                overlay.omit(sort_key(self._row(number), field))
            for row in self._written.rows.values():
                overlay.add(sort_key(row, field))
        return self._overlays[field]

    def rows_at(self, field: str, positions: range) -> Iterator[Row]:
        keys, number = self.sorted_keys(field), self._order(field).number_at
        if not isinstance(keys, OverlayKeys):
            return map(self._row, map(number, positions))
        runs = (self._rows_of_run(field, keys, run) for run in _runs(keys, positions))
        return itertools.chain.from_iterable(runs)

    def _rows_of_run(self, field: str, keys: OverlayKeys, positions: range | int) -> Iterable[Row]:
        """The rows at positions of the base, or the one that was written to a position of the whole."""
        if isinstance(positions, int):
            return (self._written.rows[keys[positions][1]],)
        return map(self._row, map(self._order(field).number_at, positions))

    def entries_at(self, field: str, positions: range, clauses: Collection[Clause]) -> Iterator[tuple[int, Row]]:
        chosen = [clause for clause in clauses if clause.field in self._selectors and clause.operator == "equals"]
        if not chosen or not positions:
            return super().entries_at(field, positions, clauses)
        select, value = self._selectors[chosen[0].field], chosen[0].value
        keys = self.sorted_keys(field)
        if not isinstance(keys, OverlayKeys):
            return ((number, self._row(number)) for number in select(value, positions))
        numbers = keys.base_range(positions)
        computed = ((number, self._row(number)) for number in (select(value, numbers) if numbers else ()))
        visible = (
            (keys.position_of_base(number), row) for number, row in computed if row["id"] not in self._overridden
        )
        written = (self._written.rows[row_id] for row_id in self._written.ids_with(chosen[0].field, (value,)))
        places = ((bisect.bisect_left(keys, sort_key(row, field)), row) for row in written)
        is_descending = positions.step < 0
        within = sorted((entry for entry in places if entry[0] in positions), key=_position, reverse=is_descending)
        return heapq.merge(visible, within, key=_position, reverse=is_descending)

    def _take_out(self, row_id: str) -> bool:
        """Remove a row, written or computed; was there one?"""
        written = self._written.get(row_id)
        if written is not None:
            self._written.drop(row_id)
            for field, keys in self._overlays.items():
                keys.remove(sort_key(written, field))
            return True
        number = self._find(row_id)
        if number is None or row_id in self._overridden:
            return False
        self._overridden[row_id] = number
        for field, keys in self._overlays.items():
            keys.omit(sort_key(self._row(number), field))
        return True

    def check_walk(self) -> None:
        if len(self) > MAX_WALKED:
            detail = f"A procedural account does not take {len(self)} profiles at once; {MAX_WALKED} are the most."
            raise Refusal([invalid(detail, "/data")])

    def check_scan(self, clauses: Collection[Clause]) -> None:
        for clause in clauses:
            if clause.field not in self._scanned and clause.field not in self._selectors:
                fields = {*self._scanned, *self._selectors, *self._finders, *self._virtual_orders}
                raise invalid_parameter(_refusal("searched", clause.field, fields), "filter")

    def _order(self, field: str) -> SortOrder:
        if field not in self._virtual_orders:
            raise invalid_parameter(_refusal("sorted", field, self._virtual_orders), "sort")
        return self._virtual_orders[field]


def _position(entry: tuple[int, Row]) -> int:
    return entry[0]


def _refusal(verb: str, field: str, fields: Iterable[str]) -> str:
    return (
        f"A procedural account (more than 100,000 rows) cannot be {verb} by '{field}'. "
        f"It can be {verb} by {', '.join(sorted(fields))}."
    )


def _runs(keys: OverlayKeys, positions: range) -> Iterator[range | int]:
    """Ranges of positions in the base for positions of the whole; single positions of the whole for written rows."""
    index = 0
    while index < len(positions):
        position = positions[index]
        run = keys.run_at(position)
        if run.base is None:
            yield position
            index += 1
            continue
        base = run.base + position - run.start
        left = run.stop - position if positions.step > 0 else position - run.start + 1
        size = min(left, len(positions) - index)
        yield range(base, base + positions.step * size, positions.step)
        index += size


class _Rows(Mapping[str, Row]):
    def __init__(
        self,
        count: int,
        row: Callable[[int], Row],
        find: Callable[[str], int | None],
        written: Mapping[str, Row],
        overridden: Mapping[str, int],
    ) -> None:
        self._count = count
        self._row = row
        self._find = find
        self._written = written
        self._overridden = overridden

    def __getitem__(self, row_id: str) -> Row:
        if row_id in self._written:
            return self._written[row_id]
        number = None if row_id in self._overridden else self._find(row_id)
        if number is None:
            raise KeyError(row_id)
        return self._row(number)

    def __contains__(self, row_id: object) -> bool:
        if row_id in self._written:
            return True
        return isinstance(row_id, str) and row_id not in self._overridden and self._find(row_id) is not None

    def __iter__(self) -> Iterator[str]:
        computed = (self._row(number)["id"] for number in range(self._count))
        return itertools.chain((row_id for row_id in computed if row_id not in self._overridden), self._written)

    def __len__(self) -> int:
        return self._count - len(self._overridden) + len(self._written)


class _BaseKeys(KeySequence):
    def __init__(self, count: int, key_at: Callable[[int], SortKey]) -> None:
        self._count = count
        self._key_at = key_at

    def __len__(self) -> int:
        return self._count

    def key_at(self, position: int) -> SortKey:
        return self._key_at(position)
