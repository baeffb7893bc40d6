"""A table of the account: rows by id, sorted by any field, found by the value of any field."""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from klaviyo_sandbox.account.rows import Row, SortKey, sort_key, values_at
from klaviyo_sandbox.spec.filters import Clause


class Table:
    """Rows by id, and for every order asked for so far a sorted list of (value, id), kept as rows come and go.

    So are the ids of rows by the value of every field that they were looked for by.

    Rows are never changed in place: a change puts a new row, so a reader may hold on to the old one.

    Attributes:
        changed: ids of the rows that were put or dropped, the latest last; None while nobody wants to know.
    """

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._held: dict[str, Row] = {row["id"]: row for row in rows}
        self.rows: Mapping[str, Row] = self._held
        self._orders: dict[str, list[SortKey]] = {}
        self._holders: dict[str, dict[Any, dict[str, None]]] = {}
        self.changed: dict[str, None] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, row_id: object) -> bool:
        return row_id in self.rows

    @property
    def kept(self) -> Mapping[str, Row]:
        """The rows that lie in memory; here all of them."""
        return self.rows

    def get(self, row_id: str) -> Row | None:
        return self.rows.get(row_id)

    def put(self, row: Row) -> None:
        """Add a row, or replace the one of the same id."""
        self.drop(row["id"])
        self._held[row["id"]] = row
        for field, order in self._orders.items():
            bisect.insort(order, sort_key(row, field))
        for field, holders in self._holders.items():
            for value in values_at(row, field):
                holders.setdefault(value, {})[row["id"]] = None
        self._note(row["id"])

    def drop(self, row_id: str) -> None:
        """Remove a row; none of that id is no error."""
        row = self._held.pop(row_id, None)
        if row is None:
            return
        for field, order in self._orders.items():
            del order[bisect.bisect_left(order, sort_key(row, field))]
        for field, holders in self._holders.items():
            for value in values_at(row, field):
                holders[value].pop(row_id, None)
                if not holders[value]:
                    del holders[value]
        self._note(row_id)

    def _note(self, row_id: str) -> None:
        if self.changed is not None:
            self.changed.pop(row_id, None)
            self.changed[row_id] = None

    @property
    def hidden(self) -> Collection[str]:
        """Ids of the rows that did not lie in memory before they were replaced or dropped."""
        return ()

    def likely(self, field: str, value: str) -> Iterable[Row]:  # noqa: ARG002 - a table's signature
        """Rows that do not lie in memory and may have a value in a field that says who or what they are."""
        return ()

    def can_find(self, field: str) -> bool:  # noqa: ARG002 - a table's signature
        """Does ``having`` answer for this field?"""
        return True

    def having(self, field: str, values: Iterable[Any]) -> Iterator[str]:
        """Ids of the rows whose field has one of the values, each once for every value."""
        if field not in self._holders:
            made: dict[Any, dict[str, None]] = {}
            for row in self.rows.values():
                for value in values_at(row, field):
                    made.setdefault(value, {})[row["id"]] = None
            self._holders[field] = made
        holders = self._holders[field]
        return (row_id for value in values for row_id in holders.get(value, ()))

    def ordered(self, field: str) -> Sequence[SortKey]:
        """(value, id) of every row, ascending; rows without a value come first, with "" in its place."""
        if field not in self._orders:
            self._orders[field] = sorted(sort_key(row, field) for row in self.rows.values())
        return self._orders[field]

    def placed(self, field: str, places: range) -> Iterator[Row]:
        """The rows at places of ``ordered(field)``, which go up or down by one, one by one."""
        keys = self.ordered(field)
        return (self.rows[keys[place][1]] for place in places)

    def check_scan(self, clauses: Collection[Clause]) -> None:
        """Refuse conditions that rows cannot be looked through for; here there are none.

        Raises:
            Refusal: 400 that names the field.
        """

    def check_walk(self) -> None:
        """Refuse to go through all rows for one write, where they are too many; here they never are.

        Raises:
            Refusal: 400.
        """
