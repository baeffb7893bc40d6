"""Attributions of conversions to touches: messages that the same person received, opened or clicked before."""

from __future__ import annotations

import bisect
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.mailings import Mailing

_ATTRIBUTED = 0.6
# Of the conversions that follow a message, one in so many, the oldest, has the form from before 2024-02-15.
_LEGACY_SHARE = 25


@dataclass(frozen=True)
class Touch:
    """An event that conversions may be attributed to, its time (epoch seconds), and the mailing that it is about."""

    timestamp: int
    event: Row
    mailing: Mailing


def attribute(
    rng: random.Random, conversions: Sequence[dict[str, Any]], touches: Mapping[str, list[Touch]]
) -> dict[str, tuple[Row, ...]]:
    """Event id -> attributions. The oldest conversions get ``$attribution`` among their properties instead."""
    for profile_touches in touches.values():
        profile_touches.sort(key=lambda touch: touch.timestamp)
    attributable = []
    for event in sorted(conversions, key=lambda event: (event["timestamp"], event["id"])):
        profile_touches = touches.get(event["profile_id"], [])
        count = bisect.bisect_left(profile_touches, event["timestamp"], key=lambda touch: touch.timestamp)
        if count:
            attributable.append((event, profile_touches[:count][-2:]))
    legacy_count = min(len(attributable), max(2, len(attributable) // _LEGACY_SHARE))
    for event, latest in attributable[:legacy_count]:
        event["event_properties"]["$attribution"] = _legacy_attribution(latest[-1])
    attributions: dict[str, tuple[Row, ...]] = {}
    for number, (event, latest) in enumerate(attributable[legacy_count:]):
        if rng.random() < _ATTRIBUTED:
            attributed = latest if number % 3 == 0 else latest[-1:]
            attributions[event["id"]] = tuple(
                attribution(event["id"], touch.event["id"], touch.mailing) for touch in reversed(attributed)
            )
    return attributions


def attribution(event_id: str, touch_id: str, mailing: Mailing) -> Row:
    """The attribution of an event to a touch of a mailing: it has nothing but relationships, as Klaviyo's have."""
    row: dict[str, Any] = {
        "id": f"{event_id}:{touch_id}",
        "event": ("event", event_id),
        "attributed-event": ("event", touch_id),
    }
    if mailing.flow_id is None:
        row["campaign"] = ("campaign", mailing.campaign_id)
        row["campaign-message"] = ("campaign-message", mailing.message_id)
    else:
        row["flow"] = ("flow", mailing.flow_id)
        row["flow-message"] = ("flow-message", mailing.message_id)
        row["flow-message-variation"] = ("flow-message", mailing.variation_id)
    return row


def _legacy_attribution(touch: Touch) -> dict[str, Any]:
    mailing = touch.mailing
    members = {
        "$attributed_event_id": touch.event["id"],
        "$message": mailing.campaign_id or mailing.message_id,
        "$flow": mailing.flow_id,
        "$variation": mailing.variation_id,
        "$send_ts": int(touch.event["event_properties"]["$_cohort$message_send_cohort"].partition(":")[0]),
        "$attributed_channel": mailing.channel,
        "$group_ids": None if mailing.group_ids is None else list(mailing.group_ids),
    }
    return {name: value for name, value in members.items() if value is not None}
