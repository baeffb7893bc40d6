"""Decides for which tables targets are told to delete the rows that Klaviyo no longer has. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tap_klaviyo.model import Table
from tap_klaviyo.settings import REREAD, is_read_whole
from tap_klaviyo.tables.events import EVENTS


def sends_activate_version(tables: Iterable[Table], config: Mapping[str, Any]) -> bool:
    """Whether the tap may send ACTIVATE_VERSION for a stream.

    It may when the setting is on, the stream is read whole in every run, and no other one refers to its deleted rows.

    Args:
        tables: what each of its collections gives to the stream.
        config: the settings; what they leave out of a collection must not count as deleted.
    """
    if not config.get("emit_activate_version_messages"):
        return False
    reread = config.get("reread", REREAD)
    leaves_out_events = bool(config.get("event_metrics") or config.get("exclude_pushed_events"))
    return all(
        is_read_whole(table, reread)
        and not table.collection.keep_deleted
        and not (leaves_out_events and table.collection.name == EVENTS.name)
        for table in tables
        # What supplements others is read whole where they are.
        if table.collection.supplements is None
    )
