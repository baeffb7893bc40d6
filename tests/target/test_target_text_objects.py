"""Objects as databases without nested types, and CSV files, have them: the JSON of one, in a text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from target_support import EVERY, NOW, Command, records, rows_of

from klaviyo_sandbox import RunningSandbox
from target_klaviyo.intake.route_settings import parse_routes
from target_klaviyo.model.records import RejectedRecord

ADA = {"email": "ada@example.com"}
EVENT = {**ADA, "metric": "Waved", "unique_id": "1"}
ORDER = {**ADA, "order_id": "1"}
# For each field that is an object: the action, what else a record needs, the column and an object for it.
OBJECTS: list[tuple[str, Mapping[str, Any], str, Any]] = [
    ("upsert_profile", ADA, "properties", {"plan": "gold", "$last_name": "Lovelace"}),
    ("upsert_profile", ADA, "location", {"city": "London", "latitude": 51.5}),
    ("identify", {}, "properties", {"$email": "ada@example.com", "plan": "gold"}),
    ("update_profile", ADA, "extra", {"plan": "gold"}),
    ("update_profile", ADA, "event", {"name": "Waved", "value": "3", "extra": {"at": "us"}, "unique_id": 1}),
    ("track_event", EVENT, "properties", {"at": "us"}),
    ("track_event", EVENT, "event_properties", {"at": {"whom": ["us", None]}}),
    ("track_event", EVENT, "profile_location", {"city": "London"}),
    ("track_event", EVENT, "profile_properties", {"plan": "gold"}),
    ("track", EVENT, "customer_properties", {"$first_name": "Ada", "plan": "gold"}),
    ("track", {"event": "Waved"}, "customer_properties", {"$email": "ada@example.com"}),
    ("order_completed", ORDER, "properties", {"coupon": "X"}),
    ("order_completed", ORDER, "items", [{"sku": "A", "price": 2}, {"sku": "B"}]),
    ("list_members", {**ADA, "list_name": "News"}, "properties", {"plan": "gold"}),
    ("coupon", {"external_id": "SPRING"}, "monitor_configuration", {"low_balance_threshold": 5}),
    ("object_records", {"data_source_id": "01"}, "properties", {"plan": "gold"}),
    ("catalog_items", {"external_id": "LAMP-1"}, "custom_metadata", {"colour": "red"}),
    ("catalog_variants", {"external_id": "LAMP-1"}, "custom_metadata", {"colour": "red"}),
]


@pytest.mark.parametrize(("action", "record", "column", "value"), OBJECTS)
def test_the_json_of_an_object_is_the_object(
    action: str, record: Mapping[str, Any], column: str, value: Mapping[str, Any]
) -> None:
    """What is sent is the same, byte for byte."""
    text = f" {json.dumps(value)}\n"
    plain, read = rows_of({"action": action}, {**record, column: value}, {**record, column: text})
    while plain.next_step is not None and read.next_step is not None:
        assert plain.body == read.body
        plain, read = plain.next_step[1], read.next_step[1]
    assert (plain.body, plain.next_step) == (read.body, read.next_step)
    assert json.dumps(column) not in plain.body.decode() or column in (
        "properties",
        "location",
        "monitor_configuration",
        "custom_metadata",
    )


@pytest.mark.parametrize("text", ["nope", '{"a": 1', '"a"', "[1]", "7", "{'a': 1}", '{"a": "\\ud800"}', '{"a": 1e999}'])
@pytest.mark.parametrize(("action", "record", "column", "value"), OBJECTS)
def test_a_text_that_is_the_json_of_no_object_rejects_the_record(
    action: str, record: Mapping[str, Any], column: str, value: Any, text: str
) -> None:
    """It is not stored as one property of that name."""
    if column == "event" and not text.startswith(("{", "[")):
        return  # its name
    with pytest.raises(RejectedRecord) as caught:
        rows_of({"action": action}, {**record, column: text})
    assert caught.value.code == "invalid_field"
    assert text not in caught.value.reason


@pytest.mark.parametrize("nothing", [None, "", " ", "null", {}, []])
@pytest.mark.parametrize(("action", "record", "column", "value"), [case for case in OBJECTS if case[1].get("email")])
def test_an_object_that_is_empty_says_nothing(
    action: str, record: Mapping[str, Any], column: str, value: Any, nothing: Any
) -> None:
    """Whatever the source writes for it; PHP writes an empty object as an empty list."""
    plain, empty = rows_of({"action": action}, record, {**record, column: nothing})
    found = json.loads(empty.body)
    for event in found.get("events", ()):
        event["properties"] = {k: v for k, v in event["properties"].items() if (k, v) != ("products", [])}
    assert found == json.loads(plain.body)


@pytest.mark.parametrize("value", [7, True, ["a"]])
def test_a_value_that_is_no_object_is_not_stored_as_one_property(value: Any) -> None:
    """Whatever its type; a mapping says so where it is meant."""
    with pytest.raises(RejectedRecord, match="location must be an object"):
        rows_of({"action": "upsert_profile"}, {**ADA, "location": value})
    (row,) = rows_of(
        {"action": "upsert_profile", "mapping": {"properties.location": "location"}}, {**ADA, "location": value}
    )
    assert row.payload["attributes"]["properties"] == {"location": value}


def test_a_profile_in_a_text_is_the_profile() -> None:
    """A mapping leads to it; below it objects may be texts again."""
    person = {"first_name": "Ada", "location": json.dumps({"city": "London"}), "properties": '{"plan": "gold"}'}
    (row,) = rows_of({"action": "track_event", "mapping": {"profile": "who"}}, {**EVENT, "who": json.dumps(person)})
    assert row.payload["profile"]["attributes"] == {
        **ADA,
        "first_name": "Ada",
        "location": {"city": "London"},
        "properties": {"plan": "gold"},
    }


def test_the_lines_of_an_order_may_each_be_a_text() -> None:
    """Or one line alone."""
    line = {"sku": "A", "price": 2}
    for said in ([json.dumps(line)], json.dumps(line), line, [line]):
        (row,) = rows_of({"action": "order_completed"}, {**ORDER, "items": said})
        assert row.payload["events"][0]["properties"]["products"] == [line]


def test_texts_of_other_columns_stay_texts() -> None:
    """Only a field that is an object is read as one."""
    (row,) = rows_of({"action": "upsert_profile"}, {**ADA, "settings": '{"a": 1}'})
    assert row.payload["attributes"]["properties"] == {"settings": '{"a": 1}'}


def test_an_object_in_a_text_arrives(target: Command, account: RunningSandbox) -> None:
    """The good record's properties are there one by one; the broken one is on file."""
    rows = [{**ADA, "properties": '{"plan": "gold"}'}, {"email": "b@example.com", "properties": '{"plan"'}]
    schema = {"type": "SCHEMA", "stream": "p", "key_properties": [], "schema": {"properties": {}}}
    run = target([schema, *records("p", rows)], streams={"p": {"action": "upsert_profile", "on_bad_value": "reject"}})
    assert [(line["record"]["email"], line["code"]) for line in run.rejected] == [("b@example.com", "invalid_field")]
    [ada] = [row for row in account.store.profiles.rows.values() if row["email"] == ADA["email"]]
    assert ada["properties"] == {"plan": "gold"}


def test_every_action_is_among_those_that_are_tried() -> None:
    """Or it has no field that is an object."""
    for action, (entry, _) in EVERY.items():
        types = parse_routes({"s": {"action": action, **entry}}, None, lambda: NOW)["s"].mapper.types
        objects = [".".join(path) for path, kinds in types.items() if "object" in kinds]
        assert action in {case[0] for case in OBJECTS} or not objects, (
            f"add to OBJECTS in tests/target/{Path(__file__).name} a record with an object in {objects[0]!r}: "
            f'("{action}", ADA, "{objects[0]}", {{"plan": "gold"}}),  # action, the rest of the record, column, value'
        )
