"""Changes to an account while somebody reads it, for tests. Hold the store's lock around them."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from klaviyo_sandbox.account.ids import short_id
from klaviyo_sandbox.account.relations import table_of
from klaviyo_sandbox.account.rows import IDENTIFIERS, Row
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.spec.times import format_datetime

# Members that say when a row was last changed.
_CHANGED = ("updated", "updated_at")


def touch_profile(store: Store, profile_id: str, **attributes: Any) -> Row:
    """Change a profile now: its ``updated`` moves to this second, so that it jumps to the end of that order."""
    row = {**store.profiles.rows[profile_id], **attributes, "updated": store.now_text()}
    store.put_profile(row)
    return row


def add_event(
    store: Store,
    rng: random.Random,
    profile_id: str,
    metric_id: str,
    when: datetime,
    properties: Mapping[str, Any] | None = None,
) -> Row:
    """Record an event of any time (with a zone), also one long past or ahead; the id comes from ``rng``."""
    when = when.astimezone(UTC)
    row = {
        "id": short_id(rng, 11),
        "metric_id": metric_id,
        "profile_id": profile_id,
        "timestamp": int(when.timestamp()),
        "datetime": format_datetime(when.replace(microsecond=0)),
        "uuid": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        "event_properties": dict(properties or {}),
    }
    store.put_event(row)
    return row


def suppress_profile(store: Store, profile_id: str, reason: str, list_id: str | None = None) -> Row:
    """Let e-mail to a profile be suppressed now, all of it or that of one list, beside what is suppressed already.

    Args:
        store: the account.
        profile_id: the profile.
        reason: as Klaviyo names it, such as HARD_BOUNCE or SPAM_COMPLAINT.
        list_id: the list; None for all e-mail.
    """
    before = store.profiles.rows[profile_id]
    subscriptions = before["subscriptions"]
    marketing, entry = subscriptions["email"]["marketing"], {"reason": reason, "timestamp": store.now_text()}
    if list_id is None:
        changed = {"suppression": [*marketing["suppression"], entry], "can_receive_email_marketing": False}
    else:
        changed = {"list_suppressions": [*marketing["list_suppressions"], {"list_id": list_id, **entry}]}
    email = {**subscriptions["email"], "marketing": {**marketing, **changed}}
    row = {
        **before,
        "subscriptions": {**subscriptions, "email": email},
        "updated": store.updated_by_suppression(before),
    }
    store.put_profile(row)
    return row


def merge_profiles(store: Store, source_id: str, destination_id: str) -> Row:
    """Merge a profile into another one, as in Klaviyo's pages: the source is gone, all that it had is the other's.

    Its events and its places in lists and segments, with their times, are the destination's; where both are members,
    the destination's time stays, and where both have an attribute, so does the destination's.
    """
    source, destination = store.profiles.rows[source_id], store.profiles.rows[destination_id]
    for members in (*store.list_members.values(), *store.segment_members.values()):
        if source_id in members and destination_id not in members:
            members.put({**members.rows[source_id], "id": destination_id})
    for event in [row for row in store.events.rows.values() if row["profile_id"] == source_id]:
        store.put_event({**event, "profile_id": destination_id})
    store.drop_profile(source_id)
    inherited = {name: destination.get(name) or source.get(name) for name in IDENTIFIERS}
    return touch_profile(
        store, destination_id, **inherited, properties={**source["properties"], **destination["properties"]}
    )


def edit(store: Store, kind: str, row_id: str, **attributes: Any) -> Row:
    """Change a resource of any type now, as in Klaviyo's pages; that moves when it was last changed."""
    table = table_of(store, kind)
    row = table.rows[row_id]
    row = {**row, **attributes, **{name: store.now_text() for name in _CHANGED if name in row}}
    table.put(row)
    return row


def set_tags(store: Store, kind: str, row_id: str, tag_ids: Sequence[str]) -> Row:
    """Let a campaign, flow, list or segment have these tags and no others; that moves no time of change."""
    table = table_of(store, kind)
    row = {**table.rows[row_id], "tag_ids": tuple(tag_ids)}
    table.put(row)
    return row
