"""Every table of the tap, parents before children. A new table is one declaration here and one schema file."""

from __future__ import annotations

from tap_klaviyo.model import Collection, Table
from tap_klaviyo.tables import account, campaigns, esp, esp_events, events, flows, groups, profiles, tags

TABLES: tuple[Table, ...] = (
    *profiles.TABLES,
    *groups.TABLES,
    *tags.TABLES,
    *campaigns.TABLES,
    *flows.TABLES,
    *events.TABLES,
    *esp.TABLES,
    *esp_events.TABLES,
)
# A stream's tables: what each of its collections gives to it.
STREAMS: dict[str, tuple[Table, ...]] = {
    name: tuple(table for table in TABLES if table.name == name)
    for name in dict.fromkeys(table.name for table in TABLES)
}
COLLECTIONS: dict[str, Collection] = {
    collection.name: collection for collection in (account.ACCOUNTS, *(table.collection for table in TABLES))
}
