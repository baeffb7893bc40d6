"""Lines and records that come in."""

from __future__ import annotations

import json
from datetime import date, datetime, time
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_klaviyo.intake.records import parse_message, parse_stream_schema
from target_klaviyo.model.records import RejectedRecord

TYPES = ("RECORD", "SCHEMA", "STATE")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", "not_json"),
        (b'{"type":"RECORD\xff', "not_json"),
        (b"[" * 100_000, "not_json"),
        (b"[]", "not_singer"),
        (b'{"stream":"s"}', "not_singer"),
        (b'{"type":"RECORD","stream":"s"}', "not_singer"),
        (b'{"type":"RECORD","stream":"s","record":[]}', "not_singer"),
        (b'{"type":"STATE"}', "not_singer"),
        (b'{"type":"LOG"}', "unknown_type"),
    ],
)
def test_a_line_that_is_no_message_is_unfit(line: bytes, code: str) -> None:
    """Whatever is wrong with a line, it has one code and its reason does not quote it."""
    with pytest.raises(RejectedRecord) as caught:
        parse_message(line, TYPES)
    assert caught.value.code == code


def test_numbers_can_be_written_again() -> None:
    """A STATE is passed on by `json`, so what is read must be what `json` can write."""
    line = '{"type":"SCHEMA","a":1.5,"b":123456789012345678901234567890,"c":1e400}'
    assert json.dumps(parse_message(line, TYPES)["a"]) == "1.5"


def test_a_date_needs_no_time_zone() -> None:
    """Databases have timestamps without zone; what is no date at all is refused, with the column's name."""
    schema = {"properties": {"at": {"type": ["string", "null"], "format": "date-time"}}}
    check = parse_stream_schema("s", schema, []).check
    for value in ("2026-01-01T10:00:00", "2026-01-01 10:00:00.5+02:00", "2026-01-01T10:00:00Z", None):
        check({"at": value})
    with pytest.raises(RejectedRecord, match="at is not a date-time") as caught:
        check({"at": "yesterday"})
    assert caught.value.code == "invalid_date"


def test_a_missing_key_and_a_wrong_type_name_the_column_only() -> None:
    """The reason goes to the log, so it holds no value."""
    check = parse_stream_schema("s", {"properties": {"n": {"type": "integer"}}}, ["id"]).check
    with pytest.raises(RejectedRecord, match="key property id"):
        check({"n": 1})
    with pytest.raises(RejectedRecord) as caught:
        check({"id": 1, "n": "ada@example.com"})
    assert caught.value.reason == 'n: type must be "integer"'


def test_what_a_schema_names_elsewhere_is_not_fetched() -> None:
    """It is left out, and said; the run goes on."""
    schema = {"$ref": "http://127.0.0.1:9/schema", "properties": {"a": {"type": "integer"}}}
    parsed = parse_stream_schema("s", schema, [])
    assert "SCHEMA of the stream s" in parsed.warnings[0]
    with pytest.raises(RejectedRecord, match="a: type"):
        parsed.check({"a": "1"})


# The same verdicts as jsonschema -------------------------------------------------------------------------------------

kinds = st.sampled_from(["string", "integer", "number", "boolean", "object", "array", "null"])
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "a", "1", "2026-01-01", "2026-01-01T10:00:00Z", "10:00:00", "yesterday", "\u00e9"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


def _columns(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    entry = st.fixed_dictionaries(
        {"type": kinds | st.lists(kinds, min_size=1, max_size=3, unique=True)},
        optional={
            "enum": st.lists(scalars, min_size=1, max_size=3, unique_by=repr),
            "format": st.sampled_from(["date-time", "date", "time", "email", "uri"]),
            "maxLength": st.integers(0, 3),
            "minimum": st.integers(-2, 2),
            "maximum": st.integers(-2, 2),
            "items": inner,
        },
    )
    either = st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=2)})
    return entry | either


columns = st.recursive(st.just({}), _columns, max_leaves=3)
schemas = st.fixed_dictionaries(
    {"type": st.just("object"), "properties": st.dictionaries(st.sampled_from("abc"), columns, max_size=3)},
    optional={
        "required": st.lists(st.sampled_from("abc"), unique=True),
        "additionalProperties": st.booleans(),
    },
)


@given(schemas, st.dictionaries(st.sampled_from("abcd"), values, max_size=4))
def test_verdicts_equal_those_of_jsonschema(schema: dict[str, Any], record: dict[str, Any]) -> None:
    """jsonschema-rs accepts and refuses what the SDK's own validator does."""
    validator = parse_stream_schema("s", schema, []).validator
    assert validator is not None
    expected = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker(formats=())).is_valid(
        record
    )
    assert validator.is_valid(record) is expected


FORMATS = {"date-time": datetime, "date": date, "time": time}


@given(st.sampled_from(sorted(FORMATS)), st.booleans(), scalars)
def test_date_verdicts_equal_those_of_jsonschema_with_a_checker(form: str, nullable: bool, value: Any) -> None:
    """Dates are judged as jsonschema would with ISO 8601 as the format."""
    checker = jsonschema.FormatChecker(formats=())
    checker.checks(form, raises=ValueError)(
        lambda text: not isinstance(text, str) or bool(FORMATS[form].fromisoformat(text)) or True
    )
    schema = {"properties": {"a": {"type": ["string", "null"] if nullable else "string", "format": form}}}
    expected = jsonschema.Draft202012Validator(schema, format_checker=checker).is_valid({"a": value})
    try:
        parse_stream_schema("s", schema, []).check({"a": value})
    except RejectedRecord:
        assert not expected
    else:
        assert expected


CLOSED = {"additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "record", "said"),
    [
        ({"properties": {"a": {}}, **CLOSED}, {"a": 1, "b": 2, "c": 3}, "the record must not have b, c"),
        ({"properties": {}, **CLOSED}, {"b": 2}, "the record must not have b"),
        (
            {"properties": {"x": {"properties": {"a": {}}, **CLOSED}}},
            {"x": {"a": 1, "b~/": 2}},
            "x must not have b~/",
        ),
        ({"properties": {"x": CLOSED}}, {"x": {"b": "Lovelace"}}, "x must not have b"),
        ({"properties": {"l": {"items": CLOSED}}}, {"l": [{}, {"b": 2}]}, "l.1 must not have b"),
        ({"properties": {}, "unevaluatedProperties": False}, {"b": 2}, "the record must not have b"),
        (
            {"properties": {"a": {}}, **CLOSED},
            {"additionalProperties/b": 1},
            "the record must not have additionalProperties/b",
        ),
    ],
)
def test_what_must_not_be_there_is_named(schema: dict[str, Any], record: dict[str, Any], said: str) -> None:
    """Its name, and not its value; the pointer leads to it."""
    with pytest.raises(RejectedRecord) as caught:
        parse_stream_schema("s", schema, []).check(record)
    assert caught.value.reason == said
    assert caught.value.pointer is not None
    assert caught.value.pointer.endswith(("/b", "/b~0~1", "~1b"))


def test_a_column_may_be_called_like_the_rule() -> None:
    """One that may have no value is not taken for one that must not be there."""
    with pytest.raises(RejectedRecord, match="additionalProperties"):
        parse_stream_schema("s", {"properties": {"additionalProperties": False}}, []).check({"additionalProperties": 1})
