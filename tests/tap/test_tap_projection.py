"""Pages to rows."""

from __future__ import annotations

import json
import sys

import pytest
from page_support import rows

from klaviyo_client.api.pages import Page
from tap_klaviyo.model import Table
from tap_klaviyo.rows import projection, schema_files
from tap_klaviyo.rows.projection import Projection
from tap_klaviyo.tables import COLLECTIONS, TABLES


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_has_a_page_and_full_rows(table: Table) -> None:
    """Each row has every column, in the schema's order; its key is never null and comes once."""
    made = rows(table)
    assert made
    for row in made:
        assert list(row) == list(schema_files.load(table.name)["properties"])
    keys = [tuple(row[name] for name in table.key) for row in made]
    assert len(set(keys)) == len(keys)
    assert not [key for key in keys if None in key]


def test_rows_of_profiles() -> None:
    """Nested members become columns, times UTC, numbers numbers; what is absent or unfit is null."""
    ada, bob, *_ = rows("profiles")
    assert ada["profile_id"] == "01PROFILE0000000000000ADA"
    assert (ada["location_latitude"], ada["location_longitude"]) == (51.3, -0.45)
    assert ada["updated"] == "2026-02-03T04:05:06.500000+00:00"
    assert ada["last_event_date"] == "2026-02-03T04:05:06+00:00"
    assert ada["properties"] == {"Favourite Colour": "blue", "$source": 7, "nested": {"a": [1, 2]}}
    assert (ada["email_marketing_consent"], ada["email_marketing_double_optin"]) == ("SUBSCRIBED", False)
    assert ada["email_marketing_timestamp"] == "2025-01-02T03:04:05+00:00"
    assert ada["sms_marketing_can_receive"] is False
    assert ada["whatsapp_marketing_consent"] is None
    assert bob["updated"] == "2026-02-03T02:05:07+00:00"
    assert (bob["created"], bob["location_city"], bob["email_marketing_consent"]) == (None, None, None)


def test_rows_of_events() -> None:
    """Keys with `$` and spaces are read as they are; metric and profile come from what is included."""
    order, bare, *_ = rows("events")
    assert (order["event_id"], order["value"], order["value_currency"]) == ("order-1", 19.9, "EUR")
    assert (order["subject"], order["cohort_message_send_cohort"]) == ("Hi", "1767225600:01MSG")
    assert (order["esp"], order["machine_open"], order["segment_count"]) == (1, True, None)
    assert (order["extra_bounce_delivery_info_code"], order["extra_from_city"]) == ("550", "Bern")
    assert (order["metric_name"], order["profile_email"]) == ("Placed Order", "ada@example.com")
    assert order["metric_data_id"] == "MET001"
    assert order["event_properties"]["a/b"] == {"c~d": [1]}
    assert (bare["metric_data_id"], bare["metric_name"], bare["profile_email"], bare["event_properties"]) == (None,) * 4


def test_rows_of_the_other_tables() -> None:
    """Members carry their parent; an object where text is promised comes as JSON text."""
    assert rows("lists")[0]["name"] == "VIP / Größe"
    assert rows("segments")[0]["definition"] == {"condition_groups": []}
    assert rows("list_profiles")[:1] == [
        {
            "list_id": "ABC123",
            "profile_id": "01PROFILE0000000000000ADA",
            "list_name": "VIPs",
            "email": "ada@example.com",
            "phone_number": None,
            "external_id": "c-1",
            "joined_group_at": "2026-01-01T00:00:00+00:00",
        }
    ]
    assert rows("metrics")[0]["integration_category"] == '{"id":1,"name":"eCommerce"}'
    assert rows("metrics")[1]["integration_name"] is None


def test_only_selected_columns_are_made() -> None:
    """A row has no trace of the others."""
    assert rows("lists", ("list_id", "name")) == [
        {"list_id": "ABC123", "name": "VIP / Größe"},
        {"list_id": "DEF456", "name": "Nobody's"},
    ]


def test_unfit_values_are_counted() -> None:
    """A value that is not what its column promises becomes null, and somebody is told."""
    schema = {
        "properties": {
            "id": {"type": "string", "x-klaviyo-path": "/id"},
            "n": {"type": ["integer", "null"], "x-klaviyo-path": "/attributes/n"},
        }
    }
    projected = Projection(Table("t", COLLECTIONS["lists"], ("id",)), schema, ("id", "n"))
    values = (1, "2", 3.0, 3.5, "x", True, None, [], float("inf"))
    made = [projected.rows([{"id": "A", "attributes": {"n": value}}], Page([]))[0]["n"] for value in values]
    assert made == [1, 2, 3, None, None, None, None, None, None]
    assert list(projected.warnings()) == [".n: 5 values did not fit the column's type and became null"]


@pytest.mark.parametrize("others", [0, 20], ids=["few columns of an object", "many"])
@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**400])
def test_an_integer_beyond_64_bits_is_null_and_counted(value: int, others: int) -> None:
    """No BIGINT holds it; at the bounds it is one, and a number column takes what a double holds."""
    names = [f"whole{index}" for index in range(others + 1)]
    columns = {name: {"type": ["integer", "null"], "x-klaviyo-path": f"/attributes/{name}"} for name in names}
    columns["number"] = {"type": ["number", "null"], "x-klaviyo-path": "/attributes/number"}
    projected = Projection(Table("t", COLLECTIONS["lists"], ()), {"properties": columns}, columns)

    def row_of(attributes: dict[str, int]) -> dict[str, int | None]:
        return projected.rows([{"id": "A", "attributes": attributes}], Page([]))[0]

    assert row_of({"whole0": 2**63 - 1}) == {**dict.fromkeys(columns), "whole0": 2**63 - 1}
    assert row_of({"whole0": -(2**63)})["whole0"] == -(2**63)
    assert not projected.conversion_errors
    assert row_of({"whole0": value}) == dict.fromkeys(columns)
    assert projected.conversion_errors == {"whole0": 1}
    is_double = abs(value) < sys.float_info.max
    assert row_of({"number": value})["number"] == (value if is_double else None)
    assert projected.conversion_errors == {"whole0": 1} | ({} if is_double else {"number": 1})


def test_what_is_emitted_has_no_keys_of_ours() -> None:
    """Singer sees plain JSON Schema; the file keeps its paths."""
    text = json.dumps(projection.singer_schema(schema_files.load("profiles")))
    assert "x-" not in text
    assert "$schema" not in text
    assert "description" in text
    assert "x-klaviyo-path" in json.dumps(schema_files.load("profiles"))
