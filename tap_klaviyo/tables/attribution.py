"""Which message an event is owed to. Pure.

Klaviyo says it with ``attribution`` resources, which hold nothing but relationships. Old events may still carry the
``$attribution`` object that came before them (gone from the API since revision 2024-02-15).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from klaviyo_client.api.pages import Page
from tap_klaviyo.model import Resource
from tap_klaviyo.rows.paths import included_resources
from tap_klaviyo.tables.shapes import distinct

# A metric's name tells the channel of its messages. Text messages were called SMS until 2026-07-01.
_CHANNELS = {"email": "email", "sms": "sms", "text message": "sms", "push": "push", "whatsapp": "whatsapp"}


def every(attributions: Any, legacy: Any) -> list[dict[str, Any]]:
    """The attributions of one event, each as {"attributed_event_id", "flow", "message", "variation", "look_up"}.

    ``look_up`` is the id of the event that knows the rest. The old object knows all of it by itself, and adds
    "send_ts", "channel" and "group_ids".
    """
    found = [_of_resource(resource) for resource in attributions or ()]
    return found or ([_of_object(legacy)] if isinstance(legacy, dict) else [])


def first(attributions: Any, legacy: Any) -> dict[str, Any] | None:
    """The first of ``every``: one event has one row."""
    return next(iter(every(attributions, legacy)), None)


class Sent(NamedTuple):
    """What an event about a message says of it, as it says it: most are never asked for more."""

    cohort: Any
    internal: Any
    metric: Resource | None
    group_ids: Any


def sent(page: Page) -> Mapping[str, Sent]:
    """Of each event that is about a message, what it says of that."""
    found = {}
    for event in page.data:
        properties = (event.get("attributes") or {}).get("event_properties")
        if isinstance(properties, dict) and ("$group_ids" in properties or "$message" in properties):
            found[event["id"]] = Sent(
                properties.get("$_cohort$message_send_cohort"),
                properties.get("$internal"),
                included_resources(event, "metric", page),
                properties.get("$group_ids"),
            )
    return found


def origin(attribution: Any, attributed: Sent | None) -> dict[str, Any]:
    """When the message was sent ("send_ts", epoch seconds), "channel" and "group_ids".

    From the attributed event, or from the old object.
    """
    said = (
        {}
        if attributed is None
        else {
            "send_ts": _send_ts(attributed),
            "channel": _channel(attributed.metric),
            "group_ids": distinct(attributed.group_ids),
        }
    )
    return {**said, **{name: value for name, value in (attribution or {}).items() if value is not None}}


def _of_resource(resource: Resource) -> dict[str, Any]:
    event = _linked(resource, "attributed-event")
    return {
        "attributed_event_id": event,
        "flow": _linked(resource, "flow"),
        # As the old `$message` had it: a flow's message, or the campaign.
        "message": _linked(resource, "flow-message")
        or _linked(resource, "campaign")
        or _linked(resource, "campaign-message"),
        "variation": _linked(resource, "flow-message-variation"),
        "look_up": event,
    }


def _of_object(legacy: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "attributed_event_id": legacy.get("$attributed_event_id") or None,
        "flow": legacy.get("$flow"),
        "message": legacy.get("$message"),
        "variation": legacy.get("$variation"),
        "send_ts": legacy.get("$send_ts") or None,
        "channel": legacy.get("$attributed_channel"),
        "group_ids": distinct(legacy.get("$group_ids")),
        "look_up": None,
    }


def _linked(resource: Resource, name: str) -> str | None:
    linkage = ((resource.get("relationships") or {}).get(name) or {}).get("data")
    return linkage.get("id") if isinstance(linkage, dict) else None


def _send_ts(event: Sent) -> int | None:
    """The epoch part of ``<epoch>:<message id>``, or the time that the sender noted."""
    cohort = re.match(r"(\d{1,12}):", str(event.cohort or ""))
    if cohort:
        return int(cohort[1])
    noted = event.internal.get("send_timestamp") if isinstance(event.internal, dict) else None
    return noted if isinstance(noted, int) else None


def _channel(metric: Resource | None) -> str | None:
    name = str(((metric or {}).get("attributes") or {}).get("name") or "").casefold()
    return next((channel for word, channel in _CHANNELS.items() if word in name), None)
