"""The rows between their source and the target: in no memory, and in no file that anybody could find."""

from __future__ import annotations

import tempfile
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from klaviyo_audience.feed import Feed, to_json
from klaviyo_audience.reading.rows import Rows


def many(count: int) -> Iterator[list[Any]]:
    for number in range(count):
        yield [f"person{number}@example.com", f"a note about number {number} that is like no other", number / 2]


def test_rows_are_not_kept_in_memory(tmp_path: Path) -> None:
    """Five times the rows need no more memory: what is remembered of them has bounds."""
    peaks = []
    for count in (10_000, 50_000):
        feed = Feed("people", version=1)
        tracemalloc.start()
        feed.fill(Rows(["email", "Notes", "Spent"], many(count)), typed=["Notes", "Spent"])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert feed.count == count
        assert feed.guesses["Spent"].kind.text == "number"
        feed.close()
    assert peaks[1] < peaks[0] * 1.2


def test_their_file_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while the run goes on, so that one that is killed leaves nobody's address behind."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    feed = Feed("people", version=1)
    feed.fill(Rows(["email"], iter([["ada@example.com"]])), typed=[])
    assert list(tmp_path.iterdir()) == []
    with feed.lines() as lines:
        assert b"ada@example.com" in lines.read1() + lines.read1()
    feed.close()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("1.50"), 1.5),
        (Decimal(3), 3),
        (Decimal("NaN"), None),
        (float("inf"), None),
        (date(2026, 1, 31), "2026-01-31"),
        (datetime(2026, 1, 31, 10, tzinfo=UTC), "2026-01-31T10:00:00+00:00"),
        (time(10, 30), "10:30:00"),
        (b"\x00\xff", "00ff"),
        ({"a": [Decimal("0.5"), None]}, {"a": [0.5, None]}),
        ((1, "a"), [1, "a"]),
        (True, True),
    ],
)
def test_values_as_json_has_them(value: Any, expected: Any) -> None:
    """Whatever a database, a workbook or Parquet has in a cell."""
    assert to_json(value) == expected
    msgspec.json.encode(to_json(value))
