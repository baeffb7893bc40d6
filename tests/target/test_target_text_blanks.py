"""Blank cells: the nulls of CSV files, which have every column on every line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from target_support import EVERY, NOW, SOURCE, Command, records, rows_of

from klaviyo_sandbox import RunningSandbox
from target_klaviyo.actions import ACTIONS
from target_klaviyo.intake.route_settings import parse_routes
from target_klaviyo.model.records import RejectedRecord

ADA = {"email": "ada@example.com"}
# For actions an entry of the settings and the least that a record needs; others have theirs in `EVERY`.
LEAST: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "upsert_profile": ({}, ADA),
    "track_event": ({}, {**ADA, "metric": "Waved"}),
    "order_completed": ({}, {**ADA, "order_id": "1"}),
    "list_members": ({"list": "News"}, ADA),
    "subscribe": ({"list": "News"}, ADA),
    "unsubscribe": ({"list": "News"}, ADA),
    "consent": ({"list": "News"}, {**ADA, "status": "subscribed"}),
    "suppress": ({}, ADA),
    "unsuppress": ({}, ADA),
    "delete_profile": ({"allow_deletion": True}, ADA),
    "merge_profiles": ({"allow_merging": True}, {**ADA, "merged_email": "b@example.com"}),
    "identify": ({}, ADA),
    "track": ({}, {**ADA, "event": "Waved"}),
    "update_profile": ({}, ADA),
    "coupon": ({}, {"external_id": "SPRING"}),
    "coupon_codes": ({}, {"coupon_id": "10OFF", "unique_code": "C-1"}),
    "catalog_items": ({}, {"external_id": "LAMP-1"}),
    "catalog_variants": ({}, {"external_id": "LAMP-1"}),
    "catalog_categories": ({}, {"external_id": "LAMPS"}),
    "object_records": ({"data_source": SOURCE}, {"plan": "gold"}),
    "audience_manifest": ({}, {"list": "News", "expected_count": 1}),
}


@pytest.mark.parametrize("blank", ["", " ", "\t", "\u00a0"])
@pytest.mark.parametrize("action", ACTIONS)
def test_a_blank_is_a_null_in_every_field_of_every_action(action: str, blank: str) -> None:
    """By every name of every field, below objects and in brackets, too: what is sent is as without the column."""
    entry, least = LEAST.get(action) or EVERY[action]
    mapper = parse_routes({"s": {"action": action, **entry}}, None, lambda: NOW)["s"].mapper
    (plain,) = rows_of({"action": action, **entry}, least)
    for column in mapper.by_name:
        for record in ({**least, column: blank}, {column: blank, **least}):
            if column not in least:
                (row,) = rows_of({"action": action, **entry}, record)
                assert (row.body, row.list, row.next_step is None) == (plain.body, plain.list, plain.next_step is None)
    nested = {path[0]: {path[1]: blank} for path in mapper.types if len(path) == 2}
    (row,) = rows_of({"action": action, **entry}, {**least, **nested})
    assert row.body == plain.body


def test_blanks_of_a_form_are_nulls() -> None:
    """Also in brackets, and in the JSON of an object."""
    form = {**ADA, "location": '{"city": "", "zip": null}', "event[name]": "Waved", "event[value]": "", "id": " "}
    (row,) = rows_of({"action": "update_profile"}, form)
    assert row.payload["attributes"] == ADA
    assert row.next_step is not None
    assert row.next_step[1].payload["events"][0].keys() == {"metric", "unique_id", "properties"}


def test_a_blank_property_is_a_text() -> None:
    """What nobody knows the type of is sent as it came: of profiles and of events."""
    (row,) = rows_of({"action": "upsert_profile"}, {**ADA, "note": "", "properties": {"plan": " "}})
    assert row.payload["attributes"]["properties"] == {"note": "", "plan": " "}
    (row,) = rows_of({"action": "track_event"}, {**ADA, "metric": "Waved", "note": ""})
    assert row.payload["events"][0]["properties"]["note"] == ""


@pytest.mark.parametrize("blank", ["", "  ", None])
@pytest.mark.parametrize(
    ("action", "columns", "path", "value"),
    [
        ("upsert_profile", ("first_name", "$first_name"), ("first_name",), "Ada"),
        ("upsert_profile", ("location_zip", "$zip"), ("location", "zip"), "10115"),
        ("upsert_profile", ("location_latitude", "$latitude"), ("location", "latitude"), "51.5"),
        ("track_event", ("value", "$value"), ("value",), "2.5"),
        ("track_event", ("unique_id", "event_id"), ("unique_id",), "7"),
        ("track_event", ("metric", "event_name"), ("metric",), "Waved"),
        ("order_completed", ("total", "value"), ("value",), "2.5"),
        ("order_completed", ("created_at", "time"), ("time",), "2026-01-01"),
        ("order_completed", ("items", "line_items"), ("products",), [{"sku": "A"}]),
    ],
)
def test_a_blank_never_overwrites(
    action: str, columns: tuple[str, str], path: tuple[str, ...], value: Any, blank: str | None
) -> None:
    """Of two columns of one field the one that says something counts, whatever their order."""
    mapper = parse_routes({"s": {"action": action}}, None)["s"].mapper
    for one, other in (columns, columns[::-1]):
        wanted = mapper.fields({one: value})
        assert mapper.fields({one: value, other: blank}) == wanted
        assert mapper.fields({other: blank, one: value}) == wanted
        found: Any = wanted
        for step in path:
            found = found[step]


@pytest.mark.parametrize("blank", ["", None])
def test_a_blank_column_gives_way_to_what_is_among_the_properties(blank: str | None) -> None:
    """Of a profile, of a Track call, and of an object beside flat columns."""
    for record in ({"plan": blank, "properties": {"plan": "gold"}}, {"properties": {"plan": "gold"}, "plan": blank}):
        (row,) = rows_of({"action": "upsert_profile"}, {**ADA, **record})
        assert row.payload["attributes"]["properties"] == {"plan": "gold"}
    track = {"event": "Waved", "$email": blank, "profile_first_name": blank}
    (row,) = rows_of({"action": "track"}, {**track, "customer_properties": {**ADA, "$first_name": "Ada"}})
    assert row.payload["profile"]["attributes"] == {**ADA, "first_name": "Ada"}
    (row,) = rows_of({"action": "upsert_profile"}, {**ADA, "location_city": blank, "location": {"city": "London"}})
    assert row.payload["attributes"]["location"] == {"city": "London"}


def test_a_blank_is_cleared_where_nulls_are() -> None:
    """With `nulls: clear` a file without nulls can empty a field; a value in another column goes first."""
    entry = {"action": "upsert_profile", "nulls": "clear"}
    (row,) = rows_of(entry, {**ADA, "first_name": " ", "location_zip": "", "title": None, "$title": "Dr"})
    assert row.payload["attributes"] == {**ADA, "first_name": None, "location": {"zip": None}, "title": "Dr"}


def test_a_blank_list_is_still_not_everywhere() -> None:
    """A record that means a list and does not say which is rejected, where a null means none."""
    with pytest.raises(RejectedRecord) as caught:
        rows_of({"action": "unsubscribe"}, {**ADA, "list_name": ""})
    assert caught.value.code == "no_list"


def test_blank_channels_are_those_of_the_stream() -> None:
    """As a null's are."""
    for said in ("", " ", None):
        (row,) = rows_of({"action": "unsubscribe", "channels": ["email"]}, {**ADA, "channels": said})
        assert list(row.payload["attributes"]["subscriptions"]) == ["email"]


def test_a_second_run_with_blank_cells_leaves_the_account_as_it_is(target: Command, account: RunningSandbox) -> None:
    """Names, places and coordinates that are there are not emptied by a file that has no values for them."""
    full = {
        **ADA,
        "first_name": "Ada",
        "location_city": "London",
        "location_latitude": "51.5",
        "location_longitude": "0",
    }
    schema = {"type": "SCHEMA", "stream": "p", "key_properties": [], "schema": {"properties": {}}}
    held = []
    for row in (full, {**dict.fromkeys(full, ""), **ADA, "title": ""}):
        run = target([schema, *records("p", [row])], streams={"p": {"action": "upsert_profile"}})
        assert (run.code, run.rejected) == (0, [])
        [ada] = [found for found in account.store.profiles.rows.values() if found["email"] == ADA["email"]]
        held.append(json.dumps({name: ada.get(name) for name in ("first_name", "title", "location")}))
    assert held[0] == held[1]
    assert "London" in held[0]
