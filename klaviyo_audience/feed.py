"""The feed: rows as Singer lines, in a file that nobody else can open and that is gone with the process."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time
from decimal import Decimal
from typing import IO, Any

import msgspec

from klaviyo_audience.guesses import ColumnGuess, Guess
from klaviyo_audience.reading.rows import Rows

_JSON_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}
_BLOCK_BYTES = 1 << 18

# Makes further columns of a row: column -> value.
Derive = Callable[[dict[str, Any]], None]


class Feed:
    """The rows of a source, read once, so that a plan and a push see the same.

    Args:
        stream: the stream's name.
        version: the number of this run, which every row carries and an ACTIVATE_VERSION behind them ends.

    Attributes:
        count: how many rows there are.
        columns: column -> the JSON types that its values have.
    """

    def __init__(self, stream: str, version: int) -> None:
        self.stream = stream
        self.version = version
        self.count = 0
        self.columns: dict[str, set[str]] = {}
        self._guesses: dict[str, ColumnGuess] = {}
        # On POSIX it has no name from the start: also a process that is killed leaves nothing.
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="klaviyo-audience-")  # noqa: SIM115 - closed with the feed

    def fill(self, rows: Rows, *, typed: Collection[str], derive: Derive | None = None) -> None:
        """Read all rows.

        Args:
            rows: the source's.
            typed: the columns whose types are of interest.
            derive: changes a row before it is written.
        """
        seen: dict[str, set[type]] = {column: set() for column in rows.columns}
        self._guesses = {column: ColumnGuess(not rows.has_types) for column in typed}
        encode = msgspec.json.Encoder().encode
        for values in rows.values:
            record: dict[str, Any] = {}
            for column, value in zip(rows.columns, values, strict=True):
                if value is not None and column in self._guesses:
                    self._guesses[column].add(value)
                record[column] = value if value is None or type(value) is str else to_json(value)
            if derive is not None:
                derive(record)
            for column, value in record.items():
                if value is not None:
                    seen.setdefault(column, set()).add(type(value))
            message = {"type": "RECORD", "stream": self.stream, "record": record, "version": self.version}
            self._file.write(encode(message) + b"\n")
            self.count += 1
        self._file.flush()
        self.columns = {column: {_JSON_TYPES.get(kind, "string") for kind in kinds} for column, kinds in seen.items()}

    @property
    def guesses(self) -> Mapping[str, Guess]:
        """Column -> what its values are."""
        return {column: guess.guess() for column, guess in self._guesses.items()}

    def schema(self) -> dict[str, Any]:
        """The SCHEMA message."""
        properties = {column: {"type": [*sorted(types), "null"]} for column, types in self.columns.items()}
        return {
            "type": "SCHEMA",
            "stream": self.stream,
            "schema": {"type": "object", "properties": properties},
            "key_properties": [],
        }

    @contextmanager
    def lines(self) -> Iterator[Lines]:
        """The Singer lines from the first to the last, as a file that is read in order."""
        self._file.seek(0)
        first = msgspec.json.encode(self.schema()) + b"\n"
        ended = {"type": "ACTIVATE_VERSION", "stream": self.stream, "version": self.version}
        yield Lines([first], self._file, [msgspec.json.encode(ended) + b"\n"])

    def close(self) -> None:
        """Remove what was kept."""
        self._file.close()


class Lines:
    """Bytes before a file, the file, and bytes behind it, as much of a file as the target reads."""

    def __init__(self, before: Sequence[bytes], file: IO[bytes], behind: Sequence[bytes]) -> None:
        self._before, self._file, self._behind = list(before), file, list(behind)

    @property
    def buffer(self) -> Lines:
        return self

    def read1(self, size: int = _BLOCK_BYTES) -> bytes:
        if self._before:
            return self._before.pop(0)
        return self._file.read(size) or (self._behind.pop(0) if self._behind else b"")


def to_json(value: Any) -> Any:
    """A value as JSON has it.

    >>> to_json(date(2026, 1, 31)), to_json(Decimal("1.50")), to_json(float("nan"))
    ('2026-01-31', 1.5, None)
    """
    match value:
        case None | bool() | str() | int():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            if not value.is_finite():
                return None
            return int(value) if value == value.to_integral_value() else float(value)
        case datetime() | date() | time():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            return bytes(value).hex()
        case Mapping():
            return {str(name): to_json(entry) for name, entry in value.items()}
        case list() | tuple() | set():
            return [to_json(entry) for entry in value]
    return str(value)
