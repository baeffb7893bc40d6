"""Attributions of conversions to touches: messages that the same person opened or clicked before, or texts received.

Whatever happens within a touch's window is attributed to it, as Klaviyo documents it.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.mailings import Mailing

# Days in which a conversion is attributed: after an e-mail was opened or clicked, a text message was opened or
# clicked, or came, or a push message was opened. Klaviyo attributes nothing to an e-mail that only came.
WINDOWS = "email=5,sms=1,sms_received=0.5,push=1"
_DAY = 86_400
# Klaviyo's API can name several touches, the latest first, and does not say when it does.
MOST = 2
# Of the conversions that follow a message, one in so many, the oldest, has the form from before 2024-02-15.
_LEGACY_SHARE = 25


@dataclass(frozen=True)
class Touch:
    """An event that conversions may be attributed to.

    Attributes:
        timestamp: when it was, in epoch seconds.
        window: the name of the window in which it counts.
        mailing: what it is about.
    """

    timestamp: int
    event: Row
    window: str
    mailing: Mailing


def parse_windows(text: str) -> Mapping[str, float]:
    """Name of a window -> how many seconds it is open; 0 attributes nothing.

    Args:
        text: days by name, such as ``WINDOWS``; names that are left out have the days that they have there.

    Raises:
        ValueError: it cannot be read.
    """
    entries = [entry.partition("=") for entry in (*WINDOWS.split(","), *text.split(",")) if entry.strip()]
    try:
        windows = {name.strip(): float(days) * _DAY for name, _, days in entries}
    except ValueError:
        windows = {}
    if len(windows) != WINDOWS.count("=") or not all(0 <= seconds < math.inf for seconds in windows.values()):
        raise ValueError(f"attribution must be days by name, such as '{WINDOWS}', not '{text}'")
    return windows


def attribute(
    conversions: Sequence[dict[str, Any]], touches: Mapping[str, list[Touch]], windows: Mapping[str, float]
) -> dict[str, tuple[Row, ...]]:
    """Event id -> attributions. The oldest conversions get ``$attribution`` among their properties instead."""
    for profile_touches in touches.values():
        profile_touches.sort(key=lambda touch: touch.timestamp)
    attributable = []
    for event in sorted(conversions, key=lambda event: (event["timestamp"], event["id"])):
        counting = _counting(touches.get(event["profile_id"], []), event["timestamp"], windows)
        if counting:
            attributable.append((event, counting[-MOST:]))
    legacy_count = min(len(attributable), max(2, len(attributable) // _LEGACY_SHARE))
    for event, latest in attributable[:legacy_count]:
        event["event_properties"]["$attribution"] = _legacy_attribution(latest[-1])
    attributions: dict[str, tuple[Row, ...]] = {}
    for event, latest in attributable[legacy_count:]:
        attributions[event["id"]] = tuple(
            attribution(event["id"], touch.event["id"], touch.mailing) for touch in reversed(latest)
        )
    return attributions


def _counting(touches: Sequence[Touch], timestamp: int, windows: Mapping[str, float]) -> Sequence[Touch]:
    """Those of a person's touches, in the order of their time, whose window is open at ``timestamp``."""
    first, last = (
        bisect.bisect_left(touches, when, key=lambda touch: touch.timestamp)
        for when in (timestamp - max(windows.values()), timestamp)
    )
    return [touch for touch in touches[first:last] if timestamp - touch.timestamp <= windows[touch.window]]


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
