"""Changes to an account while somebody reads it, for tests. Hold the store's lock around them."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from klaviyo_sandbox.account.ids import short_id
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.spec.times import format_datetime


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
