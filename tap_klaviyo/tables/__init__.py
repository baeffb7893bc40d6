"""Every table of the tap, parents before children. A new table is one declaration here and one schema file."""

from __future__ import annotations

from tap_klaviyo.model import Collection, Table
from tap_klaviyo.tables import account, campaigns, events, flows, groups, profiles, tags

TABLES: tuple[Table, ...] = (
    *profiles.TABLES,
    *groups.TABLES,
    *tags.TABLES,
    *campaigns.TABLES,
    *flows.TABLES,
    *events.TABLES,
)
COLLECTIONS: dict[str, Collection] = {
    collection.name: collection for collection in (account.ACCOUNTS, *(table.collection for table in TABLES))
}
