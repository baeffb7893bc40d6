"""SCHEMAs of taps that write older JSON Schema, or none: what can be judged is, and the rest is told once."""

from __future__ import annotations

from typing import Any

import pytest
from target_support import Command, records

from klaviyo_sandbox import RunningSandbox
from target_klaviyo.intake.records import parse_stream_schema
from target_klaviyo.intake.schema_dialects import UNKNOWN_COLUMNS, complete_message
from target_klaviyo.model.records import RejectedRecord

NUMERIC = {
    "type": ["null", "number"],
    "multipleOf": 0.01,
    "maximum": 100,
    "exclusiveMaximum": True,
    "minimum": -100,
    "exclusiveMinimum": True,
}


def is_valid(column: Any, value: Any, **root: Any) -> bool:
    """Whether a record of one column, `c`, fits a SCHEMA."""
    try:
        parse_stream_schema("s", {"type": "object", "properties": {"c": column}, **root}, []).check({"c": value})
    except RejectedRecord:
        return False
    return True


def test_bounds_of_draft_4_are_what_they_were() -> None:
    """`exclusiveMaximum: true` of draft 4 makes its `maximum` a bound that is not reached."""
    assert [value for value in (99.99, 100, -100, 0, 100.01, None) if is_valid(NUMERIC, value)] == [99.99, 0, None]
    loose = {**NUMERIC, "exclusiveMaximum": False, "exclusiveMinimum": False}
    assert [value for value in (100, 100.01, -100) if is_valid(loose, value)] == [100, -100]


@pytest.mark.parametrize(
    ("column", "good", "bad"),
    [
        ({"type": "array", "items": []}, [1, "a"], "a"),
        ({"type": "array", "items": [{"type": "string"}], "additionalItems": False}, ["a"], ["a", "b"]),
        ({"type": "array", "items": {"type": "number", "minimum": 1, "exclusiveMinimum": True}}, [2], [1]),
        ({"anyOf": [{"type": "null"}, {"type": "number", "maximum": 1, "exclusiveMaximum": True}]}, 0, 1),
        ({"type": "string", "required": True}, "a", 1),
        ({"type": "text", "maxLength": 1}, "a", "ab"),
        ({"type": ["null", "decimal"]}, 1, ...),
        ({"type": [{"type": "string"}, "null"]}, 1, ...),
        ({"type": "any"}, 1, ...),
        ({"type": "string", "pattern": "(?<"}, "a", 1),
        ({"type": "string", "enum": "a"}, "b", 1),
        ({"anyOf": []}, 1, ...),
        ({"anyOf": [None, {"type": "text"}]}, 1, ...),
        ({"type": "string", "format": 7}, "a", 1),
        ({"type": "string", "anyOf": None}, "a", 1),
        ({"type": "string", "$ref": "http://127.0.0.1:9/schema"}, "a", 1),
        ({"type": "string", "$ref": "#/definitions/gone"}, "a", 1),
        (None, 1, ...),
        ("string", 1, ...),
        ({"type": {"a": 1}}, 1, ...),
    ],
)
def test_what_is_no_schema_of_today_is_translated_or_judged_less(column: Any, good: Any, bad: Any) -> None:
    """What else the column's schema says still counts, and one warning names the column."""
    assert is_valid(column, good)
    assert bad is ... or not is_valid(column, bad)
    [warning] = parse_stream_schema("s", {"properties": {"fine": {"type": "string"}, "c": column}}, []).warnings
    assert "stream s" in warning
    assert ": c" in warning
    assert "fine" not in warning


@pytest.mark.parametrize("root", [{"type": "OBJECT"}, {"required": None}, {"$id": "::bad"}, {"$ref": "http://x/y"}])
def test_what_is_wrong_above_the_columns_ends_no_run(root: dict[str, Any]) -> None:
    """The columns are judged all the same."""
    assert is_valid({"type": "string"}, "a", **root)
    assert not is_valid({"type": "string"}, 1, **root)


def test_a_column_may_be_called_like_a_keyword() -> None:
    """Only what stands where a keyword stands is one."""
    schema = {"properties": {"properties": {"type": "text"}, "items": {"type": "array", "items": []}, "$ref": {}}}
    parsed = parse_stream_schema("s", schema, [])
    parsed.check({"properties": 1, "items": [], "$ref": "x"})
    assert parsed.validator is not None


def test_a_numeric_column_of_an_old_tap_is_sent(target: Command, account: RunningSandbox) -> None:
    """Both old tap-postgres write draft 4: one warning for the stream names the column, and records go through."""
    odd = {
        "total": NUMERIC,
        "rates": {"type": "array", "items": []},
        "odd": {"type": "text"},
        "none": None,
        "word": "string",
    }
    columns = {"email": {"type": ["null", "string"]}, **odd}
    schema = {"type": "SCHEMA", "stream": "profiles", "key_properties": [], "schema": {"properties": columns}}
    people = [{"email": "a@example.com", "total": 12.34}, {"email": "b@example.com", "total": 100}]
    run = target([schema, *records("profiles", people), schema])
    assert run.code == 0, run.stderr
    assert [row["email"] for row in account.store.profiles.rows.values() if row["email"] == "a@example.com"]
    [misfit] = [row for row in account.store.profiles.rows.values() if row["email"] == "b@example.com"]
    assert "total" not in misfit["properties"]
    assert "left out of 1 record: total" in run.stderr
    [warning] = [line for line in run.said("WARNING") if "draft" in line or "JSON Schema" in line]
    assert warning.endswith(": " + ", ".join(odd))


@pytest.mark.parametrize(
    "schema", [{}, {"properties": None, "required": ["a"]}, {"properties": ["a"]}, True, None, "object", []]
)
@pytest.mark.parametrize("keys", [["id"], "id", None, 5])
def test_a_schema_without_properties_has_no_columns_and_no_keys(schema: Any, keys: Any) -> None:
    """Nothing else of it is left that could refuse a record."""
    message = {"type": "SCHEMA", "stream": "s", "schema": schema, "key_properties": keys}
    completed, [warning] = complete_message(message)
    assert completed == {
        **message,
        "schema": {"type": "object", "properties": {}, UNKNOWN_COLUMNS: True},
        "key_properties": [],
    }
    assert warning.startswith("the tap's SCHEMA of the stream s has no properties")
    del message["schema"]
    assert complete_message(message)[0]["schema"] == completed["schema"]


@pytest.mark.parametrize(
    ("keys", "names"),
    [(["id"], ["id"]), (("a", "id"), ["a", "id"]), ("id", ["id"]), ([["id"], "a", None], ["a"]), (5, []), (None, [])],
)
def test_every_key_is_a_column(keys: Any, names: list[str]) -> None:
    """What is no name is no key: the SDK's stream maps end the run for either."""
    message = {
        "type": "SCHEMA",
        "stream": "s",
        "schema": {"properties": {"a": {"type": "string"}}},
        "key_properties": keys,
    }
    completed, warnings = complete_message(message)
    assert completed["key_properties"] == names
    assert completed["schema"] == {"properties": {"a": {"type": "string"}, **({"id": {}} if "id" in names else {})}}
    assert bool(warnings) is (keys not in (["id"], ("a", "id"), None))


@pytest.mark.parametrize(
    "more",
    [{}, {"stream_maps": {"s": {"first_name": "'Eve'"}}}, {"flattening_enabled": True, "flattening_max_depth": 2}],
)
@pytest.mark.parametrize("action", ["upsert_profile", "list_members"])
def test_records_of_a_schema_without_properties_are_sent(
    action: str, more: dict[str, Any], target: Command, account: RunningSandbox
) -> None:
    """They go by their own fields, and one warning names the stream."""
    message = {"type": "SCHEMA", "stream": "s", "schema": {"type": "object"}, "key_properties": ["id"]}
    rows = [{"email": "eve@example.com", "first_name": "Eve", "list_name": "Made"}, {"first_name": "Bob"}]
    streams = {"s": {"action": action, "create_list": True, "mapping": {"last_name": "surname"}}}
    run = target([message, message, *records("s", rows)], streams=streams, **more)
    assert run.code == 0, run.stderr
    assert [line["code"] for line in run.rejected] == ["no_identifier"]
    assert [row["first_name"] for row in account.store.profiles.rows.values() if row["email"] == "eve@example.com"] == [
        "Eve"
    ]
    [warning] = [line for line in run.said("WARNING") if "stream" in line or "column" in line]
    assert "the tap's SCHEMA of the stream s has no properties" in warning


def test_a_key_that_is_no_column_ends_nothing(target: Command) -> None:
    """Not beside a stream map either, which the SDK refuses then."""
    message = {"type": "SCHEMA", "stream": "s", "schema": {"properties": {"email": {}}}, "key_properties": ["id"]}
    rows = [{"email": "eve@example.com", "id": 1}, {"email": "bob@example.com"}]
    stream_maps = {"s": {"first_name": "'Eve'"}}
    run = target([message, *records("s", rows)], streams={"s": {"action": "upsert_profile"}}, stream_maps=stream_maps)
    assert run.code == 0, run.stderr
    assert [line["code"] for line in run.rejected] == ["missing_key"]


@pytest.mark.parametrize("stream", [{}, {"stream": None}, {"stream": 7}])
def test_a_schema_of_no_stream_ends_the_run(stream: dict[str, Any], target: Command) -> None:
    """The tap is broken; nothing is guessed about the records that follow."""
    run = target([{"type": "SCHEMA", "schema": {"properties": {}}, **stream}])
    assert run.code == 1
    assert "a SCHEMA of the tap names no stream" in run.stderr
