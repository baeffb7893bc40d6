"""Every table of the tap, parents before children. A new table is one declaration here and one schema file."""

from __future__ import annotations

from tap_klaviyo.model import Table
from tap_klaviyo.tables import events, groups, profiles

TABLES: tuple[Table, ...] = (*profiles.TABLES, *groups.TABLES, *events.TABLES)
