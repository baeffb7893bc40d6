"""What a SCHEMA alone says of a mapping that cannot match, and of a stream that is about nobody."""

from __future__ import annotations

from typing import Any

import pytest
from target_support import Command, records

from target_klaviyo.intake.column_checks import unidentified_stream, unreachable_paths
from target_klaviyo.intake.route_settings import parse_routes

CITY = {"type": ["null", "object"], "properties": {"city": {"type": "string"}, "geo": {"type": "object"}}}


@pytest.mark.parametrize(
    ("column", "path"),
    [
        ({"type": ["null", "string"]}, "c.city"),
        ({"type": "array", "items": CITY}, "c.city"),
        (CITY, "c.town"),
        (CITY, "c.city.name"),
        ({**CITY, "additionalProperties": False}, "c.town"),
        ({"type": "object", "additionalProperties": False}, "c.city"),
        ({"anyOf": [{"type": "null"}, CITY]}, "c.town"),
        (False, "c.city"),
    ],
)
def test_a_path_that_can_never_match_is_told(column: Any, path: str) -> None:
    """Before the first record, with the path: it is mostly a typo."""
    route = parse_routes({"s": {"action": "upsert_profile", "mapping": {"location.city": path}}}, None)["s"]
    [warning] = unreachable_paths("s", route, {"email": {}, "c": column})
    assert f"streams.s.mapping reads {path}" in warning


@pytest.mark.parametrize(
    ("columns", "path"),
    [
        ({"c": CITY}, "c.city"),
        ({"c": CITY}, "c.geo.lat"),
        ({"c": {"type": "object"}}, "c.city"),
        ({"c": {}}, "c.city.name"),
        ({"c": True}, "c.city"),
        ({"c": None}, "c.city"),
        ({"c": {"type": "jsonb"}}, "c.city"),
        ({"c": {**CITY, "additionalProperties": True}}, "c.town"),
        ({"c": {**CITY, "patternProperties": {"^t": {}}}}, "c.town"),
        ({"c": {"anyOf": [{"type": "string"}, {"$ref": "#/definitions/city"}]}}, "c.town"),
        ({"c.town": {"type": "string"}, "c": {"type": "string"}}, "c.town"),
        ({}, "c.town"),
    ],
)
def test_a_path_that_may_match_is_not(columns: dict[str, Any], path: str) -> None:
    """Nor one whose column is missing, which is told in another way."""
    route = parse_routes({"s": {"action": "upsert_profile", "mapping": {"location.city": path}}}, None)["s"]
    assert unreachable_paths("s", route, columns) == []


def about_nobody(columns: dict[str, Any] | list[str], action: str = "upsert_profile", **entry: Any) -> list[str]:
    route = parse_routes({"s": {"action": action, **entry}}, None)["s"]
    return unidentified_stream("s", route, columns if isinstance(columns, dict) else {name: {} for name in columns})


def test_a_stream_that_can_be_about_nobody_is_told_its_columns_and_the_line_to_add() -> None:
    """The column is guessed by its name where one looks like it, so that the line can be copied."""
    [warning] = about_nobody(["contact_mail_address", "first_name", "is_vip"])
    assert "contact_mail_address, first_name, is_vip" in warning
    assert '"streams": {"s": {"action": "upsert_profile", "mapping": {"email": "contact_mail_address"}}}' in warning
    [warning] = about_nobody(["id", "total"], "track_event", mapping={"value": "total"})
    assert '"mapping": {"value": "total", "external_id": "id"}' in warning
    [warning] = about_nobody(["paid", "valid_until", "CUSTOMER_ID"])
    assert '"mapping": {"external_id": "CUSTOMER_ID"}' in warning
    [warning] = about_nobody(["mobile"], "subscribe", channels=["sms"])
    assert '"mapping": {"phone_number": "mobile"}' in warning
    [warning] = about_nobody(["name"], mapping={"email": "mail"})
    assert '"mapping": {"email": "<column>"}' in warning
    [warning] = about_nobody([f"c{number}" for number in range(500)])
    assert "c0, c1" in warning
    assert "and 480 more" in warning


@pytest.mark.parametrize(
    ("columns", "action"),
    [
        *[(["email"], "upsert_profile"), (["$id"], "identify"), (["id"], "identify"), ([], "upsert_profile")],
        *[(["profile_email"], "track_event"), (["_kx"], "track_event"), (["profile"], "track_event")],
        *[(["customer_properties"], "track"), (["properties"], "identify"), (["properties[email]"], "identify")],
        *[(["email", "at"], "update_profile"), (["extra"], "identify"), (["email"], "unsubscribe")],
    ],
)
def test_a_stream_that_may_be_about_somebody_is_not(columns: list[str], action: str) -> None:
    """An object may hold identifiers, and a SCHEMA without columns says nothing."""
    entry = {"channels": ["email"]} if action == "unsubscribe" else {}
    assert about_nobody(columns, action, **entry) == []


def test_a_mapping_says_who_it_is_about() -> None:
    """A column, a path, or a constant; and an action that is about nobody needs none."""
    assert about_nobody(["mail"], mapping={"email": "mail"}) == []
    assert about_nobody(["who"], mapping={"external_id": "who.id"}) == []
    assert about_nobody(["what"], "track_event", mapping={"external_id": {"value": "shop"}}) == []
    assert about_nobody(["who"], "track_event", mapping={"profile": "who"}) == []
    assert about_nobody(["size"], "audience_manifest") == []


def test_each_is_said_once(target: Command) -> None:
    """Also where the tap repeats its SCHEMA, or changes it."""
    columns = {"mail": {}, "city": {"type": "string"}}
    schema = {"type": "SCHEMA", "stream": "people", "schema": {"properties": columns}}
    changed = {**schema, "schema": {"properties": {**columns, "city": {"type": ["null", "string"]}}}}
    rows = records("people", [{"mail": "a@example.com"}])
    mapping = {"location.city": "city.name"}
    streams = {"people": {"action": "upsert_profile", "mapping": mapping}}
    run = target([schema, *rows, schema, *rows, changed, *rows], streams=streams)
    assert run.code == 1
    warnings = [line for line in run.said("WARNING") if "mapping" in line]
    assert len(warnings) == 2
    assert "city.name" in warnings[0]
    assert '"mapping": {"location.city": "city.name", "email": "mail"}' in warnings[1]
