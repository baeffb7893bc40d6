"""Columns to fields."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from klaviyo_client.plugin.schema_files import load_schema
from target_klaviyo.actions.profiles import resource
from target_klaviyo.intake import contracts
from target_klaviyo.intake.mapping_compiler import compile_mapper
from target_klaviyo.model.records import Context, RejectedRecord


def fields(record: dict[str, Any], wanted: dict[str, Any] | None = None, *, keep: bool = True) -> dict[str, Any]:
    schema = contracts.load("upsert_profile").schema
    return compile_mapper(schema, wanted or {}, keeps_unknown=keep).fields(record)


def test_columns_named_like_fields_are_taken() -> None:
    """Klaviyo's own names need no mapping, flat, nested or in the legacy form."""
    record = {
        "email": "ada@example.com",
        "location_city": "Berlin",
        "location": {"country": "DE", "planet": "Earth"},
        "$first_name": "Ada",
        "$zip": 10115,
    }
    assert fields(record) == {
        "email": "ada@example.com",
        "location": {"city": "Berlin", "country": "DE", "zip": "10115"},
        "first_name": "Ada",
    }


def test_unknown_columns_become_custom_properties_beside_the_given_ones() -> None:
    """A column that Klaviyo does not know joins the object `properties`; legacy names in there are fields."""
    record = {"plan": "gold", "properties": {"score": 7, "$last_name": "Lovelace", "$consent": ["email"]}}
    assert fields(record) == {"properties": {"plan": "gold", "score": 7}, "last_name": "Lovelace"}


def test_unknown_columns_can_be_dropped() -> None:
    """With `unknown_columns: drop` only fields and given properties are sent."""
    assert fields({"plan": "gold", "properties": {"score": 7}}, keep=False) == {"properties": {"score": 7}}


def test_nulls_and_read_only_columns_are_not_sent() -> None:
    """What the tap reads but nobody can write does not come back as a custom property."""
    record = {
        "email": None,
        "profile_id": "01",
        "created": "2026-01-01",
        "email_marketing_consent": "SUBSCRIBED",
        "_sdc_batched_at": "2026",
        "properties": {"a": None},
    }
    assert fields(record) == {}


def test_every_column_of_the_taps_profiles_is_a_field_or_is_ignored() -> None:
    """Our own tap's profiles can be pushed as they come: no column turns into a custom property by mistake."""
    schema = load_schema("tap", "profiles")
    record = {name: "x" for name in schema["properties"] if name != "properties"}
    assert "properties" not in fields(record)


def test_a_mapping_reads_paths_and_constants_and_wins() -> None:
    """What is mapped goes before what has the name, and its column is not sent a second time."""
    record = {"mail": "ada@example.com", "email": "old@example.com", "who": {"name": "Ada"}, "dotted.name": 1}
    wanted = {
        "email": "mail",
        "first_name": "who.name",
        "properties.source": {"value": "crm"},
        "properties.n": "dotted.name",
        "append.tags": {"value": "vip"},
        "unset": {"value": "plan"},
    }
    assert fields(record, wanted) == {
        "email": "ada@example.com",
        "first_name": "Ada",
        "properties": {"source": "crm", "n": 1},
        "append": {"tags": "vip"},
        "unset": ["plan"],
    }


def test_an_id_column_is_not_klaviyos_id() -> None:
    """A column `id` is usually a database key, so only a mapping makes it the profile's id."""
    assert fields({"id": 7}) == {"properties": {"id": 7}}
    assert fields({"id": 7}, {"id": "id"}) == {"id": "7"}


@pytest.mark.parametrize("name", ["emial", "location.planet", "email.x", "properties.", "unset.a"])
def test_an_unknown_field_in_a_mapping_is_named(name: str) -> None:
    """A typo in a mapping is an error that names the entry."""
    with pytest.raises(ValueError, match=r"mapping\."):
        fields({}, {name: "x"})


def test_values_of_stream_maps_take_json_form() -> None:
    """Dates, times and decimals, which stream maps can make, are written as JSON can."""
    record = {"external_id": Decimal(7), "when": datetime(2026, 1, 2, tzinfo=UTC), "sum": Decimal("1.5"), "zip": 1.0}
    assert fields(record) == {
        "external_id": "7",
        "properties": {"when": "2026-01-02T00:00:00+00:00", "sum": 1.5, "zip": 1.0},
    }


def test_numbers_that_json_does_not_know_are_refused() -> None:
    """Infinity would silently become null, so the record is rejected instead."""
    with pytest.raises(RejectedRecord, match="finite"):
        fields({"score": float("inf")})


def test_a_record_is_not_edited() -> None:
    """The rejects file must show the record as it came."""
    record = {"properties": {"a": [1]}, "location": {"city": "Berlin"}, "plan": "x"}
    before = {name: dict(value) if isinstance(value, dict) else value for name, value in record.items()}
    result = fields(record)
    result["properties"]["a"].append(2)
    assert record == before
    assert record["properties"] == {"a": [1]}


def test_patches_go_beside_the_attributes() -> None:
    """Klaviyo takes list changes in `meta`, and its id outside the attributes."""
    fields = {"id": "01", "email": "ada@example.com", "append": {"tags": "vip"}, "list_id": "L"}
    result = resource(fields, Context({}, datetime(2026, 1, 1, tzinfo=UTC)))
    assert result == {
        "type": "profile",
        "id": "01",
        "attributes": {"email": "ada@example.com"},
        "meta": {"patch_properties": {"append": {"tags": "vip"}}},
    }


def test_the_contracts_agree_about_people() -> None:
    """list_members takes the same fields of a person as upsert_profile, and a list."""
    person, member = contracts.load("upsert_profile").fields, contracts.load("list_members").fields
    assert {name: member[name] for name in person} == dict(person)
    assert set(member) - set(person) == {"list_id", "list_name"}


def test_a_mapping_may_be_nested() -> None:
    """Meltano makes an object in an object of a dotted name in meltano.yml; both mean the same."""
    record = {"orders": 3, "town": "Bern"}
    flat = {"properties.vip_orders": "orders", "location.city": "town", "properties.tier": {"value": "vip"}}
    nested = {"properties": {"vip_orders": "orders", "tier": {"value": "vip"}}, "location": {"city": "town"}}
    assert fields(record, nested) == fields(record, flat)
    assert fields(record, nested)["properties"] == {"vip_orders": 3, "tier": "vip"}
