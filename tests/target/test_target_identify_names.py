"""Identify under all the names that forms and old connectors have for what it takes."""

from __future__ import annotations

from typing import Any

import pytest
from target_support import Command, records, rows_of

from klaviyo_sandbox import RunningSandbox


def attributes(record: dict[str, Any], **entry: Any) -> dict[str, Any]:
    [row] = rows_of({"action": "identify", **entry}, record)
    found: dict[str, Any] = row.payload["attributes"]
    return found


ADA = {"email": "ada@example.com"}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"id": 7}, {"external_id": "7"}),
        ({"id": "7", "$id": ""}, {"external_id": "7"}),
        ({"city": "London", "region": "ENG"}, {"location": {"city": "London", "region": "ENG"}}),
        ({"country": "GB", "zip": 10115}, {"location": {"country": "GB", "zip": "10115"}}),
        ({"extra[colour]": "blue", "extra[size]": 3}, {"properties": {"colour": "blue", "size": 3}}),
        ({"extra": {"a": 1}, "extra[b]": 2, "properties": {"c": 3}}, {"properties": {"a": 1, "b": 2, "c": 3}}),
        (
            {"extra[city]": "London", "properties[plan]": "x"},
            {"location": {"city": "London"}, "properties": {"plan": "x"}},
        ),
        ({"properties": {"first_name": "Ada", "plan": "x"}}, {"first_name": "Ada", "properties": {"plan": "x"}}),
        ({"properties": {"$city": "London", "zip": "N1"}}, {"location": {"city": "London", "zip": "N1"}}),
        ({"properties": {"id": 7, "title": "Dr"}}, {"external_id": "7", "title": "Dr"}),
        ({"event": "Signed", "colour[]": "x"}, {"properties": {"event": "Signed", "colour[]": "x"}}),
    ],
)
def test_each_name_is_known(columns: dict[str, Any], expected: dict[str, Any]) -> None:
    """Those of klaviyoConnect's form parameters, with and without the old API's dollar sign."""
    assert attributes({**ADA, **columns}) == {**ADA, **expected}


def test_the_address_may_be_among_the_properties() -> None:
    """Where no column has it: a real one goes before it."""
    assert attributes({"properties": ADA}) == ADA
    assert attributes({"email": " ", "properties": ADA}) == ADA
    assert attributes({"properties": {"email": "b@example.com"}, **ADA})["email"] == ADA["email"]
    assert attributes({"properties": {"phone_number": "+14155550100"}}) == {"phone_number": "+14155550100"}
    assert attributes({"traits": {"properties": ADA}}, mapping={"properties": "traits.properties"}) == ADA


def test_a_form_reaches_the_account(target: Command, account: RunningSandbox) -> None:
    """From Singer lines to the profile."""
    form = {"properties": ADA, "id": "7", "city": "London", "extra[colour]": "blue"}
    schema = {"type": "SCHEMA", "stream": "forms", "schema": {"properties": {name: {} for name in form}}}
    run = target([schema, *records("forms", [form])], streams={"forms": {"action": "identify"}})
    assert run.code == 0, run.stderr
    [ada] = [row for row in account.store.profiles.rows.values() if row["email"] == ADA["email"]]
    assert (ada["external_id"], ada["location"]["city"], ada["properties"]["colour"]) == ("7", "London", "blue")
