"""Values that JSON, a database or a program has trouble with, and that accounts hold nevertheless."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.account.table import Table

# What stands in custom properties; names can be odd, too.
PROPERTIES: Mapping[str, Any] = {
    "half a pair": "cut \ud83d",
    "other half": ["\ude00", {"\ude00": 1}],
    "null character": "a\0b",
    "name with \0": True,
    "name with \ud83d": True,
    "no number": math.nan,
    "without end": [math.inf, -math.inf],
    "beyond 64 bits": 2**64 + 1,
    "far below": -(2**70),
    "beyond a double": 10**400,
    "many digits": 0.1234567890123456789,
}
TEXT = "odd \ud83d \0"
# How many rows of a kind hold them.
COUNT = 5


def add_odd_values(store: Store) -> None:
    """Let the first profiles, events, lists, segments and tags of an account hold them. Hold the store's lock."""
    for row in _first(store.profiles, COUNT):
        store.put_profile({**row, "first_name": TEXT, "properties": {**(row.get("properties") or {}), **PROPERTIES}})
    for row in _first(store.events, COUNT):
        store.events.put({**row, "event_properties": {**(row["event_properties"] or {}), **PROPERTIES}})
    for table in (store.lists, store.segments, store.tags):
        for row in _first(table, 1):
            table.put({**row, "name": f"{row['name']} {TEXT}"})


def _first(table: Table, count: int) -> list[dict[str, Any]]:
    """The first rows by id."""
    return [dict(row) for row in table.rows_at("id", range(min(count, len(table))))]
