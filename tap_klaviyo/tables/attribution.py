"""Attribution: which message led to an event. Pure.

Klaviyo's ``attribution`` resources say it; they hold nothing but relationships. Old events may still carry the
``$attribution`` object that came before them (gone from the API since revision 2024-02-15).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from klaviyo_client.api.metric_names import normalize_name
from klaviyo_client.api.pages import Page
from tap_klaviyo.model import Resource
from tap_klaviyo.rows.paths import OWN, follower, parse_source
from tap_klaviyo.tables.table_functions import distinct_texts

# A metric's name tells the channel of its messages.
_CHANNELS = ("email", "sms", "push", "whatsapp")


def all_attributions(attributions: Any, legacy: Any) -> list[dict[str, Any]]:
    """The attributions of one event, each as {"attributed_event_id", "flow", "message", "variation", "look_up"}.

    ``look_up`` is the id of the attributed event, which has the rest. The old object has the rest itself, as "send_ts",
    "channel" and "group_ids"; its ``look_up`` is None.
    """
    of_resources = [_from_resource(resource) for resource in attributions or ()]
    return of_resources or ([_from_object(legacy)] if isinstance(legacy, dict) else [])


def first_attribution(attributions: Any, legacy: Any) -> dict[str, Any] | None:
    """The first of ``all_attributions``, for tables with one row for each event."""
    return next(iter(all_attributions(attributions, legacy)), None)


def attribution_rows(attributions: Any, legacy: Any, event_id: str) -> list[dict[str, Any]]:
    """Every attribution of one event, with its own id and those of all that it names.

    The old object has no id of its own, and there is one at most: the event's id stands for it.
    """
    rows = [
        {
            "id": resource["id"],
            "attributed_event_id": _linked_id(resource, "attributed-event"),
            "campaign": _linked_id(resource, "campaign"),
            "campaign_message": _linked_id(resource, "campaign-message"),
            "flow": _linked_id(resource, "flow"),
            "flow_message": _linked_id(resource, "flow-message"),
            "variation": _linked_id(resource, "flow-message-variation"),
        }
        for resource in attributions or ()
    ]
    if not rows and isinstance(legacy, dict):
        # Its message is a flow's where it names a flow, and else the campaign.
        named = _from_object(legacy)
        rows = [{**named, "id": event_id, "flow_message" if named["flow"] else "campaign": named["message"]}]
    return [{**row, "position": position} for position, row in enumerate(rows)]


# What an event says of its message: cohort, internal properties, metric's name, group ids. Values are kept as they are,
# since most are never read; a plain tuple goes from process to process in half the time.
MessageEvent = tuple[Any, Any, Any, Any]
# The paths to what ``message_event`` takes.
MESSAGE_PATHS = ("/attributes/event_properties", "included:metric#/attributes/name")


def message_event(properties: Any, metric_name: Any) -> MessageEvent | None:
    """What an event says of its message, by its properties and the name of its metric; None where it is about none."""
    if isinstance(properties, dict) and ("$group_ids" in properties or "$message" in properties):
        cohort, internal = properties.get("$_cohort$message_send_cohort"), properties.get("$internal")
        return cohort, internal, metric_name, properties.get("$group_ids")
    return None


def message_events(page: Page) -> Mapping[str, MessageEvent]:
    """The page's events that are about a message, by id."""
    of_event = [follower(parse_source(path)) for path in MESSAGE_PATHS]
    by_id = {}
    for event in page.data:
        found = message_event(*(value({OWN: event}, page) for value in of_event))
        if found is not None:
            by_id[event["id"]] = found
    return by_id


def message_origin(attribution: Any, attributed: MessageEvent | None) -> dict[str, Any]:
    """When the attributed message was sent ("send_ts", epoch seconds), its "channel" and "group_ids".

    The values of the old object go before those of the attributed event.
    """
    of_event = {}
    if attributed is not None:
        cohort, internal, metric_name, group_ids = attributed
        of_event = {
            "send_ts": _send_ts(cohort, internal),
            "channel": _channel(metric_name),
            "group_ids": distinct_texts(group_ids),
        }
    return {**of_event, **{name: value for name, value in (attribution or {}).items() if value is not None}}


def _from_resource(resource: Resource) -> dict[str, Any]:
    event = _linked_id(resource, "attributed-event")
    return {
        "attributed_event_id": event,
        "flow": _linked_id(resource, "flow"),
        # As the old `$message` had it: a flow's message, or the campaign.
        "message": _linked_id(resource, "flow-message")
        or _linked_id(resource, "campaign")
        or _linked_id(resource, "campaign-message"),
        "variation": _linked_id(resource, "flow-message-variation"),
        "look_up": event,
    }


def _from_object(legacy: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "attributed_event_id": legacy.get("$attributed_event_id") or None,
        "flow": legacy.get("$flow"),
        "message": legacy.get("$message"),
        "variation": legacy.get("$variation"),
        "send_ts": legacy.get("$send_ts") or None,
        "channel": legacy.get("$attributed_channel"),
        "group_ids": distinct_texts(legacy.get("$group_ids")),
        "look_up": None,
    }


def _linked_id(resource: Resource, name: str) -> str | None:
    linkage = ((resource.get("relationships") or {}).get(name) or {}).get("data")
    return linkage.get("id") if isinstance(linkage, dict) else None


def cohort_epoch(cohort: Any) -> int | None:
    """The epoch part of a cohort ``<epoch>:<message id>``: when the message was sent."""
    found = re.match(r"(\d{1,12}):", str(cohort or ""))
    return int(found[1]) if found else None


def _send_ts(cohort: Any, internal: Any) -> int | None:
    """When the message was sent: by its cohort, or by the time in the event's internal properties."""
    epoch = cohort_epoch(cohort)
    if epoch is not None:
        return epoch
    send_timestamp = internal.get("send_timestamp") if isinstance(internal, dict) else None
    return send_timestamp if isinstance(send_timestamp, int) else None


def _channel(metric_name: Any) -> str | None:
    name = normalize_name(str(metric_name or ""))
    return next((channel for channel in _CHANNELS if channel in name), None)
