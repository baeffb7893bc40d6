"""Which tables may lose the rows that Klaviyo has no more. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tap_klaviyo.model import Collection
from tap_klaviyo.settings import REREAD
from tap_klaviyo.tables.events import EVENTS


def may_delete(collections: Iterable[Collection], config: Mapping[str, Any]) -> bool:
    """Whether it is asked for, a table is read whole in every run, and nothing refers to what is gone of it.

    Args:
        collections: what the table is made of.
        config: the settings; what they leave out of a collection must not count as gone.
    """
    if not config.get("emit_activate_version_messages"):
        return False
    reread = config.get("reread", REREAD)
    narrowed = bool(config.get("event_metrics") or config.get("exclude_pushed_events"))
    return all(
        (found.bookmark is None or found.name in reread)
        and not found.keep_deleted
        and not (narrowed and found.name == EVENTS.name)
        for found in collections
    )
