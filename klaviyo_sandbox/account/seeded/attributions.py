"""What conversions are owed to: messages that the same person received, opened or clicked before."""

from __future__ import annotations

import bisect
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.mailings import Mailing

_ATTRIBUTED = 0.6
# Of the conversions that follow a message, the oldest ones say so as Klaviyo did before 2024-02-15.
_LEGACY_SHARE = 25


@dataclass(frozen=True)
class Touch:
    """An event that others may be owed to, when it was (epoch seconds), and what it was about."""

    at: int
    event: Row
    mailing: Mailing


def attribute(
    rng: random.Random, conversions: Sequence[dict[str, Any]], touches: Mapping[str, list[Touch]]
) -> dict[str, tuple[Row, ...]]:
    """Attributions by event id. The oldest conversions get ``$attribution`` among their properties instead."""
    for found in touches.values():
        found.sort(key=lambda touch: touch.at)
    led = []
    for event in sorted(conversions, key=lambda event: (event["timestamp"], event["id"])):
        before = touches.get(event["profile_id"], [])
        count = bisect.bisect_left(before, event["timestamp"], key=lambda touch: touch.at)
        if count:
            led.append((event, before[:count][-2:]))
    legacy = min(len(led), max(2, len(led) // _LEGACY_SHARE))
    for event, before in led[:legacy]:
        event["event_properties"]["$attribution"] = _legacy(before[-1])
    attributions: dict[str, tuple[Row, ...]] = {}
    for number, (event, before) in enumerate(led[legacy:]):
        if rng.random() < _ATTRIBUTED:
            owed = before if number % 3 == 0 else before[-1:]
            attributions[event["id"]] = tuple(
                attribution(event["id"], touch.event["id"], touch.mailing) for touch in reversed(owed)
            )
    return attributions


def attribution(event_id: str, touch_id: str, mailing: Mailing) -> Row:
    """That an event is owed to another, about a mailing: Klaviyo gives these nothing but relationships."""
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


def _legacy(touch: Touch) -> dict[str, Any]:
    mailing = touch.mailing
    said = {
        "$attributed_event_id": touch.event["id"],
        "$message": mailing.campaign_id or mailing.message_id,
        "$flow": mailing.flow_id,
        "$variation": mailing.variation_id,
        "$send_ts": int(touch.event["event_properties"]["$_cohort$message_send_cohort"].partition(":")[0]),
        "$attributed_channel": mailing.channel,
        "$group_ids": None if mailing.group_ids is None else list(mailing.group_ids),
    }
    return {name: value for name, value in said.items() if value is not None}
