"""Activities that reports count, made of events: the kind, the profile, the value, and the message or form.

Klaviyo does not document which metrics count as what, or how a rate is made of two numbers. Here a received message is
delivered; recipients are the delivered messages and those that bounced or failed; and a conversion counts on its own
day, for the first message that it is attributed to, or for each, as ``Store.conversions`` says.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.spec.errors import Refusal, invalid
from klaviyo_sandbox.spec.times import format_datetime

# Searching more events takes many seconds, and all other requests wait meanwhile.
MAX_EVENTS = 500_000
EMAIL, SMS, PUSH = "email", "sms", "push-notification"
_CHANNELS = {"email": EMAIL, "sms": SMS, "push": PUSH}
# Klaviyo's own metric -> kind of activity, and channel. Those of other integrations may have the same names.
_MESSAGES = {
    "Received Email": ("delivered", EMAIL),
    "Opened Email": ("opens", EMAIL),
    "Clicked Email": ("clicks", EMAIL),
    "Bounced Email": ("bounced", EMAIL),
    "Marked Email as Spam": ("spam_complaints", EMAIL),
    "Unsubscribed from Email Marketing": ("unsubscribes", EMAIL),
    "Received SMS": ("delivered", SMS),
    "Received Text Message": ("delivered", SMS),
    "Opened Text": ("opens", SMS),
    "Clicked SMS": ("clicks", SMS),
    "Clicked Text Message": ("clicks", SMS),
    "Failed to deliver SMS": ("failed", SMS),
    "Failed to Deliver Text Message": ("failed", SMS),
    **{
        f"Unsubscribed from {name} Marketing": ("unsubscribes", SMS)
        for name in ("SMS", "Text Message", "Text Messaging")
    },
    "Opened Push": ("opens", PUSH),
}
# Metric -> kind of activity.
_FORMS = {
    "Viewed Form": "viewed_form",
    "Closed Form": "closed_form",
    "Qualified Form": "qualified_form",
    "Submitted Form": "submits",
    "Viewed Form Step": "viewed_form_step",
    "Submitted Form Step": "submitted_form_step",
}


@dataclass(frozen=True)
class ActivitySource:
    """The message, form or segment that an activity is about.

    Attributes:
        kind: "campaign", "flow", "form" or "segment".
        attributes: those that a report can group by -> their values.
        groups: ids of the lists and segments that the message went to.
    """

    kind: str
    attributes: Mapping[str, str | None]
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Activity:
    """One thing that a profile did, such as opening a message.

    Attributes:
        kind: what it counts as, such as "opens".
        value: of a conversion.
        segments: how many a text message had.
    """

    kind: str
    profile_id: str
    when: datetime
    source: ActivitySource
    value: float = 0.0
    segments: float = 0.0


def events_between(store: Store, start: datetime, stop: datetime) -> Iterator[Row]:
    """The events from one point in time on and before another, in their order.

    Raises:
        Refusal: 400, they are too many to look through.
    """
    keys = store.events.sorted_keys("datetime")
    positions = range(
        bisect.bisect_left(keys, (format_datetime(start),)), bisect.bisect_left(keys, (format_datetime(stop),))
    )
    if len(positions) > MAX_EVENTS:
        detail = f"The sandbox does not look through {len(positions)} events for a report; {MAX_EVENTS} are the most."
        raise Refusal([invalid(detail, "/data/attributes/timeframe")])
    return store.events.rows_at("datetime", positions)


def message_activities(
    store: Store, events: Iterator[Row], source_kind: str, conversion_metric_id: str
) -> Iterator[Activity]:
    """Activities about messages of campaigns or flows (``source_kind``), conversions included."""
    for event in events:
        kind_and_channel = _message_activity(store, event)
        properties = event["event_properties"] or {}
        if kind_and_channel is not None:
            kind, channel = kind_and_channel
            source = _message_source(store, properties, channel)
            if source is not None and source.kind == source_kind:
                yield _activity(event, kind, source, segments=_number(properties.get("Segment Count")))
        if event["metric_id"] == conversion_metric_id:
            sources = _attributed_messages(store, event)
            for source in sources[:1] if store.conversions == "first" else sources:
                if source.kind == source_kind:
                    yield _activity(event, "conversions", source, value=_number(properties.get("$value")))


def form_activities(store: Store, events: Iterator[Row]) -> Iterator[Activity]:
    """Activities about forms, whose events name the form in their properties."""
    for event in events:
        kind = _FORMS.get(_metric_name(store, event))
        properties = event["event_properties"] or {}
        if kind is not None and isinstance(properties.get("form_id"), str):
            version = properties.get("form_version_id")
            attributes = {
                "form_id": properties["form_id"],
                "form_version_id": None if version is None else str(version),
            }
            yield _activity(event, kind, ActivitySource("form", attributes))


def attributed_dimensions(store: Store, event: Row) -> Mapping[str, str]:
    """The first message that an event is attributed to, as dimensions of an aggregate; empty without one."""
    source = next(iter(_attributed_messages(store, event)), None)
    if source is None:
        return {}
    attributes = source.attributes
    flow_id = attributes.get("flow_id")
    dimensions = {
        "$attributed_channel": attributes["send_channel"],
        "$attributed_message": attributes["flow_message_id"] if flow_id else attributes.get("campaign_id"),
        "$attributed_flow": flow_id,
        "$attributed_variation": attributes["variation"],
    }
    return {name: value for name, value in dimensions.items() if value}


def _activity(event: Row, kind: str, source: ActivitySource, value: float = 0.0, segments: float = 0.0) -> Activity:
    when = datetime.fromisoformat(event["datetime"])
    return Activity(kind, event["profile_id"], when, source, value, segments)


def _metric_name(store: Store, event: Row) -> str:
    metric = store.metrics.get(event["metric_id"])
    return "" if metric is None else str(metric["name"])


def _message_activity(store: Store, event: Row) -> tuple[str, str] | None:
    """The kind of activity and the channel of an event about a message that Klaviyo sent."""
    metric = store.metrics.get(event["metric_id"])
    if metric is None or metric["integration"]["key"] != "klaviyo":
        return None
    return _MESSAGES.get(metric["name"])


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _message_source(store: Store, properties: Mapping[str, Any], channel: str) -> ActivitySource | None:
    """The message that the properties of an event name."""
    message_id, flow_id = (_text(properties.get(name)) for name in ("$message", "$flow"))
    if message_id is None:
        return None
    variation_id = _text(properties.get("$variation"))
    text_format = properties.get("Message Format") if channel == SMS else None
    groups = tuple(dict.fromkeys(properties.get("$group_ids") or ()))
    if flow_id is not None:
        return _flow_source(store, flow_id, message_id, variation_id, channel, text_format, groups)
    # Events of a campaign's messages name the campaign as their message.
    return _campaign_source(store, message_id, variation_id, channel, text_format, groups)


def _attributed_messages(store: Store, event: Row) -> list[ActivitySource]:
    """The messages that an event is attributed to, each once."""
    attribution = (event["event_properties"] or {}).get("$attribution")
    # A legacy attribution is among the event's own properties.
    if isinstance(attribution, dict) and isinstance(attribution.get("$message"), str):
        channel = _CHANNELS.get(attribution.get("$attributed_channel", ""), EMAIL)
        source = _message_source(store, {**attribution, "Message Format": None}, channel)
        return [] if source is None else [source]
    sources: dict[tuple[str | None, ...], ActivitySource] = {}
    for row in store.attributions.get(event["id"], ()):
        message_event = store.events.get(row["attributed-event"][1])
        kind_and_channel = None if message_event is None else _message_activity(store, message_event)
        properties = (message_event or {}).get("event_properties") or {}
        source = _message_source(store, properties, kind_and_channel[1]) if kind_and_channel else None
        if source is not None:
            message_ids = (
                source.attributes.get("flow_message_id"),
                source.attributes.get("campaign_message_id"),
            )
            sources.setdefault(message_ids, source)
    return list(sources.values())


def _campaign_source(
    store: Store,
    campaign_id: str,
    variation_id: str | None,
    channel: str,
    text_format: str | None,
    groups: tuple[str, ...],
) -> ActivitySource:
    campaign = store.campaigns.get(campaign_id)
    message_ids = campaign["message_ids"] if campaign else ()
    # Of a test, which message it was is told by the variation.
    message = store.campaign_messages.get(variation_id) if variation_id and variation_id in message_ids else None
    message_id = message["id"] if message else next(iter(message_ids), campaign_id)
    attributes = {
        "campaign_id": campaign_id,
        "campaign_message_id": message_id,
        "campaign_message_name": campaign["name"] if campaign else None,
        "send_channel": channel,
        "text_message_format": text_format,
        "variation": variation_id,
        "variation_name": message["definition"].get("label") if message else None,
    }
    return ActivitySource("campaign", attributes, groups)


def _flow_source(
    store: Store,
    flow_id: str,
    message_id: str,
    variation_id: str | None,
    channel: str,
    text_format: str | None,
    groups: tuple[str, ...],
) -> ActivitySource:
    flow, message = store.flows.get(flow_id), store.flow_messages.get(message_id)
    variation_message = store.flow_messages.get(variation_id) if variation_id else None
    attributes = {
        "flow_id": flow_id,
        "flow_name": flow["name"] if flow else None,
        "flow_message_id": message_id,
        "flow_message_name": message["name"] if message else None,
        "send_channel": channel,
        "text_message_format": text_format,
        "variation": variation_id,
        "variation_name": variation_message["name"] if variation_message else None,
    }
    return ActivitySource("flow", attributes, groups)


def groupings(store: Store, source: ActivitySource, group_by: Sequence[str]) -> Iterator[dict[str, str | None]]:
    """The groupings that an activity counts in: one for each tag and group of its source, where these are grouped by.

    A grouping is a value for each name of ``group_by``.
    """
    for tag in _tags(store, source) if {"tag_id", "tag_name"} & set(group_by) else ({},):
        for group in _groups(store, source) if {"group", "group_name"} & set(group_by) else ({},):
            values: dict[str, str | None] = {**source.attributes, **tag, **group}
            yield {name: values.get(name) for name in group_by}


def values_of(store: Store, source: ActivitySource, name: str) -> list[str | None]:
    """The values that a source has of an attribute."""
    if name in ("tag_id", "tag_name"):
        return [tag[name] for tag in _tags(store, source)]
    return [source.attributes.get(name)]


def _tags(store: Store, source: ActivitySource) -> Sequence[dict[str, str | None]]:
    owners = store.flows if source.kind == "flow" else store.campaigns
    owner = owners.get(source.attributes.get(f"{source.kind}_id") or "")
    rows = [store.tags.get(tag_id) for tag_id in (owner or {}).get("tag_ids", ())]
    return [{"tag_id": row["id"], "tag_name": row["name"]} for row in rows if row] or [
        {"tag_id": None, "tag_name": None}
    ]


def _groups(store: Store, source: ActivitySource) -> Sequence[dict[str, str | None]]:
    groups: list[dict[str, str | None]] = []
    for group_id in source.groups:
        row = store.lists.get(group_id) or store.segments.get(group_id)
        groups.append({"group": group_id, "group_name": row["name"] if row else None})
    return groups or [{"group": None, "group_name": None}]
