"""What the tables make of the hand-made pages in ``tests/pages``."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from klaviyo_client.api.pages import Page, decode_page
from tap_klaviyo.model import Lookup, Table
from tap_klaviyo.rows import schema_files
from tap_klaviyo.rows.projection import Projection
from tap_klaviyo.tables import BY_DEFAULT, TABLES

PAGES = Path(__file__).parents[1] / "pages"
BY_NAME = {table.name: table for table in TABLES}
CONTEXT = {
    "parent": {"id": "ABC123", "attributes": {"name": "VIPs"}},
    "pass": {"messages.channel": "email", "archived": False},
    "account": {"id": "ACC123"},
    "integration": {"id": "INT1"},
    "extracted": "2026-06-01T12:00:00+00:00",
}


def page(name: str) -> Page:
    return decode_page((PAGES / f"{name}.json").read_bytes(), "https://a.klaviyo.com")


def page_of(table: Table) -> Page:
    """The page that the table is shown; the V1 tables of events have one with all their metrics.

    A collection that supplements another has that one's.
    """
    name = table.collection.supplements or table.collection.name
    return page("esp_events" if name == "events" and table.name not in BY_DEFAULT else name)


def lookup_values(table: Table) -> dict[str, dict[str, Any]]:
    """The values that the table's lookups extract from their hand-made pages, and from the collection's own."""
    pages = {
        "with_template": "campaign_messages",
        "stamp": "flow_messages",
        "sent": "event",
        "counted": "list",
        "estimate": "campaign_recipient_estimation",
    }
    return {
        root.name: {
            **(root.extract(page(table.collection.name)) if root.own_page_paths else {}),
            **root.extract(page(pages[root.name])),
        }
        for root in table.roots
        if isinstance(root, Lookup)
    }


def rows(table: str | Table, columns: tuple[str, ...] | None = None) -> list[dict[str, Any]]:
    """What the table makes of its collection's hand-made page, which must be left as it was."""
    table = table if isinstance(table, Table) else BY_NAME[table]
    schema = schema_files.load(table.name)
    page = page_of(table)
    before = copy.deepcopy(page)
    projection = Projection(table, schema, columns or tuple(schema["properties"]))
    values = lookup_values(table)
    table_rows = projection.rows(page.data, page, CONTEXT, lambda lookup, _rows, _page: values[lookup.name])
    assert page == before
    return table_rows


def columns(name: str, *wanted: str) -> list[tuple[Any, ...]]:
    """These columns of the table's rows."""
    return [tuple(row[column] for column in wanted) for row in rows(name)]
