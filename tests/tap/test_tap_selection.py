"""What is asked for."""

from __future__ import annotations

import pytest

from klaviyo_client.operations import operation
from tap_klaviyo import schemas
from tap_klaviyo.model import Table
from tap_klaviyo.projection import sources
from tap_klaviyo.selection import query, resource_type
from tap_klaviyo.tables import TABLES

BY_NAME = {table.name: table for table in TABLES}


def asked(name: str, *columns: str) -> dict[str, str]:
    """The query for these columns, or all, of a table."""
    table, schema = BY_NAME[name], schemas.load(name)
    known = sources(schema, schema["properties"]).values()
    selected = sources(schema, columns or schema["properties"]).values()
    return query(operation(table.collection.operation), table.collection.resource, selected, known)


def test_includes_only_for_columns_that_need_them() -> None:
    """Events come without metric and profile when no column of theirs is wanted."""
    assert asked("events", "id", "event_datetime") == {"fields[event]": "datetime", "page[size]": "1000"}
    assert asked("events", "id", "metric_name", "profile_data_id") == {
        "include": "metric,profile",
        "fields[event]": "id",
        "fields[metric]": "name",
        "fields[profile]": "id",
        "page[size]": "1000",
    }


def test_subscriptions_only_for_columns_of_consent() -> None:
    """They cost Klaviyo more, and us a stricter limit."""
    assert "additional-fields[profile]" not in asked("profiles", "profile_id", "email", "location_city")
    made = asked("profiles", "profile_id", "sms_marketing_consent")
    assert made["additional-fields[profile]"] == "subscriptions"
    assert made["fields[profile]"] == "subscriptions.sms.marketing.consent"


def test_members_are_named_together_when_all_are_wanted() -> None:
    """Some columns of a location are asked for one by one, all of them as one; so the URL stays short."""
    assert asked("profiles", "profile_id", "location_city", "location_zip")["fields[profile]"] == (
        "location.city,location.zip"
    )
    whole = asked("profiles")["fields[profile]"].split(",")
    assert "location" in whole
    assert not [name for name in whole if name.startswith("location.")]
    assert len(",".join(whole)) < 1500


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_klaviyo_knows_every_name_that_is_asked_for(table: Table) -> None:
    """All columns at once and each alone: only includes, fields and additional fields that the operation takes."""
    op = operation(table.collection.operation)
    for columns in ((), *((name,) for name in schemas.load(table.name)["properties"])):
        made = asked(table.name, *columns)
        assert made.get("page[size]") == (str(op.page_size) if op.page_size else None)
        for name, value in made.items():
            kind = name[name.find("[") + 1 : -1]
            if name == "include":
                assert set(value.split(",")) <= set(op.include)
            elif name.startswith("fields"):
                assert set(value.split(",")) <= op.fields[kind]
            elif name.startswith("additional"):
                assert set(value.split(",")) <= op.additional_fields[kind]


def test_an_include_leads_to_its_type() -> None:
    """`tags` brings resources of the type `tag`."""
    assert resource_type(operation("get_events"), "metric") == "metric"
    assert resource_type(operation("get_lists"), "tags") == "tag"
