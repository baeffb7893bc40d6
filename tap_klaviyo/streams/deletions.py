"""Decides for which tables targets are told to delete the rows that Klaviyo no longer has. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tap_klaviyo.model import Collection
from tap_klaviyo.settings import REREAD
from tap_klaviyo.tables.events import EVENTS


def sends_activate_version(collections: Iterable[Collection], config: Mapping[str, Any]) -> bool:
    """Whether the tap may send ACTIVATE_VERSION for a table.

    It may when the setting is on, the table is read whole in every run, and no other table refers to its deleted rows.

    Args:
        collections: those that the table's rows come from.
        config: the settings; what they leave out of a collection must not count as deleted.
    """
    if not config.get("emit_activate_version_messages"):
        return False
    reread = config.get("reread", REREAD)
    leaves_out_events = bool(config.get("event_metrics") or config.get("exclude_pushed_events"))
    return all(
        (collection.bookmark is None or collection.name in reread)
        and not collection.keep_deleted
        and not (leaves_out_events and collection.name == EVENTS.name)
        for collection in collections
    )
