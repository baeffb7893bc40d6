"""Lines become rows of Parquet: no value stops a file, and none changes without being counted."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.lake import CUT, MENDED, NO_COLUMN, Changes, Columns, Unreadable, split_members

SCHEMA = {
    "properties": {
        "text": {"type": ["string", "null"]},
        "whole": {"type": ["integer", "null"]},
        "number": {"type": "number"},
        "flag": {"type": ["null", "boolean"]},
        "at": {"type": ["string", "null"], "format": "date-time"},
        "day": {"type": "string", "format": "date"},
        "object": {"type": ["object", "null"]},
        "any": {},
    }
}
COLUMNS = Columns(SCHEMA)
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
DEEP = "[" * 2000 + "]" * 2000


def read(*records: str | bytes) -> tuple[list[dict[str, Any]], dict[tuple[str, str], int]]:
    changes: Changes = Changes()
    raw = [msgspec.Raw(it.encode() if isinstance(it, str) else it) for it in records]
    return COLUMNS.make_table(raw, changes).to_pylist(), dict(+changes)


def test_types_are_those_of_the_schema() -> None:
    """Date-times keep their zone, integers have 64 bits, and what is no single simple type is JSON text."""
    assert COLUMNS.arrow.types == [
        pa.string(),
        pa.int64(),
        pa.float64(),
        pa.bool_(),
        pa.timestamp("us", "UTC"),
        pa.date32(),
        pa.string(),
        pa.string(),
    ]


def test_rows_true_to_their_schema_arrive_as_they_are() -> None:
    """Values of each type, nulls, what is left out, and JSON to the letter."""
    rows, changes = read(
        '{"text": "é", "whole": -9223372036854775808, "number": 1, "flag": false, "at": "2026-06-01T14:00:00.5+02:00",'
        ' "day": "2026-06-01", "object": {"price": 1.50, "big": 123456789012345678901}, "any": "x"}',
        '{"text": null}',
    )
    assert rows[0] == {
        "text": "é",
        "whole": -(2**63),
        "number": 1.0,
        "flag": False,
        "at": NOON.replace(microsecond=500_000),
        "day": date(2026, 6, 1),
        "object": '{"price": 1.50, "big": 123456789012345678901}',
        "any": '"x"',
    }
    assert rows[1] == dict.fromkeys(rows[0])
    assert changes == {}


NOT_WHOLE = "null, for they are no integer of 64 bits"
NOT_NUMBER = "null, for they are no number of 64 bits"
NOT_MOMENT = "null, for they are no date-time"
NOT_DAY = "null, for they are no date"


@pytest.mark.parametrize(
    ("column", "text", "value", "change"),
    [
        ("whole", "9223372036854775808", None, NOT_WHOLE),
        ("whole", "1.5", None, NOT_WHOLE),
        ("whole", "1e400", None, NOT_WHOLE),
        ("whole", "true", None, NOT_WHOLE),
        ("whole", '"many"', None, NOT_WHOLE),
        ("whole", "[1]", None, NOT_WHOLE),
        ("whole", DEEP, None, NOT_WHOLE),
        ("whole", "2.0", 2, None),
        ("whole", '"12"', 12, None),
        ("number", "1e400", None, NOT_NUMBER),
        ("number", "NaN", None, NOT_NUMBER),
        ("number", "-Infinity", None, NOT_NUMBER),
        ("number", '"1.50"', 1.5, None),
        ("number", "9" * 400, None, NOT_NUMBER),
        ("flag", "1", None, "null, for they are no boolean"),
        ("at", '"soon"', None, NOT_MOMENT),
        ("at", "1780272000", None, NOT_MOMENT),
        ("at", '"2026-06-01T12:00:00"', NOON, None),
        ("at", '"2026-06-01T12:00:00.123456789Z"', NOON.replace(microsecond=123456), CUT),
        ("at", '"2026-06-01T12:00:00.123456000Z"', NOON.replace(microsecond=123456), None),
        ("at", '"0001-01-01T00:00:00+14:00"', None, NOT_MOMENT),
        ("day", '"2026-06-01T12:00:00Z"', date(2026, 6, 1), None),
        ("day", '"yesterday"', None, NOT_DAY),
        ("text", "1.50", "1.50", None),
        ("text", '{"a": [1, "b"]}', '{"a": [1, "b"]}', None),
        ("text", '"\\ud83d\\ude00 \\ud83d"', "\U0001f600 ?", MENDED),
        ("text", DEEP, DEEP, None),
        ("object", '{"a": "\\ud800\\"", "b": 1.50}', '{"a": "?\\"", "b": 1.50}', MENDED),
        ("object", '{"a": "NaN", "b": NaN}', '{"a": "NaN", "b": null}', MENDED),
        ("any", DEEP, DEEP, None),
        ("any", "1e400", "1e400", None),
        ("any", "NaN", None, MENDED),
    ],
)
def test_what_does_not_fit_is_told_and_stops_nothing(column: str, text: str, value: Any, change: str | None) -> None:
    """Rows beside it are whole, and what becomes null or another value is counted for its column."""
    rows, changes = read('{"text": "before"}', f'{{"text": "beside", "{column}": {text}}}', '{"text": "after"}')
    assert [row["text"] for row in rows][::2] == ["before", "after"]
    assert rows[1][column] == value
    assert changes == ({} if change is None else {(column, change): 1})


@pytest.mark.parametrize("column", ["text", "object"])
def test_bytes_that_are_no_unicode_are_replaced(column: str) -> None:
    """A loader that stopped at them would stop for good."""
    rows, changes = read(b'{"%s": "\xff"}' % column.encode(), '{"text": "after"}')
    assert "\ufffd" in rows[0][column]
    assert rows[1]["text"] == "after"
    assert changes == {(column, MENDED): 1}


def test_a_column_that_the_schema_lacks_is_told() -> None:
    """Its values have no place, so the log counts them."""
    rows, changes = read('{"text": "a", "other": 1}', '{"text": "b"}')
    assert [row["text"] for row in rows] == ["a", "b"]
    assert changes == {("other", NO_COLUMN): 1}


def test_columns_that_differ_in_capitals_only_are_both_kept() -> None:
    """DuckDB knows no capitals, and no table may take its names for a file's columns."""
    columns = Columns({"properties": {"Id": {}, "id": {"type": "string"}, "ID_2": {}, "filename": {}}})
    assert columns.arrow.names == ["Id", "id_2", "ID_2_2", "filename_2"]
    (row,) = columns.make_table([b'{"Id": 1, "id": "x", "ID_2": 3, "filename": 4}'], Changes()).to_pylist()
    assert row == {"Id": "1", "id_2": "x", "ID_2_2": "3", "filename_2": "4"}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1', '{"a": }', '{"a": 1} 2', "1", '{"a": [1, 2}'])
def test_what_is_no_object_is_no_row(text: str) -> None:
    """Of a line that is broken nobody knows what it said."""
    with pytest.raises(Unreadable):
        split_members(text.encode())
    with pytest.raises(Unreadable):
        read(text)


@given(st.dictionaries(st.text(), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)))
def test_members_are_those_that_a_parser_finds(record: dict[str, Any]) -> None:
    """The way for odd lines splits any object as Python's own parser does."""
    for text in (json.dumps(record), json.dumps(record, ensure_ascii=False, indent=1)):
        members = split_members(text.encode("utf-8", "surrogatepass"))
        assert {name: json.loads(value.decode("utf-8", "surrogatepass")) for name, value in members.items()} == record


@given(
    st.lists(st.dictionaries(st.sampled_from([*SCHEMA["properties"]]), st.from_type(str) | st.integers() | st.none()))
)
def test_odd_rows_change_none_beside_them(records: list[dict[str, Any]]) -> None:
    """Row by row or all in one go, the same rows come out."""
    texts = [json.dumps(record) for record in records]
    assert read(*texts)[0] == [read(text)[0][0] for text in texts]


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}, pa.timestamp("us", "UTC")),
        ({"anyOf": [{"type": "string", "format": "date-time"}, {"type": ["string", "null"]}]}, pa.string()),
        ({"oneOf": [{"type": "integer"}, {"type": ["null"]}]}, pa.int64()),
        ({"type": ["null", "integer"]}, pa.int64()),
        ({"type": ["string", "integer"]}, pa.string()),
    ],
)
def test_choices_of_a_schema_have_a_type(column: dict[str, Any], kind: pa.DataType) -> None:
    """Older taps write what may be null as a choice."""
    assert Columns({"properties": {"it": column}}).arrow.types == [kind]
