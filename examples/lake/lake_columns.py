"""What the columns of a SCHEMA are in Parquet, and rows of them out of lines. Pure.

A line that is true to its SCHEMA is decoded in one go. Of any other each value is looked at: none stops the file, and
what changes is counted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from lake_values import (
    DAY,
    JSON,
    MOMENT,
    NO_COLUMN,
    NULL,
    Changes,
    Kind,
    Unreadable,
    fit,
    kind_of,
    mend_json,
    split_members,
)

# What DuckDB itself calls columns of a file.
_RESERVED = ("filename", "file_row_number", "file_index", "_lake_file")

# What is raised of a line that must be looked at value by value.
_ODD = (Unreadable, msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Columns:
    """The columns of a table.

    Args:
        schema: the JSON Schema of its rows.

    Attributes:
        arrow: name -> type, in their order: date-time is a timestamp in UTC, integer has 64 bits, number is a double;
            what is none of these, nor date, boolean or text, is JSON text.
        names: what the SCHEMA calls a column -> what it is called here. DuckDB knows no capitals, so of names that
            differ in nothing else the later ones get a number.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._kinds = {name: kind_of(column) for name, column in schema.get("properties", {}).items()}
        self.names = _distinct(list(self._kinds))
        self.arrow = pa.schema([(self.names[name], kind.arrow) for name, kind in self._kinds.items()])
        row = msgspec.defstruct(
            "Row",
            [(f"c{place}", kind.decoded, kind.absent) for place, kind in enumerate(self._kinds.values())],
            rename={f"c{place}": name for place, name in enumerate(self._kinds)},
            forbid_unknown_fields=True,
            gc=False,
        )
        self._decode = msgspec.json.Decoder(list[row]).decode  # type: ignore[valid-type]

    def make_table(self, records: Sequence[msgspec.Raw | bytes], changes: Changes) -> pa.Table:
        """Rows of records, each the JSON text of one.

        Args:
            records: in their order.
            changes: gets what did not stay as it was: (column, what became of it) -> how often.

        Raises:
            Unreadable: a record is no JSON object.
        """
        try:
            rows = self._read_rows_at_once(records)
        except _ODD:
            rows = [self._read_row(bytes(record), changes) for record in records]
        values = zip(*rows, strict=True) if rows else [()] * len(self._kinds)
        arrays = [
            _array(self.names[name], kind, column, changes)
            for (name, kind), column in zip(self._kinds.items(), values, strict=True)
        ]
        # A row without any column is a row.
        return pa.Table.from_arrays(arrays, schema=self.arrow)

    def _read_rows_at_once(self, records: Sequence[msgspec.Raw | bytes]) -> list[tuple[Any, ...]]:
        rows = self._decode(b"[" + b",".join(records) + b"]")
        if len(rows) != len(records):
            raise Unreadable("a record is empty")
        return [msgspec.structs.astuple(row) for row in rows]

    def _read_row(self, record: bytes, changes: Changes) -> tuple[Any, ...]:
        try:
            return self._read_rows_at_once([record])[0]
        except _ODD:
            members = split_members(record)
        for name in members.keys() - self._kinds.keys():
            changes[name, NO_COLUMN] += 1
        return tuple(
            fit(self.names[name], kind, members.get(name, NULL), changes) for name, kind in self._kinds.items()
        )


def _distinct(names: Sequence[str]) -> dict[str, str]:
    taken = {name.casefold() for name in _RESERVED}
    given: dict[str, str] = {}
    for name in names:
        number, free = 2, name
        while free.casefold() in taken:
            number, free = number + 1, f"{name}_{number}"
        taken.add(free.casefold())
        given[name] = free
    return given


def _array(name: str, kind: Kind, values: Sequence[Any], changes: Changes) -> pa.Array:
    if kind is JSON:
        texts = [None if (text := bytes(value)) == NULL else text for value in values]
        try:
            return pa.array(texts, pa.binary()).cast(kind.arrow)
        except pa.ArrowInvalid:
            return pa.array([None if it is None else mend_json(name, it, changes) for it in texts], kind.arrow)
    if kind is MOMENT or kind is DAY:
        try:
            array = pa.array(values, pa.string()).cast(kind.arrow)
            # A zone may take a moment out of the years that others know; to read one fails then.
            pc.min_max(array).as_py()
            return array
        except (pa.ArrowInvalid, OverflowError):
            texts = [None if it is None else fit(name, kind, json.dumps(it).encode(), changes) for it in values]
            return pa.array(texts, pa.string()).cast(kind.arrow)
    return pa.array(values, kind.arrow)
