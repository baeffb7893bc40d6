"""Names in capitals, as Snowflake has them, inside objects and brackets, and where an action reads a name itself."""

from __future__ import annotations

from typing import Any

import pytest
from target_support import ADA, EVERY, Command, records, rows_of

from klaviyo_sandbox import RunningSandbox
from target_klaviyo.delivery.action import Row
from target_klaviyo.intake.column_checks import unidentified_stream
from target_klaviyo.intake.route_settings import parse_routes, with_column_defaults

# Names of custom properties, which keep their spelling.
CUSTOM = "plan"


def in_capitals(value: Any) -> Any:
    """The same with all names in capitals, but those of custom properties."""
    if isinstance(value, list):
        return [in_capitals(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    return {(name.upper().replace("PLAN", CUSTOM)): in_capitals(entry) for name, entry in value.items()}


B = {"EMAIL": "b@b.com"}
PHONE = "+15005550006"
RECORDS: list[tuple[str, dict[str, Any]]] = [
    (
        "track",
        {"event": "Met", "token": "T", "customer_properties": {"$email": "a@b.com", "$first_name": "Ada", "plan": 1}},
    ),
    (
        "track",
        {"event": "Met", "customer_properties": {"email": "a@b.com", "city": "Rome", "$region": "RM", "title": "Dr"}},
    ),
    ("track", {"event": "Met", "customer_properties": {"$id": 7, "$phone_number": PHONE, "$consent": ["sms"]}}),
    (
        "track",
        {"event": "Met", "customer_properties": {"id": 7, "$anonymous": "x"}, "properties": {"$value": "5", "plan": 1}},
    ),
    (
        "track",
        {"event": "Met", "customer_properties": '{"$EMAIL": "a@b.com", "LAST_NAME": "Moss"}', "time": 1772323200},
    ),
    ("track", {"$event_id": "Met", "customer_properties": {"$exchange_id": "k"}, "properties": {"$event_id": "7"}}),
    (
        "track_event",
        {"metric": "Met", "profile": {"email": "a@b.com", "first_name": "Ada", "other_properties": {"plan": 1}}},
    ),
    (
        "track_event",
        {"metric": "Met", "profile": {"$email": "a@b.com", "location": {"city": "Rome"}, "zip": 17, "plan": 1}},
    ),
    ("track_event", {"metric": "Met", "profile": '{"EXTERNAL_ID": 7, "PROPERTIES": {"plan": 1}, "_KX": "k"}'}),
    (
        "track_event",
        {"metric": "Met", "profile": {"location": '{"CITY": "Rome", "LATITUDE": 4.5}', "anonymous_id": "x"}},
    ),
    ("track_event", {"event": "Met", **ADA, "uuid": "u", "type": "event", "profile_id": "01", "metric_data_id": "X"}),
    ("track_event", {"event": "Met", "profile": {"phone_number": "030 123456", "country_code": "DE"}}),
    (
        "upsert_profile",
        {**ADA, "location": {"city": "Rome", "zip": "1"}, "created": "2026-01-01", "predictive_analytics": {}},
    ),
    ("upsert_profile", {**ADA, "location": '{"CITY": "Rome"}', "properties": {"$first_name": "Ada", "plan": 1}}),
    ("identify", {"properties": {"email": "a@b.com", "first_name": "Ada", "city": "Rome", "id": "7", "plan": 1}}),
    ("identify", {**ADA, "extra[plan]": 1, "extra[city]": "Rome", "properties[zip]": "1", "list": "L"}),
    ("identify", {"extra": '{"$EMAIL": "a@b.com", "ORGANIZATION": "X"}', "$lists": ["L"], "token": "T"}),
    ("update_profile", {**ADA, "event[name]": "Met", "event[value]": "5", "event[event_id]": "7", "event[plan]": 1}),
    ("update_profile", {**ADA, "event": {"metric": "Met", "time": 1772323200, "properties": {"plan": 1}}, "list": "L"}),
    ("update_profile", {**ADA, "event": "Met", "event[extra][plan]": "x", "event[$value]": 2, "lists[]": ["L"]}),
    (
        "update_profile",
        {**ADA, "event": '{"NAME": "Met", "VALUE_CURRENCY": "EUR", "value": 1}', "lists[0]": "L", "lists[1]": "M"},
    ),
    (
        "update_profile",
        {**ADA, "extra[plan]": 1, "location[city]": "Rome", "confirmOptIn": "1", "forward": "x", "id": 7},
    ),
    ("update_profile", {**ADA, "event": "", "event[unique_id]": "u", "event[event_name]": "Met", "redirect": "/"}),
    (
        "order_completed",
        {**ADA, "order_id": 7, "total": 9, "items": [{"sku": "A", "price": "3", "quantity": 2, "plan": 1}]},
    ),
    (
        "order_completed",
        {**ADA, "order_id": 7, "lines": '[{"VARIANT_ID": 1, "VALUE": 3}, {"LINE_ITEM_ID": 2, "price": 1}]'},
    ),
]


def steps_of(entry: dict[str, Any], record: dict[str, Any]) -> list[Row]:
    """The rows of a record, one for each step."""
    steps = rows_of(entry, record)
    while (following := steps[-1].next_step) is not None:
        steps.append(following[1])
    return steps


def payloads(action: str, record: dict[str, Any]) -> list[Any]:
    """What is sent of a record, step by step. Names within the lines of an order are those of the record."""

    def small(value: Any) -> Any:
        if isinstance(value, list):
            return [small(entry) for entry in value]
        return {name.lower(): small(entry) for name, entry in value.items()} if isinstance(value, dict) else value

    sent = [(row.payload, row.list) for row in steps_of({"action": action}, record)]
    return [(small(payload) if action == "order_completed" else payload, to) for payload, to in sent]


@pytest.mark.parametrize(("action", "record"), RECORDS)
def test_what_is_in_capitals_is_sent_as_in_small_letters(action: str, record: dict[str, Any]) -> None:
    """Every name that an action takes, and none that it leaves out; custom properties keep their spelling."""
    assert payloads(action, in_capitals(record)) == payloads(action, record)


@pytest.mark.parametrize(
    ("action", "record", "found"),
    [
        (
            "track",
            {"event": "Met", "customer_properties": {"EMAIL": "b@b.com", "$email": "a@b.com"}},
            {"EMAIL": "b@b.com"},
        ),
        ("track", {"event": "Met", "$email": "a@b.com", "CUSTOMER_PROPERTIES": {"EMAIL": "b@b.com"}}, None),
        ("track_event", {"metric": "Met", "profile": {**B, "email": "a@b.com"}}, B),
        ("track_event", {"metric": "Met", "profile": {"email": " ", "EMAIL": "a@b.com"}}, None),
        ("track_event", {"metric": "Met", "profile": {"email": "a@b.com", "EMAIL": " "}}, None),
        ("identify", {"email": "a@b.com", "properties": B}, B),
        ("identify", {"email": "a@b.com", "properties": {"Title": "Emma", "Zip": "x"}}, {"Title": "Emma", "Zip": "x"}),
    ],
)
def test_the_plain_name_wins_in_an_object(action: str, record: dict[str, Any], found: dict[str, Any] | None) -> None:
    """Whatever the order; the other is a custom property, unless it says nothing."""
    for holder in (record, *(dict(reversed(record.items())) for _ in "1")):
        (row,) = rows_of({"action": action}, holder)
        profile = (row.payload.get("profile") or row.payload)["attributes"]
        assert profile["email"] == "a@b.com"
        assert profile.get("properties") == found


def test_the_plain_name_wins_in_brackets() -> None:
    """Of an event's members, and of the names before the brackets."""
    form = {"EVENT[NAME]": "Left", "event[name]": "Met", "event[VALUE]": 1, "event[value]": 2, "EVENT[value]": 3}
    for record in (form, dict(reversed(form.items()))):
        *_, row = steps_of({"action": "update_profile"}, {**ADA, **record})
        (event,) = row.payload["events"]
        assert event["metric"]["data"]["attributes"]["name"] == "Met"
        assert event["value"] == 2
        assert event["properties"]["NAME"] == "Left"
        assert event["properties"]["VALUE"] == 1


def test_a_copy_of_the_taps_events_is_known_in_capitals() -> None:
    """From Snowflake, too, it starts no flows, and is not sent into the account that it comes from."""
    route = parse_routes({"e": {"action": "track_event"}}, None)["e"]
    columns = ["EVENT_ID", "METRIC_DATA_ID", "PROFILE_DATA_ID", "EVENT_PROPERTIES"]
    assert with_column_defaults("e", route, columns).options["backfill"] is True


@pytest.mark.parametrize("column", ["CUSTOMER_PROPERTIES", "Customer Properties", "PROFILE", "PROPERTIES[x]", "EXTRA"])
def test_an_object_in_capitals_may_identify(column: str) -> None:
    """Nothing is said of a stream that has one."""
    route = parse_routes({"s": {"action": "track"}}, None)["s"]
    assert unidentified_stream("s", route, {column: {}}) == []


def test_a_copy_from_snowflake_into_its_own_account_is_refused(target: Command, account: RunningSandbox) -> None:
    """By the column that says which account it comes from."""
    [metric, *_] = account.store.metrics.rows
    row = {**ADA, "METRIC_NAME": "Met", "METRIC_DATA_ID": metric}
    schema = {"type": "SCHEMA", "stream": "events", "schema": {"properties": {name: {} for name in row}}}
    run = target([schema, *records("events", [row])])
    assert run.code == 2
    assert "comes from the account that it goes to" in run.stderr


def test_every_action_takes_its_record_in_capitals() -> None:
    """What each needs at least."""
    for action, (options, record) in EVERY.items():
        entry = {"action": action, **options}
        capitals = steps_of(entry, {name.upper(): value for name, value in record.items()})
        assert [row.payload for row in capitals] == [row.payload for row in steps_of(entry, record)]
