"""What is asked for."""

from __future__ import annotations

import pytest

from klaviyo_client.api.operations import operation
from tap_klaviyo.model import Table
from tap_klaviyo.reading.selection import query, resource_type
from tap_klaviyo.rows import schema_files
from tap_klaviyo.rows.paths import sources
from tap_klaviyo.rows.roots import requirements
from tap_klaviyo.tables import TABLES

BY_NAME = {table.name: table for table in TABLES}


def asked(table: str | Table, *columns: str) -> dict[str, str]:
    """The query for these columns of a table, or all that need not be asked for by name."""
    table = table if isinstance(table, Table) else BY_NAME[table]
    schema = schema_files.load(table.name)
    known = requirements(table, sources(schema, schema["properties"]).values())
    by_default = [name for name in schema["properties"] if name not in schema_files.optional_columns(schema)]
    selected = requirements(table, sources(schema, columns or by_default).values())
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
    for columns in ((), *((name,) for name in schema_files.load(table.name)["properties"])):
        made = asked(table, *columns)
        assert made.get("page[size]") == (str(op.page_size) if op.page_size else None)
        for name, value in made.items():
            kind = name[name.find("[") + 1 : -1]
            if name == "include":
                assert set(value.split(",")) <= set(op.include)
            elif name.startswith("fields"):
                assert set(value.split(",")) <= op.fields[kind]
            elif name.startswith("additional"):
                assert set(value.split(",")) <= op.additional_fields[kind]


def test_what_a_row_is_made_of_is_asked_for_with_it() -> None:
    """Derived rows need their source although no column shows it; fields of included resources are sparse, too."""
    assert asked("campaign_tags", "campaign_id", "tag_id", "campaign_updated_at") == {
        "include": "tags",
        "fields[campaign]": "updated_at",
        "fields[tag]": "id",
        "page[size]": "100",
    }
    assert asked("campaign_message_send_times") == {
        "include": "campaign-messages",
        "fields[campaign]": "updated_at",
        "fields[campaign-message]": "send_times",
        "page[size]": "100",
    }
    assert asked("campaign_messages", "campaign_message_id", "content_subject") == {
        "include": "campaign-messages",
        "fields[campaign]": "id",
        "fields[campaign-message]": "definition.content.subject",
        "page[size]": "100",
    }
    assert asked("flow_action_messages", "flow_action_message_id")["fields[flow-action]"] == "definition"


def test_attributions_only_for_columns_that_need_them() -> None:
    """What is included makes Klaviyo slower; an attribution has relationships only, which sparse fields might drop."""
    assert "include" not in asked("events", "id", "event_properties")
    made = asked("events", "id", "attribution_flow")
    assert made["include"] == "attributions"
    assert "fields[attribution]" not in made
    # the channel is told by the metric of the attributed event, which may be on the same page
    assert asked("events", "id", "attribution_attributed_channel")["include"] == "attributions,metric"


def test_what_klaviyo_no_longer_lists_as_a_field_is_still_asked_for() -> None:
    """A member without a sparse name of its own comes with the whole that holds it."""
    made = asked("campaigns", "campaign_id", "send_options_ignore_unsubscribes", "send_options_use_smart_sending")
    assert made["fields[campaign]"] == "send_options"


def test_an_include_leads_to_its_type() -> None:
    """`tags` brings resources of the type `tag`."""
    assert resource_type(operation("get_events"), "metric") == "metric"
    assert resource_type(operation("get_lists"), "tags") == "tag"
    assert resource_type(operation("get_catalog_items"), "variants") == "catalog-variant"
