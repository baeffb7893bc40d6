"""Rows as lines of Singer RECORD messages, a page at once. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True)
class Lines:
    """Whole lines of messages, and how many they are."""

    data: bytes | memoryview
    count: int


def record_lines(
    stream: str, rows: Sequence[Mapping[str, Any]], extracted: datetime, version: int | None = None
) -> Lines:
    """What the SDK's writer makes of these rows one by one, each line with its end.

    Args:
        stream: the stream's name.
        rows: JSON values only, conformed to the stream's schema.
        extracted: when they were read, in UTC.
        version: the version of the table that they are of, if it has one.
    """
    said = {} if version is None else {"version": version}
    messages = [
        {"type": "RECORD", "stream": stream, "record": row, **said, "time_extracted": extracted} for row in rows
    ]
    return Lines(_ENCODER.encode_lines(messages), len(messages))


def lines_of(
    tables: Mapping[str, Sequence[Mapping[str, Any]]], extracted: datetime, versions: Mapping[str, int | None]
) -> dict[str, Lines]:
    """The lines of each table's rows."""
    return {name: record_lines(name, rows, extracted, versions[name]) for name, rows in tables.items()}
