"""Every table of the tap, by family. A new table is one declaration in its family's module and one schema file."""

from __future__ import annotations

from tap_klaviyo.model import Collection, Table
from tap_klaviyo.tables import (
    account,
    campaigns,
    catalog,
    content,
    coupons,
    esp,
    esp_events,
    events,
    flows,
    groups,
    metrics,
    objects,
    people,
    profile_jobs,
    profiles,
    tags,
)

FAMILIES: dict[str, tuple[Table, ...]] = {
    "People": profiles.TABLES,
    "Lists and segments": groups.TABLES,
    "Tags": tags.TABLES,
    "Campaigns": campaigns.TABLES,
    "Flows": flows.TABLES,
    "Events": events.TABLES,
    "Metrics and triggers": metrics.TABLES,
    "Catalog": catalog.TABLES,
    "Coupons": coupons.TABLES,
    "Bulk jobs on profiles": profile_jobs.TABLES,
    "Content": content.TABLES,
    "Account": account.TABLES,
    "More about people": people.TABLES,
    "Custom objects": objects.TABLES,
    "V1": (*esp.TABLES, *esp_events.TABLES),
}
# Parents before children.
TABLES: tuple[Table, ...] = tuple(table for tables in FAMILIES.values() for table in tables)
# A stream's tables: what each of its collections gives to it.
STREAMS: dict[str, tuple[Table, ...]] = {
    name: tuple(table for table in TABLES if table.name == name)
    for name in dict.fromkeys(table.name for table in TABLES)
}
COLLECTIONS: dict[str, Collection] = {table.collection.name: table.collection for table in TABLES}
