"""Whose event it is: visitors nobody knows yet, and the object `profile` of Segment's specification."""

from __future__ import annotations

from typing import Any

import pytest
from target_support import Command, records, rows_of

from klaviyo_sandbox import RunningSandbox
from target_klaviyo.delivery.requests import single
from target_klaviyo.endpoints.events import group_by_profile
from target_klaviyo.model.records import RejectedRecord


def payload(record: dict[str, Any], action: str = "track_event", **entry: Any) -> dict[str, Any]:
    [row] = rows_of({"action": action, **entry}, record)
    return dict(row.payload)


def person(record: dict[str, Any], action: str = "track_event", **entry: Any) -> dict[str, Any]:
    attributes: dict[str, Any] = payload(record, action, **entry)["profile"]["attributes"]
    return attributes


VISITORS = [
    {"anonymous_id": "v1", "metric": "Viewed Product", "unique_id": "1"},
    {"anonymous_id": "v2", "metric": "Viewed Product", "unique_id": "1"},
    {"_kx": "k1", "metric": "Viewed Product", "unique_id": "1"},
    {"anonymous_id": "v1", "metric": "Viewed Product", "unique_id": "2"},
]


def test_a_visitor_whom_nobody_knows_yet_has_events(target: Command, account: RunningSandbox) -> None:
    """The API and other connectors take them; events of two visitors are not taken for one that repeats."""
    schema = {"type": "SCHEMA", "stream": "events", "schema": {"properties": {name: {} for name in ("metric", "_kx")}}}
    before = len(account.store.events.rows)
    run = target([schema, *records("events", VISITORS)])
    assert run.code == 0, run.stderr
    assert "4 accepted" in run.stderr
    assert len(account.store.events.rows) - before == 4
    assert {"v1", "v2"} <= {row.get("anonymous_id") for row in account.store.profiles.rows.values()}


def test_visitors_are_told_apart() -> None:
    """A `unique_id` that two of them share is not one event, and one visitor's events stay together in order."""
    entries = group_by_profile([single(row) for row in rows_of({"action": "track_event"}, *VISITORS)])
    assert [len(entry.events) for entry in entries] == [2, 1, 1]


@pytest.mark.parametrize("action", ["track_event", "track", "order_completed"])
@pytest.mark.parametrize(
    ("columns", "name"),
    [
        *[({"anonymous_id": 7}, "anonymous_id"), ({"$anonymous": "7"}, "anonymous_id")],
        *[({"_kx": "7"}, "_kx"), ({"$exchange_id": "7", "email": " "}, "_kx")],
    ],
)
def test_every_event_may_be_a_visitors(action: str, columns: dict[str, Any], name: str) -> None:
    """Under the old API's names as well."""
    assert person({**columns, "metric": "Waved", "order_id": "1"}, action) == {name: "7"}


def test_nobody_is_still_nobody() -> None:
    """Blank is none, and the reason says what would do."""
    with pytest.raises(RejectedRecord, match="external_id, anonymous_id, _kx or"):
        payload({"anonymous_id": " ", "_kx": None, "metric": "Waved"})
    with pytest.raises(RejectedRecord, match="no email, phone_number, external_id or"):
        rows_of({"action": "upsert_profile"}, {"anonymous_id": "7"})


PROFILE = {
    "email": "ada@example.com",
    "phone_number": "020 7946 0958",
    "country_code": "GB",
    "external_id": 7,
    "first_name": "Ada",
    "city": "London",
    "location": {"country": "GB"},
    "other_properties": {"plan": "gold"},
    "properties": {"seats": 2},
    "tier": 1,
}
ADA = {
    "email": "ada@example.com",
    "phone_number": "+442079460958",
    "external_id": "7",
    "first_name": "Ada",
    "location": {"country": "GB", "city": "London"},
    "properties": {"plan": "gold", "seats": 2, "tier": 1},
}


@pytest.mark.parametrize("action", ["track_event", "track", "order_completed"])
def test_the_object_profile_is_taken_by_name(action: str) -> None:
    """Identifiers, fields, and all else as properties of the person: none of it is one of the event."""
    made = payload({"profile": PROFILE, "metric_name": "Waved", "order_id": "1", "properties": {"at": "us"}}, action)
    assert made["profile"]["attributes"] == ADA
    [event] = made["events"]
    assert event["properties"].keys() <= {"at", "pushed_by", "order_id"}


def test_columns_go_before_what_is_in_the_object() -> None:
    """Whatever stands first; blank columns do not."""
    other = {"profile": {"email": "b@example.com", "$first_name": "Bo", "last_name": "B"}, "metric": "Waved"}
    assert person({**other, "email": "a@example.com", "profile_first_name": "Al"}) == {
        "email": "a@example.com",
        "first_name": "Al",
        "last_name": "B",
    }
    assert person({**other, "email": " "})["email"] == "b@example.com"


def test_a_mapping_may_name_the_object() -> None:
    """As a whole, or a part of it."""
    record = {"customer": PROFILE, "metric": "Waved"}
    assert person(record, mapping={"profile": "customer"}) == ADA
    assert person({"profile": PROFILE, "metric": "Waved"}, mapping={"email": "profile.email"}) == {
        "email": "ada@example.com"
    }


def test_an_order_needs_no_order_id_beside_a_unique_id() -> None:
    """Segment's Order Completed has a `unique_id` only; the ids of its lines follow from that."""
    order = {"profile": {"email": "ada@example.com"}, "metric_name": "Order Completed", "unique_id": "m1", "value": 3}
    products = [{"sku": "A", "price": 3}]
    first, line = payload({**order, "properties": {"shop": "uk"}, "products": products}, "order_completed")["events"]
    assert (first["unique_id"], first["properties"]["shop"], "order_id" in first["properties"]) == ("m1", "uk", False)
    assert line["unique_id"] == "m1:A:1"
    assert "order_id" not in line["properties"]
    kept = payload({**order, "properties": {"order_id": "77"}}, "order_completed")["events"][0]
    assert kept["properties"]["order_id"] == "77"
    mapping = {"status": {"value": "refunded"}}
    [refund] = payload(order, "order_completed", mapping=mapping)["events"]
    assert refund["unique_id"] == "refunded:m1"
    assert "$original_order_identifier" not in refund["properties"]
    with pytest.raises(RejectedRecord, match="lacks order_id"):
        payload({"email": "ada@example.com", "value": 3}, "order_completed")
