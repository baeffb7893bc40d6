"""Tables that hold no rows: row i is worked out when it is asked for, and so is its place in every order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from klaviyo_sandbox.errors import invalid_parameter
from klaviyo_sandbox.filters import Clause
from klaviyo_sandbox.store import Row, SortKey, Table


@dataclass(frozen=True)
class Order:
    """One order of a table: place -> (value, id), ascending; and place -> number of the row."""

    key: Callable[[int], SortKey]
    number: Callable[[int], int]


class VirtualTable(Table):
    """A table of ``count`` rows that cannot be changed.

    Args:
        count: how many rows.
        row: number -> row.
        find: id -> number, None when no row has it.
        orders: field -> order; the table cannot be sorted otherwise.
        scanned: fields that rows may be looked through for, page by page.
    """

    def __init__(
        self,
        count: int,
        row: Callable[[int], Row],
        find: Callable[[str], int | None],
        orders: Mapping[str, Order],
        scanned: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.rows = _Rows(count, row, find)
        self._row = row
        self._virtual_orders = orders
        self._scanned = scanned

    def put(self, row: Row) -> None:  # noqa: ARG002 - a table's signature
        raise TypeError("a virtual table cannot be changed")

    def drop(self, row_id: str) -> None:  # noqa: ARG002 - a table's signature
        raise TypeError("a virtual table cannot be changed")

    def ordered(self, field: str) -> Sequence[SortKey]:
        return _Keys(len(self), self._order(field).key)

    def placed(self, field: str, places: Iterable[int]) -> Iterator[Row]:
        return map(self._row, map(self._order(field).number, places))

    def check_scan(self, clauses: Collection[Clause]) -> None:
        for clause in clauses:
            if clause.field not in self._scanned:
                detail = f"A procedural account cannot be searched by '{clause.field}' in this order."
                raise invalid_parameter(detail, "filter")

    def _order(self, field: str) -> Order:
        if field not in self._virtual_orders:
            raise invalid_parameter(f"A procedural account cannot be sorted by '{field}'.", "sort")
        return self._virtual_orders[field]


class _Rows(Mapping[str, Row]):
    def __init__(self, count: int, row: Callable[[int], Row], find: Callable[[str], int | None]) -> None:
        self._count = count
        self._row = row
        self._find = find

    def __getitem__(self, row_id: str) -> Row:
        number = self._find(row_id)
        if number is None:
            raise KeyError(row_id)
        return self._row(number)

    def __contains__(self, row_id: object) -> bool:
        return isinstance(row_id, str) and self._find(row_id) is not None

    def __iter__(self) -> Iterator[str]:
        return (self._row(number)["id"] for number in range(self._count))

    def __len__(self) -> int:
        return self._count


class _Keys(Sequence[SortKey]):
    def __init__(self, count: int, key: Callable[[int], SortKey]) -> None:
        self._count = count
        self._key = key

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> SortKey: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[SortKey]: ...
    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self._key(at) for at in range(*place.indices(self._count))]
        return self._key(place)
