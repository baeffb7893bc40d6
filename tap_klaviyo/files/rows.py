"""Rows on their way into a file, and what a file must know of their stream. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
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
