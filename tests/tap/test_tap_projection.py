"""Pages to rows."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from klaviyo_client.protocol import Page, decode_page
from tap_klaviyo import projection, schemas
from tap_klaviyo.projection import Projection
from tap_klaviyo.tables import TABLES

PAGES = Path(__file__).parents[1] / "pages"
PARENT = {"id": "ABC123", "attributes": {"name": "VIPs"}}


def rows(table: str, columns: tuple[str, ...] | None = None) -> list[dict[str, Any]]:
    """What the table makes of its hand-made page, which must be left as it was."""
    page = decode_page((PAGES / f"{table}.json").read_bytes(), "https://a.klaviyo.com")
    before = copy.deepcopy(page)
    schema = schemas.load(table)
    projected = Projection(schema, columns or tuple(schema["properties"]))
    made = [projected.row(resource, page, PARENT) for resource in page.data]
    assert page == before
    return made


@pytest.mark.parametrize("table", [table.name for table in TABLES])
def test_every_table_has_a_page_and_full_rows(table: str) -> None:
    """Each row has every column, in the schema's order, and its key is never null."""
    (key,) = [entry.key for entry in TABLES if entry.name == table]
    made = rows(table)
    assert made
    for row in made:
        assert list(row) == list(schemas.load(table)["properties"])
        assert None not in [row[name] for name in key]


def test_rows_of_profiles() -> None:
    """Nested members become columns, times UTC, numbers numbers; what is absent or unfit is null."""
    ada, bob = rows("profiles")
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
    order, bare = rows("events")
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
    assert rows("list_profiles") == [
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
    assert rows("lists", ("list_id", "name")) == [{"list_id": "ABC123", "name": "VIP / Größe"}]


def test_unfit_values_are_counted() -> None:
    """A value that is not what its column promises becomes null, and somebody is told."""
    schema = {"properties": {"n": {"type": ["integer", "null"], "x-klaviyo-path": "/attributes/n"}}}
    projected = Projection(schema, ("n",))
    values = (1, "2", 3.0, 3.5, "x", True, None, [], float("inf"))
    made = [projected.row({"attributes": {"n": value}}, Page([]), None)["n"] for value in values]
    assert made == [1, 2, 3, None, None, None, None, None, None]
    assert projected.unfit == {"n": 5}


def test_what_is_emitted_has_no_keys_of_ours() -> None:
    """Singer sees plain JSON Schema; the file keeps its paths."""
    text = json.dumps(projection.emitted(schemas.load("profiles")))
    assert "x-" not in text
    assert "$schema" not in text
    assert "description" in text
    assert "x-klaviyo-path" in json.dumps(schemas.load("profiles"))
