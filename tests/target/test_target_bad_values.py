"""Values that do not fit: the person is sent, the value is left out and told, unless the stream says otherwise."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from target_support import ADA, EVERY, NOW, Command, records

from klaviyo_client.errors import SettingsError
from klaviyo_sandbox import RunningSandbox
from target_klaviyo.delivery.action import Row
from target_klaviyo.intake.route_settings import parse_routes
from target_klaviyo.model.records import RejectedRecord, SourceRecord

PHONE = "+15005550006"
GOOD: dict[str, Any] = {**ADA, "first_name": "Ada", "location": {"city": "Bath", "zip": "BA1"}, "shoe": 38}
# A column with a value that does not fit -> the pointer to what is left out.
BAD = [
    ({"phone_number": "unknown"}, "/phone_number"),
    ({"phone_number": "555"}, "/phone_number"),
    ({"phone_number": "+4915"}, "/phone_number"),
    ({"external_id": "7" * 256}, "/external_id"),
    ({"external_id": {"id": 7}}, "/external_id"),
    ({"last_name": {"of": "Lovelace"}}, "/last_name"),
    ({"last_name": ["Lovelace"]}, "/last_name"),
    ({"locale": True}, "/locale"),
    ({"image": ["https://example.com/ada.png"]}, "/image"),
    ({"organization": {"name": "Shop"}}, "/organization"),
    ({"title": False}, "/title"),
    ({"location_country": ["GB"]}, "/location/country"),
    ({"location_latitude": {"degrees": 51}}, "/location/latitude"),
    ({"properties": "no object"}, "/properties"),
    ({"properties": ["no object"]}, "/properties"),
    ({"beyond": 10**30}, "/properties/beyond"),
    ({"properties": {"a/b": -(10**30)}}, "/properties/a~1b"),
    ({"properties": {"deep": [{"beyond": 10**30}]}}, "/properties/deep"),
]


def row_of(entry: dict[str, Any], record: dict[str, Any]) -> Row:
    route = parse_routes({"s": entry}, None, lambda: NOW)["s"]
    return route.row(SourceRecord("s", record), record)[1]


@pytest.mark.parametrize(("bad", "pointer"), BAD)
def test_nothing_but_the_bad_value_is_lost(bad: dict[str, Any], pointer: str) -> None:
    """The row is that of the record without it, with a note that says which and quotes nothing."""
    entry = {"action": "upsert_profile"}
    row = row_of(entry, {**GOOD, **bad})
    assert row.payload == row_of(entry, GOOD).payload
    (note,) = row.notes
    assert note.pointer == pointer
    assert not any(str(value) in note.reason for value in bad.values())


@pytest.mark.parametrize(("bad", "pointer"), BAD)
def test_a_bad_value_rejects_where_the_stream_says_so(bad: dict[str, Any], pointer: str) -> None:
    """As every bad value did before there was a choice."""
    with pytest.raises(RejectedRecord) as caught:
        row_of({"action": "upsert_profile", "on_bad_value": "reject"}, {**GOOD, **bad})
    assert (caught.value.pointer or "").startswith(pointer)


@pytest.mark.parametrize(
    ("action", "bad", "left"),
    [
        ("upsert_profile", {"email": "no address", "phone_number": PHONE}, {"phone_number": PHONE}),
        ("list_members", {"email": "no address", "external_id": "7"}, {"external_id": "7"}),
        ("identify", {"email": "no address", "$phone_number": PHONE}, {"phone_number": PHONE}),
    ],
)
def test_a_bad_identifier_beside_a_good_one_is_left_out(action: str, bad: dict[str, Any], left: dict[str, Any]) -> None:
    """Whoever can be found all the same is sent."""
    row = row_of({"action": action, "list": "L"} if action == "list_members" else {"action": action}, bad)
    assert (row.payload["attributes"], [note.pointer for note in row.notes]) == (left, ["/email"])


@pytest.mark.parametrize(
    ("action", "record", "code"),
    [
        ("upsert_profile", {"email": "no address"}, "invalid_email"),
        ("upsert_profile", {"phone_number": "unknown", "first_name": "Ada"}, "invalid_phone"),
        ("upsert_profile", {"email": "no address", "phone_number": "unknown"}, "invalid_email"),
        ("suppress", {"email": "no address", "phone_number": PHONE}, "invalid_email"),
        ("update_profile", {"email": "no address", "phone_number": PHONE}, "invalid_email"),
        ("track_event", {**ADA, "metric": ["Waved"]}, "invalid_field"),
        ("track_event", {**ADA, "metric": "Waved", "time": "yesterday"}, "invalid_time"),
        ("track_event", {**ADA, "metric": "Waved", "unique_id": {"a": 1}}, "invalid_field"),
        ("track_event", {**ADA, "metric": "Waved", "backfill": "perhaps"}, "invalid_field"),
        ("order_completed", {**ADA, "order_id": {"a": 1}}, "invalid_field"),
        ("subscribe", {"email": "no address"}, "invalid_email"),
        ("subscribe", {**ADA, "channels": ["letter"]}, "invalid_field"),
        ("subscribe", {**ADA, "age_gated_date_of_birth": "young"}, "invalid_field"),
        ("list_members", {**ADA, "list_id": {"a": 1}}, "invalid_field"),
    ],
)
def test_what_cannot_be_done_without_rejects(action: str, record: dict[str, Any], code: str) -> None:
    """The last identifier, and whatever says what is to be done, of what, when and where."""
    with pytest.raises(RejectedRecord) as caught:
        row_of({"action": action}, record)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("action", "bad", "pointers"),
    [
        ("track_event", {"value": "much"}, ["/value"]),
        ("track_event", {"value": 3, "value_currency": "Euro"}, ["/value_currency", "/value"]),
        ("track_event", {"properties": "none"}, ["/properties"]),
        ("track_event", {"phone_number": "unknown"}, ["/phone_number"]),
        ("track_event", {"profile": {"first_name": "Ada", "location": 7}}, ["/profile/location"]),
        ("track_event", {"profile": {"first_name": ["Ada"]}}, ["/profile/first_name"]),
        ("track_event", {"big": "x" * 100_001}, ["/properties/big"]),
        ("track_event", {"long": list(range(4_001))}, ["/properties/long"]),
        ("track", {"$value": "much"}, ["/value"]),
        ("order_completed", {"order_id": "1", "value": "much"}, ["/value"]),
        ("order_completed", {"order_id": "1", "items": [{"sku": "A"}, "B"]}, ["/products/1"]),
    ],
)
def test_an_event_is_recorded_without_what_does_not_fit(action: str, bad: dict[str, Any], pointers: list[str]) -> None:
    """What it is, when and whose stay; an amount in no currency would be counted in the account's."""
    row = row_of({"action": action}, {**ADA, "metric": "Waved", "time": "2026-05-01T00:00:00Z", **bad})
    assert [pointer for note in row.notes for pointer in (note.pointer, *note.others)] == pointers
    assert row.payload["profile"]["attributes"]["email"] == ADA["email"]


def test_an_event_of_a_form_loses_what_does_not_fit_and_no_more() -> None:
    """The steps of a record are as lenient as the record, and the first of them has its notes."""
    form = {**ADA, "first_name": ["Ada"], "event": {"name": "Waved", "value": "much", "extra": "none"}}
    row = row_of({"action": "update_profile"}, form)
    assert row.next_step is not None
    _, event = row.next_step
    notes = [note.pointer for note in (*row.notes, *event.notes)]
    assert (sorted(notes), row.payload["attributes"]) == (["/event/extra", "/event/value", "/first_name"], ADA)


def test_a_setting_that_is_no_choice_is_refused() -> None:
    """By its name."""
    with pytest.raises(SettingsError, match="on_bad_value must be one of drop, reject"):
        row_of({"action": "upsert_profile", "on_bad_value": "ignore"}, ADA)


@given(bad=st.lists(st.sampled_from([entry for entry in BAD if len(entry[0]) == 1]), max_size=6))
def test_many_bad_values_cost_no_more_than_themselves(bad: list[tuple[dict[str, Any], str]]) -> None:
    """Whatever of them come together."""
    columns = {name: value for entry, _ in bad for name, value in entry.items()}
    row = row_of({"action": "upsert_profile"}, {**GOOD, **columns})
    pointers = {pointer for note in row.notes for pointer in (note.pointer, *note.others)}
    assert row.payload == row_of({"action": "upsert_profile"}, GOOD).payload
    assert pointers == {pointer for entry, pointer in bad if all(columns[n] is v for n, v in entry.items())}


SCHEMA = {
    "type": "SCHEMA",
    "stream": "people",
    "key_properties": ["row"],
    "schema": {
        "properties": {
            "row": {"type": "integer"},
            "email": {"type": "string"},
            "phone_number": {"type": ["string", "null"]},
            "age": {"type": ["integer", "null"]},
            "born": {"type": ["string", "null"], "format": "date"},
        }
    },
}


def test_a_value_that_breaks_the_schema_costs_no_person(target: Command, account: RunningSandbox) -> None:
    """A column that is not as the tap has promised is left out, where the record can do without it."""
    rows = [
        {"row": 1, "email": "ada@example.com", "age": "N/A", "born": "31.01.2026"},
        {"row": 2, "email": "bob@example.com", "age": 7, "phone_number": ["none"]},
        {"row": 3, "email": ["cleo@example.com"], "age": 8},
        {"row": "x", "email": "dora@example.com"},
    ]
    run = target([SCHEMA, *records("people", rows)], streams={"people": {"action": "upsert_profile"}})
    sent = {row["email"]: row["properties"] for row in account.store.profiles.rows.values()}
    assert sent["ada@example.com"] == {"row": 1}
    assert sent["bob@example.com"] == {"row": 2, "age": 7}
    assert [line["record"]["row"] for line in run.rejected] == [3, "x"]
    assert run.code == 0


@pytest.mark.parametrize("dry_run", [False, True])
def test_what_is_left_out_is_counted_and_listed(target: Command, account: RunningSandbox, dry_run: bool) -> None:
    """By field, in the log, in the report and in the plan alike, with the records; the log quotes nothing."""
    rows = [{**ADA, "phone_number": "unknown"}, {"email": "bob@example.com", "phone_number": "555 01", "title": ["Dr"]}]
    run = target(
        [{**SCHEMA, "key_properties": [], "schema": {"properties": {}}}, *records("people", rows)],
        streams={"people": {"action": "upsert_profile"}},
        report_path="run.json",
        dry_run=dry_run,
    )
    assert run.code == 0, run.stderr
    document = json.loads((run.folder / ("target-klaviyo-plan.json" if dry_run else "run.json")).read_text())
    found = {(entry["stream"], entry["field"]): entry for entry in document["left_out_values"]}
    assert {key: entry["count"] for key, entry in found.items()} == {
        ("people", "phone_number"): 2,
        ("people", "title"): 1,
    }
    assert found["people", "phone_number"]["records"] == rows
    words = "2  sent without phone_number: " if dry_run else "left out of 2 records: phone_number"
    told = [line for line in run.stderr.splitlines() if words in line]
    assert told
    assert "ada@example.com" not in run.stderr
    assert "555 01" not in "".join(told)
    if dry_run:
        assert document["streams"][0]["would_be_sent"] == 2
    else:
        assert account.store.find_profile_id("email", "bob@example.com")


@pytest.mark.parametrize("action", sorted(EVERY))
def test_every_action_takes_the_choice(action: str) -> None:
    """It is a key of every stream."""
    entry, record = EVERY[action]
    for choice in ("drop", "reject"):
        assert row_of({"action": action, **entry, "on_bad_value": choice}, record)
