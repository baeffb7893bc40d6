"""Which column a field is taken from: of several the plainest."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest
from target_support import rows_of

from target_klaviyo.intake.route_settings import parse_routes

ADA = {"email": "ada@example.com"}


def fields(action: str, record: Mapping[str, Any], **entry: Any) -> dict[str, Any]:
    entry = {"action": action, **({"allow_deletion": True} if action == "delete_profile" else {}), **entry}
    return parse_routes({"s": entry}, None)["s"].mapper.fields(record)


COLUMNS_FIRST: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("upsert_profile", {"properties": {"plan": "old"}, "plan": "new"}, {"properties": {"plan": "new"}}),
    ("upsert_profile", {"properties": {"plan": "old"}, "plan": 7}, {"properties": {"plan": 7}}),
    ("upsert_profile", {"properties": {"plan": "old"}, "plan": ["a"]}, {"properties": {"plan": ["a"]}}),
    ("upsert_profile", {"properties": '{"plan": "old"}', "plan": "new"}, {"properties": {"plan": "new"}}),
    ("upsert_profile", {"properties": {"$email": "old"}, "email": "new"}, {"email": "new"}),
    ("upsert_profile", {"properties": {"$email": "old"}, "$email": "new"}, {"email": "new"}),
    ("upsert_profile", {"properties": {"$zip": "1"}, "location_zip": 2}, {"location": {"zip": "2"}}),
    ("upsert_profile", {"location": {"zip": "1"}, "location_zip": 2}, {"location": {"zip": "2"}}),
    ("upsert_profile", {"location": {"zip": "1"}, "properties": {"$zip": 2}, "$zip": 3}, {"location": {"zip": "3"}}),
    ("track_event", {"properties": {"$value": 1}, "value": "2"}, {"value": 2}),
    ("track_event", {"event_properties": {"at": 1}, "at": 2}, {"properties": {"at": 2}}),
    ("track_event", {"event_properties": {"$event_id": 1}, "unique_id": 2}, {"unique_id": "2"}),
    ("track_event", {"profile": {"first_name": "A"}, "profile_first_name": "B"}, {"profile": {"first_name": "B"}}),
    ("identify", {"properties": {"$first_name": "A"}, "first_name": "B"}, {"first_name": "B"}),
    ("update_profile", {"extra": {"plan": "old"}, "plan": "new"}, {"properties": {"plan": "new"}}),
    ("order_completed", {"properties": {"$value": 1}, "total": 2}, {"value": 2}),
]


@pytest.mark.parametrize(("action", "record", "wanted"), COLUMNS_FIRST)
def test_a_column_goes_before_the_same_field_in_an_object(
    action: str, record: dict[str, Any], wanted: dict[str, Any]
) -> None:
    """Whatever their order."""
    for order in itertools.permutations(record):
        assert fields(action, {column: record[column] for column in order}) == wanted


def test_a_track_call_prefers_its_own_columns_to_those_of_the_customer() -> None:
    """Also in the order of klaviyo's own examples, with the customer first."""
    record = {
        "customer_properties": {"$email": "old@example.com", "$first_name": "Old", "plan": "old", "size": 1},
        "profile_properties": {"plan": "new"},
        "email": "new@example.com",
        "profile_first_name": "New",
        "event": "Waved",
    }
    (row,) = rows_of({"action": "track"}, record)
    assert row.payload["profile"]["attributes"] == {
        "email": "new@example.com",
        "first_name": "New",
        "properties": {"plan": "new", "size": 1},
    }
