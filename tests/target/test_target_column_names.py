"""Which column a field is taken from: of several the plainest, and by another spelling where nothing else has it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest
from target_support import NEEDED, Command, records, rows_of

from klaviyo_client.errors import SettingsError
from klaviyo_sandbox import RunningSandbox
from target_klaviyo.actions import ACTIONS
from target_klaviyo.intake.route_settings import check_columns, parse_routes

ADA = {"email": "ada@example.com"}


def fields(action: str, record: Mapping[str, Any], **entry: Any) -> dict[str, Any]:
    entry = {"action": action, **NEEDED.get(action, {}), **entry}
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


SPELLINGS = ("EMAIL", "Email", "E-Mail", "e-mail", "E Mail", "e_mail", "E.MAIL", "eMail", " email ")


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("action", [name for name in ACTIONS if ACTIONS[name].is_about_people])
def test_an_address_is_found_by_other_spellings(action: str, spelling: str) -> None:
    """Snowflake has names of columns in capitals, and people write them as they like."""
    assert fields(action, {spelling: "ada@example.com"}) == ADA


def test_klaviyos_old_name_of_an_address_is_found_in_capitals() -> None:
    """By every action that knows the name `$email`."""
    routes = parse_routes({name: {"action": name, **NEEDED.get(name, {})} for name in ACTIONS}, None)
    knowing = [route.mapper for route in routes.values() if "$email" in route.mapper.by_name]
    assert knowing
    assert all(mapper.fields({"$EMAIL": "ada@example.com"}) == ADA for mapper in knowing)


@pytest.mark.parametrize(
    "write", [str.upper, str.title, lambda name: name.replace("_", " "), lambda n: n.replace("_", "-")]
)
@pytest.mark.parametrize("action", ACTIONS)
def test_every_field_is_found_in_capitals(action: str, write: Any) -> None:
    """A table of Snowflake's needs no mapping, and its fields are the same as those of one in small letters."""
    mapper = parse_routes({"s": {"action": action, **NEEDED.get(action, {})}}, None)["s"].mapper
    for column, path in mapper.by_name.items():
        value: Any = {"array": "x", "boolean": "yes", "object": '{"a": "1"}', "number": "1", "integer": "1"}.get(
            next(iter(mapper.types[path])), "x"
        )
        if "object" in mapper.types[path] and path[-1] in ("location", "profile"):
            value = '{"city": "x"}' if path[-1] == "location" else '{"first_name": "x"}'
        assert mapper.fields({write(column): value}) == mapper.fields({column: value}), column


@pytest.mark.parametrize(
    "other", [{"email": "b@example.com"}, {"$email": "b@example.com"}, {"properties": {"$email": "b@example.com"}}]
)
def test_another_spelling_counts_only_where_nothing_else_does(other: dict[str, Any]) -> None:
    """Otherwise it is a custom property, as any column that nobody knows, and none with `unknown_columns: drop`."""
    for record in ({"EMAIL": "a@example.com", **other}, {**other, "EMAIL": "a@example.com"}):
        assert fields("upsert_profile", record) == {
            "email": "b@example.com",
            "properties": {"EMAIL": "a@example.com"},
        }
        assert fields("upsert_profile", record, unknown_columns="drop") == {"email": "b@example.com"}
    blank = fields("upsert_profile", {"email": " ", "EMAIL": "a@example.com", "$email": None})
    assert blank == {"email": "a@example.com"}


def test_of_two_other_spellings_the_first_that_says_something_counts() -> None:
    """The other is a custom property."""
    record = {"E-Mail": "", "EMAIL": "a@example.com", "Email": "b@example.com"}
    assert fields("upsert_profile", record) == {"email": "a@example.com", "properties": {"Email": "b@example.com"}}


def test_a_column_in_capitals_goes_before_an_object_in_capitals() -> None:
    """As those in small letters do."""
    record = {"PROPERTIES": '{"$email": "b@example.com", "PLAN": "old"}', "EMAIL": "a@example.com", "PLAN": "new"}
    for order in itertools.permutations(record):
        found = fields("upsert_profile", {column: record[column] for column in order})
        assert found == {"email": "a@example.com", "properties": {"PLAN": "new"}}


def test_a_mapping_goes_before_every_spelling() -> None:
    """A field that is mapped is taken from nowhere else, and a column that is mapped goes nowhere else."""
    mapping = {"email": "work", "properties.mail": "E-Mail"}
    record = {"EMAIL": "a@example.com", "work": "b@example.com", "E-Mail": "c@example.com"}
    assert fields("upsert_profile", record, mapping=mapping) == {
        "email": "b@example.com",
        "properties": {"mail": "c@example.com", "EMAIL": "a@example.com"},
    }


def test_names_that_only_mean_the_same_are_not_guessed() -> None:
    """Spelling is looked through, and not meaning; Klaviyo's id stays for a mapping alone."""
    record = {"Mail": "a", "ID": 7, "City": "London", "E-Mail Address": "b", "SOURCE": "web", "VALUE": 3}
    assert fields("upsert_profile", record) == {"properties": record}


def test_the_members_of_a_list_in_capitals_need_no_setting() -> None:
    """What is asked of the SCHEMA is asked of every spelling."""
    routes = parse_routes({"vip": {"action": "list_members"}}, None)
    assert check_columns("vip", routes["vip"], ["EMAIL", "LIST_NAME"]) == []
    with pytest.raises(SettingsError, match="list is missing"):
        check_columns("vip", routes["vip"], ["EMAIL", "LISTS"])


def test_a_table_of_snowflakes_arrives(target: Command, account: RunningSandbox) -> None:
    """Names of columns in capitals, values as texts, an object as a text: a profile as any other."""
    row = {"EMAIL": "ada@example.com", "FIRST_NAME": "Ada", "LOCATION_CITY": "London", "PROPERTIES": '{"PLAN": "gold"}'}
    schema = {"type": "SCHEMA", "stream": "P", "key_properties": [], "schema": {"properties": {}}}
    run = target(
        [schema, *records("P", [{**row, "_SDC_BATCHED_AT": "x"}])], streams={"P": {"action": "upsert_profile"}}
    )
    assert (run.code, run.rejected) == (0, [])
    [ada] = [found for found in account.store.profiles.rows.values() if found["email"] == ADA["email"]]
    assert (ada["first_name"], ada["location"]["city"], ada["properties"]) == ("Ada", "London", {"PLAN": "gold"})
