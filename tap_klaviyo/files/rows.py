"""Rows on their way into a file, and what a file must know of their stream. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, repeat
from typing import Any


@dataclass(frozen=True)
class StreamShape:
    """What a SCHEMA message says of a stream.

    Attributes:
        stream: its name.
        schema: that of its rows.
        key: the columns of its key.
    """

    stream: str
    schema: Mapping[str, Any]
    key: tuple[str, ...]


@dataclass(frozen=True)
class FileRows:
    """Rows of one table that are to go into a file.

    Attributes:
        rows: JSON values, a member for each column.
        extracted: when the first of them was read, in UTC; None where there are none.
        version: the version of the table that they are of, if it has one.
        is_conformed: whether each value is what the schema says. What a stream map makes may be anything.
    """

    rows: Sequence[Mapping[str, Any]]
    extracted: datetime | None
    version: int | None = None
    is_conformed: bool = True

    @property
    def count(self) -> int:
        """How many rows."""
        return len(self.rows)


@dataclass(frozen=True)
class FileColumns:
    """Rows of one table that are to go into a file, column by column; each value is what the schema says.

    Attributes:
        columns: the values by column.
        count: how many rows.
        extracted: when the first of them was read, in UTC; None where there are none.
        version: the version of the table that they are of, if it has one.
    """

    columns: Mapping[str, Sequence[Any]]
    count: int
    extracted: datetime | None
    version: int | None = None

    @property
    def rows(self) -> Iterator[dict[str, Any]]:
        """The same row by row."""
        return (dict(zip(self.columns, values, strict=True)) for values in zip(*self.columns.values(), strict=True))


@dataclass(frozen=True)
class WrittenRows:
    """Rows of one table that a worker process has put into a file of its own."""

    count: int


@dataclass(frozen=True)
class FileRowEncoder:
    """The ``record_lines.Encoder`` of rows that go into files: a file takes those of a whole page at once.

    Args:
        version: the version of the table that the rows are of, if it has one.
    """

    version: int | None = None

    def encode(self, rows: Sequence[Mapping[str, Any]], extracted: datetime) -> FileRows:
        return FileRows(rows, extracted, self.version)

    def join(self, parts: Iterable[FileRows]) -> FileRows:
        parts = list(parts)
        extracted = next((part.extracted for part in parts), None)
        return FileRows([row for part in parts for row in part.rows], extracted, self.version)


@dataclass(frozen=True)
class FileColumnEncoder:
    """As ``FileRowEncoder``, for files of columns: values are taken out of rows that were made just now.

    Later, when a page is whole, its first rows are no longer in the processor's cache. All rows that are encoded at
    once must have the same columns in the same order, as those of a projection do.

    Args:
        version: the version of the table that the rows are of, if it has one.
    """

    version: int | None = None

    def encode(self, rows: Sequence[Mapping[str, Any]], extracted: datetime) -> FileColumns:
        # A look at the names of each row would take longer than all of this.
        values = zip(*[row.values() for row in rows], strict=True)
        return FileColumns(dict(zip(rows[0], values, strict=True)) if rows else {}, len(rows), extracted, self.version)

    def join(self, parts: Iterable[FileColumns]) -> FileColumns:
        parts = list(parts)
        extracted = next((part.extracted for part in parts), None)
        return FileColumns(join_columns(parts), sum(part.count for part in parts), extracted, self.version)


def join_columns(parts: Sequence[FileColumns]) -> Mapping[str, Sequence[Any]]:
    """The values of all parts by column; those of a column that a part does not have are null."""
    if len(parts) == 1:
        return parts[0].columns
    names = dict.fromkeys(name for part in parts for name in part.columns)
    return {
        name: list(chain.from_iterable(part.columns.get(name) or repeat(None, part.count) for part in parts))
        for name in names
    }
