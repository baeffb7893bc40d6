"""A table of the account: rows by id, sorted by any field, found by the value of any field."""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from klaviyo_sandbox.account.rows import Row, SortKey, sort_key, values_at
from klaviyo_sandbox.spec.filters import Clause


class Table:
    """Rows by id, with a sorted list for every field they were sorted by, and an index for every field looked up.

    Both are made when they are first asked for, and follow as rows come and go. Rows are never changed in place: a
    change puts a new row, so a reader may hold on to the old one.

    Attributes:
        changed_ids: ids of the rows that were put or dropped, the latest last; None while nobody wants to know.
    """

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._rows: dict[str, Row] = {row["id"]: row for row in rows}
        self.rows: Mapping[str, Row] = self._rows
        # Field -> (value, id) of every row, ascending.
        self._orders: dict[str, list[SortKey]] = {}
        # Field -> value -> ids of the rows that have it.
        self._ids_by_value: dict[str, dict[Any, dict[str, None]]] = {}
        self.changed_ids: dict[str, None] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, row_id: object) -> bool:
        return row_id in self.rows

    @property
    def in_memory(self) -> Mapping[str, Row]:
        """The rows that are held in memory; here all of them."""
        return self.rows

    def get(self, row_id: str) -> Row | None:
        return self.rows.get(row_id)

    def put(self, row: Row) -> None:
        """Add a row, or replace the one of the same id."""
        self.drop(row["id"])
        self._rows[row["id"]] = row
        for field, order in self._orders.items():
            bisect.insort(order, sort_key(row, field))
        for field, ids_by_value in self._ids_by_value.items():
            for value in values_at(row, field):
                ids_by_value.setdefault(value, {})[row["id"]] = None
        self._note_change(row["id"])

    def drop(self, row_id: str) -> None:
        """Remove a row; none of that id is no error."""
        row = self._rows.pop(row_id, None)
        if row is None:
            return
        for field, order in self._orders.items():
            del order[bisect.bisect_left(order, sort_key(row, field))]
        for field, ids_by_value in self._ids_by_value.items():
            for value in values_at(row, field):
                ids_by_value[value].pop(row_id, None)
                if not ids_by_value[value]:
                    del ids_by_value[value]
        self._note_change(row_id)

    def _note_change(self, row_id: str) -> None:
        if self.changed_ids is not None:
            self.changed_ids.pop(row_id, None)
            self.changed_ids[row_id] = None

    @property
    def overridden(self) -> Collection[str]:
        """Ids of rows that were computed when asked for, until they were replaced or dropped; here there are none."""
        return ()

    def candidates(self, field: str, value: str) -> Iterable[Row]:  # noqa: ARG002 - a table's signature
        """Rows not held in memory that may have this value in an identifying field; here there are none."""
        return ()

    def is_indexed(self, field: str) -> bool:  # noqa: ARG002 - a table's signature
        """Can rows be looked up by this field with ``ids_with``?"""
        return True

    def ids_with(self, field: str, values: Iterable[Any]) -> Iterator[str]:
        """Ids of the rows whose field has one of the values, each once for every value."""
        if field not in self._ids_by_value:
            new_index: dict[Any, dict[str, None]] = {}
            for row in self.rows.values():
                for value in values_at(row, field):
                    new_index.setdefault(value, {})[row["id"]] = None
            self._ids_by_value[field] = new_index
        ids_by_value = self._ids_by_value[field]
        return (row_id for value in values for row_id in ids_by_value.get(value, ()))

    def sorted_keys(self, field: str) -> Sequence[SortKey]:
        """(value, id) of every row, ascending; rows without a value come first, with "" in its place."""
        if field not in self._orders:
            self._orders[field] = sorted(sort_key(row, field) for row in self.rows.values())
        return self._orders[field]

    def rows_at(self, field: str, positions: range) -> Iterator[Row]:
        """The rows at positions of ``sorted_keys(field)``; the positions go up or down by one."""
        keys = self.sorted_keys(field)
        return (self.rows[keys[position][1]] for position in positions)

    def entries_at(
        self,
        field: str,
        positions: range,
        clauses: Collection[Clause],  # noqa: ARG002 - a table's signature
    ) -> Iterator[tuple[int, Row]]:
        """Positions of ``sorted_keys(field)`` with their rows, without some that do not satisfy the clauses.

        Here none is left out. The positions go up or down by one.
        """
        return zip(positions, self.rows_at(field, positions), strict=True)

    def check_scan(self, clauses: Collection[Clause]) -> None:
        """Refuse conditions that cannot be checked row by row; here all of them can.

        Raises:
            Refusal: 400 that names the field.
        """

    def check_walk(self) -> None:
        """Refuse a write that would go through all rows, where they are too many; here they never are.

        Raises:
            Refusal: 400.
        """
