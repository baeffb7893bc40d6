"""Further consents and suppressions of some profiles, beyond those that every profile is drawn with."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.times import random_time, with_microseconds
from klaviyo_sandbox.spec.times import format_datetime

_REASONS = ("HARD_BOUNCE", "SPAM_COMPLAINT", "USER_SUPPRESSED", "INVALID_EMAIL")


def with_consents(rng: random.Random, row: Row, list_ids: Sequence[str], end: datetime) -> Row:
    """The profile with ids of lists in its suppressions, where it has positions, and with further ones for some."""
    created = datetime.fromisoformat(row["created"])
    subscriptions = dict(row["subscriptions"])
    marketing = dict(subscriptions["email"]["marketing"])
    marketing["list_suppressions"] = [
        {**entry, "list_id": list_ids[entry["list_id"]]} for entry in marketing["list_suppressions"]
    ]
    moment = random_time(rng, created, end)
    when, suppressed = format_datetime(moment), format_datetime(with_microseconds(moment))
    if row["email"] and rng.random() < 0.06:
        marketing["list_suppressions"] = [
            {"list_id": list_id, "reason": reason, "timestamp": suppressed}
            for list_id, reason in zip(rng.sample(list_ids, 2), ("UNSUBSCRIBE", "SPAM_COMPLAINT"), strict=True)
        ]
    if marketing["suppression"] and rng.random() < 0.2:
        reason = rng.choice([reason for reason in _REASONS if reason != marketing["suppression"][0]["reason"]])
        marketing["suppression"] = [*marketing["suppression"], {"reason": reason, "timestamp": suppressed}]
    subscriptions["email"] = {**subscriptions["email"], "marketing": marketing}
    if rng.random() < 0.08:
        subscriptions["mobile_push"] = {"marketing": _push(rng, when)}
    if row["phone_number"] and rng.random() < 0.15:
        subscriptions["whatsapp"] = {"marketing": _whatsapp(rng, when, row["phone_number"])}
    return {**row, "subscriptions": subscriptions}


def with_tracking(rng: random.Random, row: Row, end: datetime) -> Row:
    """The profile with what it said to tracking of its e-mail, where it said something; some consent has an end."""
    if not row["email"] or rng.random() >= 0.12:
        return row
    moment = random_time(rng, datetime.fromisoformat(row["created"]), end)
    agreed = {kind: rng.random() < 0.6 for kind in ("open_tracking", "click_tracking")}
    valid_until = moment + timedelta(days=730) if rng.random() < 0.3 else None
    tracking = {kind: _tracking(given, moment, valid_until) for kind, given in agreed.items()}
    return {**row, "subscriptions": {**row["subscriptions"], "email": {**row["subscriptions"]["email"], **tracking}}}


def _tracking(agreed: bool, moment: datetime, valid_until: datetime | None) -> dict[str, Any]:
    when = format_datetime(moment)
    return {
        "can_receive": agreed,
        "consent": "SUBSCRIBED" if agreed else "UNSUBSCRIBED",
        "consent_timestamp": when,
        "created_timestamp": when,
        "last_updated": when,
        "metadata": {},
        "valid_until": None if valid_until is None or not agreed else format_datetime(valid_until),
    }


def _push(rng: random.Random, when: str) -> dict[str, Any]:
    agreed = rng.random() < 0.8
    return {
        "can_receive_push_marketing": agreed,
        "consent": "SUBSCRIBED" if agreed else "UNSUBSCRIBED",
        "consent_timestamp": when,
    }


def _whatsapp(rng: random.Random, when: str, phone_number: str) -> dict[str, Any]:
    agreed = rng.random() < 0.8
    return {
        "can_receive": agreed,
        "consent": "SUBSCRIBED" if agreed else "UNSUBSCRIBED",
        "consent_timestamp": when,
        "created_timestamp": when,
        "last_updated": when,
        "metadata": {},
        "valid_until": None,
        "phone_number": phone_number,
    }
