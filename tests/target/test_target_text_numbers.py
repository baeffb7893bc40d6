"""Numbers as CSV files, forms and many taps write them: texts where a number is meant, numbers where an id is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from target_support import NEEDED, NOW, Command, records

from klaviyo_sandbox import RunningSandbox
from target_klaviyo.actions import ACTIONS
from target_klaviyo.intake import contracts
from target_klaviyo.intake.route_settings import parse_routes
from target_klaviyo.model.records import RejectedRecord, SourceRecord
from target_klaviyo.model.texts import parse_number

ADA = {"email": "ada@example.com"}
SIGNED = {**ADA, "event[name]": "Signed Up"}


def payloads(action: str, record: Mapping[str, Any], **entry: Any) -> list[Mapping[str, Any]]:
    """What is sent of a record, one step after the other."""
    _, row = parse_routes({"s": {"action": action, **entry}}, None, lambda: NOW)["s"].row(
        SourceRecord("s", record), record
    )
    found = [row.payload]
    while row.next_step is not None:
        _, row = row.next_step
        found.append(row.payload)
    return found


def event_of(action: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """The event that a record ends with, without the mark of where it comes from."""
    event: dict[str, Any] = payloads(action, record)[-1]["events"][0]
    return {**event, "properties": {k: v for k, v in event["properties"].items() if k != "pushed_by"}}


@pytest.mark.parametrize(
    ("text", "number"),
    [("12.50", 12.5), (" 7 ", 7), ("-3", -3), ("+3", 3), (".5", 0.5), ("5.", 5.0), ("1e3", 1000.0), ("007", 7)],
)
def test_a_plain_number_is_read_from_its_text(text: str, number: float) -> None:
    """Whole ones stay whole."""
    assert (parse_number(text), type(parse_number(text))) == (number, type(number))


@pytest.mark.parametrize(
    "text", ["", " ", "nan", "inf", "1e999", "1_000", "1,234.50", "12,50", "$5", "0x10", "٣", "1 2", "9" * 5000, "--1"]
)
def test_what_is_no_plain_number_is_none(text: str) -> None:
    """Nothing is guessed: 1,234 is a thousand here and one elsewhere."""
    assert parse_number(text) is None


@pytest.mark.parametrize("action", ["track_event", "track"])
def test_the_value_and_the_id_of_an_event_may_be_the_other_kind(action: str) -> None:
    """A CSV file's value is a text, a database's id a number."""
    event = event_of(action, {**ADA, "metric": 7, "value": "12.50", "unique_id": 1001})
    assert (event["value"], event["unique_id"]) == (12.5, "1001")
    assert event["metric"]["data"]["attributes"]["name"] == "7"


def test_the_numbers_of_an_order_may_be_texts() -> None:
    """The order's value, and a line's."""
    record = {**ADA, "order_id": 1001.0, "total": "12.50", "items": [{"sku": 5, "price": " 2.5", "quantity": "3"}]}
    order, line = payloads("order_completed", record)[0]["events"]
    assert (order["unique_id"], order["value"], line["unique_id"], line["value"]) == ("1001", 12.5, "1001:5:1", 7.5)


@pytest.mark.parametrize("price", ["nan", "inf", "1_0"])
def test_what_is_no_price_gives_a_line_no_value(price: str) -> None:
    """Python would read these as numbers, and JSON holds no such."""
    line = payloads("order_completed", {**ADA, "order_id": 1, "items": [{"sku": "A", "price": price}]})[0]["events"][1]
    assert "value" not in line


def test_an_audiences_size_may_be_a_text() -> None:
    """Its list may be named by a number."""
    (sent,) = payloads("audience_manifest", {"list": 7, "count": "120"})
    assert sent["attributes"] == {"list": "7", "expected_count": 120}


@pytest.mark.parametrize("action", ["update_profile", "identify"])
@pytest.mark.parametrize("said", [7, [7], [7.0], "7"])
def test_a_list_may_be_named_by_a_number(action: str, said: Any) -> None:
    """Alone or among others."""
    record = {**ADA, "lists": said}
    _, row = parse_routes({"s": {"action": action}}, None)["s"].row(SourceRecord("s", record), record)
    assert str(row.list) == "7"


@pytest.mark.parametrize("action", ACTIONS)
def test_every_text_field_takes_a_number_and_every_number_field_a_text(action: str) -> None:
    """In the contract of every action, below objects, too."""
    mapper = parse_routes({"s": {"action": action, **_needed(action)}}, None)["s"].mapper
    for path, types in mapper.types.items():
        if path[-1] == "event" or "object" in types or "array" in types or types == {"boolean"}:
            continue
        given, wanted = ("3", 3) if types <= {"number", "integer"} else (3, "3")
        record: dict[str, Any] = {path[0]: given} if len(path) == 1 else {}
        holder = record
        for step in path[:-1]:
            holder = holder.setdefault(step, {})
        holder[path[-1]] = given
        found: Any = mapper.coerce(record)
        for step in path:
            found = found[step]
        assert found == wanted or {"number", "string"} <= types


def _needed(action: str) -> dict[str, Any]:
    return NEEDED.get(action, {})


@pytest.mark.parametrize(
    ("form", "event"),
    [
        ({"event[value]": "12.50"}, {"value": 12.5}),
        ({"event[event_id]": 1001}, {"unique_id": "1001"}),
        ({"event[unique_id]": "u1"}, {"unique_id": "u1"}),
        ({"event[unique_id]": "u1", "event[event_id]": "e1"}, {"unique_id": "u1", "properties": {"event_id": "e1"}}),
        ({"event[timestamp]": "2026-01-01T00:00:00Z"}, {"time": "2026-01-01T00:00:00+00:00"}),
        ({"event[time]": 1_767_225_600}, {"time": "2026-01-01T00:00:00+00:00"}),
        ({"event[value_currency]": "EUR"}, {"value_currency": "EUR"}),
        ({"event[value_currency]": "", "event[value]": " ", "event[timestamp]": ""}, {}),
        ({"event[extra][page]": "home"}, {"properties": {"page": "home"}}),
        ({"event[extra][utm][source]": "x"}, {"properties": {"utm": {"source": "x"}}}),
        ({"event[extra]": {"a": 1}, "event[extra][b]": 2}, {"properties": {"a": 1, "b": 2}}),
        ({"event[properties][page]": "home"}, {"properties": {"page": "home"}}),
        ({"event[Foo]": "Bar", "event[extra][page]": "home"}, {"properties": {"Foo": "Bar", "page": "home"}}),
        ({"event[id]": 5, "event[email]": "x"}, {"properties": {"id": 5, "email": "x"}}),
        ({"event[tags][]": ["a", "b"]}, {"properties": {"tags": ["a", "b"]}}),
        ({"event[lines][0]": "a", "event[lines][1]": "b"}, {"properties": {"lines": {"0": "a", "1": "b"}}}),
    ],
)
def test_the_event_of_a_form_is_read_as_one_that_is_tracked(form: dict[str, Any], event: dict[str, Any]) -> None:
    """Its value, id, time and properties, however deep the brackets; nothing of it lands on the profile."""
    person, tracked = payloads("update_profile", {**SIGNED, **form})
    assert person["attributes"] == ADA
    assert tracked["profile"]["attributes"] == ADA
    sent = event_of("update_profile", {**SIGNED, **form})
    assert sent["metric"]["data"]["attributes"]["name"] == "Signed Up"
    assert {name: sent.get(name) for name in event} == event
    assert sent["properties"] == event.get("properties", {})
    assert sent.keys() <= {"metric", "unique_id", "properties", *event}


@pytest.mark.parametrize(
    ("form", "pointer"),
    [
        ({"event[value]": "much"}, "/event/value"),
        ({"event[value]": [3]}, "/event/value"),
        ({"event[value_currency]": "euro"}, "/event/value_currency"),
        ({"event[timestamp]": "soon"}, "/event/time"),
        ({"event[name]": ""}, "/event/name"),
        ({"event[event_id]": True}, "/event/unique_id"),
    ],
)
def test_an_event_of_a_form_that_cannot_be_tracked_rejects_the_record(form: dict[str, Any], pointer: str) -> None:
    """Before anything of it is sent, and with the name of the field."""
    with pytest.raises(RejectedRecord) as caught:
        payloads("update_profile", {**SIGNED, "event[Foo]": 1, **form}, on_bad_value="reject")
    assert caught.value.pointer == pointer


@pytest.mark.parametrize("record", [{"event": "Signed Up"}, {"event": " Signed Up "}, {"event": {"name": "Signed Up"}}])
def test_a_text_is_the_name_of_a_forms_event(record: dict[str, Any]) -> None:
    """As it is that of an event which is tracked; brackets add to it."""
    for more in ({}, {"event[value]": "3"}):
        person, _ = payloads("update_profile", {**ADA, **record, **more})
        assert person["attributes"] == ADA
        event = event_of("update_profile", {**ADA, **record, **more})
        assert event["metric"]["data"]["attributes"]["name"] == "Signed Up"
        assert event.get("value") == (3 if more else None)


@pytest.mark.parametrize(
    "form", [{"event": ""}, {"event": None}, {"event[name]": "", "event[value]": " "}, {"event": {}}]
)
def test_a_form_with_a_blank_event_has_none(form: dict[str, Any]) -> None:
    """A CSV file has the column on every line."""
    (person,) = payloads("update_profile", {**ADA, **form})
    assert person["attributes"] == ADA


@pytest.mark.parametrize("form", [{"list": ""}, {"lists[]": " "}, {"lists[0]": "News", "lists[1]": ""}])
def test_lists_of_a_form_may_be_blank_or_counted(form: dict[str, Any]) -> None:
    """`lists[0]` and `lists[1]` are what PHP and Rails make of a list."""
    record = {**ADA, **form}
    action, row = parse_routes({"s": {"action": "update_profile"}}, None)["s"].row(SourceRecord("s", record), record)
    assert (action.name, str(row.list)) == (
        ("list_members", "News") if "lists[0]" in form else ("upsert_profile", "None")
    )
    assert row.payload["attributes"] == ADA


def test_forms_are_understood_end_to_end(target: Command, account: RunningSandbox) -> None:
    """Every record of four forms is delivered: values, ids, dates and properties are where they belong."""
    forms = [
        {"email": "f@example.com", "event[name]": "Signed Up", "event[event_id]": "e1", "event[extra][page]": "home"},
        {"email": "g@example.com", "event[name]": "Signed Up", "event[event_id]": "e2", "event[value]": "12.50"},
        {"email": "h@example.com", "event[name]": "Signed Up", "event[event_id]": 1001},
        {
            "email": "i@example.com",
            "event[name]": "Signed Up",
            "event[unique_id]": "u1",
            "event[Foo]": "Bar",
            "event[timestamp]": "2026-01-01T00:00:00Z",
        },
    ]
    schema = {"type": "SCHEMA", "stream": "f", "key_properties": [], "schema": {"properties": {}}}
    run = target([schema, *records("f", forms)], streams={"f": {"action": "update_profile"}})
    assert (run.code, run.rejected) == (0, [])
    events = list(account.store.events.rows.values())
    assert len(events) == len(forms)
    said = json.dumps(events)
    assert all(text in said for text in ('"page": "home"', "12.5", "1001", '"Foo": "Bar"', "2026-01-01"))
    people = [row for row in account.store.profiles.rows.values() if row["email"] in {form["email"] for form in forms}]
    assert [row["properties"] for row in people] == [{}] * len(forms)


def test_what_a_composite_action_hands_on_is_held_to_the_contract_of_each_step() -> None:
    """A step is read and checked as a record of its own action would be."""
    assert contracts.load("track_event").fields["value"]["type"] == "number"
    with pytest.raises(RejectedRecord, match="value"):
        payloads("update_profile", {**SIGNED, "event[value]": "a lot"}, on_bad_value="reject")
