"""All tables of the tap, by family. A new table is one declaration in its family's module and one schema file."""

from __future__ import annotations

from tap_klaviyo.model import Collection, Family, Table
from tap_klaviyo.tables import (
    account,
    brands,
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
    omni_campaigns,
    people,
    profile_jobs,
    profiles,
    tags,
)

FAMILIES: tuple[Family, ...] = (
    Family("People", profiles.TABLES),
    Family("Lists and segments", groups.TABLES),
    Family("Tags", tags.TABLES),
    Family("Campaigns", campaigns.TABLES),
    Family("Flows", flows.TABLES),
    Family("Events", events.TABLES),
    Family("Campaigns of every channel", omni_campaigns.TABLES, by_default=False),
    Family("Metrics and triggers", metrics.TABLES, by_default=False),
    Family("Catalog", catalog.TABLES, by_default=False),
    Family("Coupons", coupons.TABLES, by_default=False),
    Family("Bulk jobs on profiles", profile_jobs.TABLES, by_default=False),
    Family("Content", content.TABLES, by_default=False),
    Family("Account", (*account.TABLES, *brands.TABLES), by_default=False),
    Family("More about people", people.TABLES, by_default=False),
    Family("Custom objects", objects.TABLES, by_default=False),
    Family("V1", (*esp.TABLES, *esp_events.TABLES), by_default=False),
)
# Parents before children.
TABLES: tuple[Table, ...] = tuple(table for family in FAMILIES for table in family.tables)
# Names of the tables that are selected when nobody says what is.
BY_DEFAULT = frozenset(table.name for family in FAMILIES if family.by_default for table in family.tables)
# A stream's tables: what each of its collections gives to it.
STREAMS: dict[str, tuple[Table, ...]] = {
    name: tuple(table for table in TABLES if table.name == name)
    for name in dict.fromkeys(table.name for table in TABLES)
}
# Tables that only fill gaps of a stream's, from a collection that other streams have read.
GAP_TABLES: tuple[Table, ...] = esp_events.GAP_TABLES
COLLECTIONS: dict[str, Collection] = {table.collection.name: table.collection for table in TABLES}
