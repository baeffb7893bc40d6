"""Columns of a file, made of rows: typed, and whatever a row holds, no value stops a file."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_klaviyo.files.columns import ColumnMaker
from tap_klaviyo.files.rows import FileColumnEncoder, StreamShape
from tap_klaviyo.rows.values import MAX_INTEGER, MIN_INTEGER

COLUMNS: dict[str, dict[str, Any]] = {
    "text": {"type": ["string", "null"]},
    "time": {"type": ["string", "null"], "format": "date-time"},
    "day": {"type": ["string", "null"], "format": "date"},
    "whole": {"type": ["integer", "null"]},
    "number": {"type": ["null", "number"]},
    "yes": {"type": "boolean"},
    "object": {"type": ["object", "null"]},
    "array": {"type": ["array", "null"]},
    "mixed": {"type": ["string", "integer", "null"]},
    "any": {},
}
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DATED = '{"at":"2026-01-01T00:00:00Z","price":1.50}'
JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None))
    | st.text(st.characters(categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
PLAIN_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(MIN_INTEGER, MAX_INTEGER) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
CONFORMED: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(),
    "time": st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
    "day": st.dates().map(date.isoformat),
    "whole": st.integers(MIN_INTEGER, MAX_INTEGER),
    "number": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70),
    "yes": st.booleans(),
    "object": st.dictionaries(st.text(max_size=3), PLAIN_JSON, max_size=3),
    "array": st.lists(PLAIN_JSON, max_size=3),
    "mixed": st.text() | st.integers(),
    "any": PLAIN_JSON,
}


def maker() -> ColumnMaker:
    return ColumnMaker(StreamShape("s", {"properties": COLUMNS}, ("text",)))


def made(*rows: dict[str, Any], conformed: bool = False) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The rows as a file has them, and how many values of each column became null."""
    columns = maker()
    return columns.make(rows, conformed=conformed).to_pylist(), dict(columns.misfits)


def test_each_type_has_its_own_column() -> None:
    """What JSON has a type for is typed, and JSON of any other shape is text."""
    types = {field.name: str(field.type) for field in maker().schema}
    assert types == {
        "text": "string",
        "time": "timestamp[us, tz=UTC]",
        "day": "date32[day]",
        "whole": "int64",
        "number": "double",
        "yes": "bool",
        **dict.fromkeys(("object", "array", "mixed", "any"), "string"),
    }


@given(st.lists(st.fixed_dictionaries({name: st.none() | values for name, values in CONFORMED.items()}), max_size=4))
def test_rows_that_conform_are_the_same_by_the_fast_way(rows: list[dict[str, Any]]) -> None:
    """All columns at once, or value by value: nothing is lost, and nothing changes but the type."""
    fast, misfits = made(*rows, conformed=True)
    slow, _ = made(*rows, conformed=False)
    assert fast == slow
    assert not misfits
    for row, column in zip(rows, fast, strict=True):
        for name, value in row.items():
            if name in ("object", "array", "mixed", "any"):
                assert (column[name] is None) is (value is None)
                assert value is None or json.loads(column[name]) == value
            elif name in ("time", "day"):
                assert (column[name] and column[name].isoformat()) == value
            else:
                assert column[name] == (float(value) if name == "number" and value is not None else value)


@given(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(COLUMNS, JSON_VALUES)), max_size=4), st.booleans())
def test_nothing_stops_a_file(rows: list[dict[str, Any]], conformed: bool) -> None:
    """Any value of JSON in any column, members that are missing, and whatever was promised of the rows."""
    columns = maker()
    assert len(columns.make(rows, conformed=conformed)) == len(rows)
    assert set(columns.misfits) <= set(COLUMNS)


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("text", "half \ud800 pair", "half ? pair"),
        ("text", 5, "5"),
        ("text", {"a": "\ud800", "n": float("nan")}, '{"a":"?","n":null}'),
        ("time", "2026-01-01T01:00:00+02:00", datetime(2025, 12, 31, 23, tzinfo=UTC)),
        ("time", "2026-01-01", datetime(2026, 1, 1, tzinfo=UTC)),
        ("time", datetime(1, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)),
        ("time", "9999-12-31T23:59:59.999999+00:00", datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)),
        ("day", "0001-01-01", date(1, 1, 1)),
        ("whole", MAX_INTEGER, MAX_INTEGER),
        ("whole", 3.0, 3),
        ("number", 2**53 + 1, float(2**53 + 1)),
        ("number", Decimal("1.5"), 1.5),
        ("object", {}, "{}"),
        ("object", {"at": datetime(2026, 1, 1, tzinfo=UTC), "price": Decimal("1.50")}, DATED),
        ("mixed", "5", '"5"'),
        ("any", 0, "0"),
    ],
)
def test_odd_values_that_fit(column: str, value: Any, expected: Any) -> None:
    """What a stream map or Klaviyo itself may give is kept as far as the column can hold it."""
    [row], misfits = made({column: value})
    assert row[column] == expected
    assert not misfits


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("time", "10000-01-01T00:00:00+00:00"),
        ("time", "0001-01-01T00:00:00+10:00"),
        ("time", "soon"),
        ("day", "2026-02-30"),
        ("whole", MAX_INTEGER + 1),
        ("whole", 1.5),
        ("whole", True),
        ("whole", "5"),
        ("number", float("nan")),
        ("number", float("inf")),
        ("number", 10**400),
        ("number", True),
        ("yes", 1),
        ("yes", "true"),
    ],
)
def test_what_fits_no_column_is_null_and_counted(column: str, value: Any) -> None:
    """The row is kept, and its other values too."""
    [row], misfits = made({column: value, "text": "kept"})
    assert row["text"] == "kept"
    assert row[column] is None
    assert misfits == {column: 1}


@pytest.mark.parametrize(("column", "value"), [("whole", 1.5), ("whole", True), ("number", True), ("yes", 1)])
def test_a_wrong_type_is_never_taken_for_another_number(column: str, value: Any) -> None:
    """Also where it was promised that each value is what the schema says: it becomes null, and is counted."""
    [row], misfits = made({column: value}, conformed=True)
    assert row[column] is None
    assert misfits == {column: 1}


def test_columns_of_a_page_are_those_of_its_rows() -> None:
    """Made at once or part by part."""
    rows = [{"a": 1, "b": None}, {"a": 2, "b": "x"}, {"a": 3, "b": "y"}, {"a": None, "b": None}]
    encoder = FileColumnEncoder(7)
    parts = [encoder.encode(rows[start:stop], NOW) for start, stop in ((0, 0), (0, 2), (2, 3), (3, 4))]
    for joined in (encoder.encode(rows, NOW), encoder.join(parts)):
        assert list(joined.rows) == rows
        assert (joined.count, joined.extracted, joined.version) == (4, NOW, 7)


def test_parts_of_a_page_may_have_different_columns() -> None:
    """Those of a column that a part does not have are null."""
    encoder = FileColumnEncoder()
    joined = encoder.join([encoder.encode(rows, NOW) for rows in ([{"a": 1, "b": 2}], [{"b": 3}], [{"c": 4, "b": 5}])])
    assert list(joined.rows) == [
        {"a": 1, "b": 2, "c": None},
        {"a": None, "b": 3, "c": None},
        {"a": None, "b": 5, "c": 4},
    ]
