"""What rows are known by, where that is not their id."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from klaviyo_sandbox.account.store import Row

EventKey = tuple[str, str, str]


def event_key(row: Row) -> EventKey:
    """What no two events have in common: profile, metric and unique id, or the second where there is none."""
    unique_id = row.get("unique_id") or (row["event_properties"] or {}).get("$event_id") or row["timestamp"]
    return row["profile_id"], row["metric_id"], str(unique_id)


def pending_id(list_id: str | None, email: str) -> str:
    """What a consent is known by until it is confirmed."""
    return f"{list_id or ''}/{email.lower()}"
