"""What an event adds to a report: what was done, by whom, worth what, and about which message or form.

Which metrics count as what, and how a rate is made of two numbers, is written down nowhere: here a message that was
received is delivered, recipients are those and the ones that bounced or failed, and a conversion counts where it is
attributed to the message, once, on its own day.
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

# Looking through more takes many seconds, and holds up everybody else.
MOST_EVENTS = 500_000
EMAIL, SMS, PUSH = "email", "sms", "push-notification"
_CHANNELS = {"email": EMAIL, "sms": SMS, "push": PUSH}
# Metric -> what it counts as, and the channel.
_MESSAGES = {
    "Received Email": ("delivered", EMAIL),
    "Opened Email": ("opens", EMAIL),
    "Clicked Email": ("clicks", EMAIL),
    "Bounced Email": ("bounced", EMAIL),
    "Marked Email as Spam": ("spam_complaints", EMAIL),
    "Unsubscribed from Email Marketing": ("unsubscribes", EMAIL),
    "Received SMS": ("delivered", SMS),
    "Received Text Message": ("delivered", SMS),
    "Clicked SMS": ("clicks", SMS),
    "Clicked Text Message": ("clicks", SMS),
    "Failed to deliver SMS": ("failed", SMS),
    "Unsubscribed from SMS Marketing": ("unsubscribes", SMS),
    "Opened Push": ("opens", PUSH),
}
_FORMS = {
    "Viewed Form": "viewed_form",
    "Closed Form": "closed_form",
    "Qualified Form": "qualified_form",
    "Submitted Form": "submits",
    "Viewed Form Step": "viewed_form_step",
    "Submitted Form Step": "submitted_form_step",
}


@dataclass(frozen=True)
class Source:
    """What a deed is about: attribute -> value, and the groups that its message went to."""

    kind: str
    said: Mapping[str, str | None]
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Deed:
    """One thing that somebody did."""

    what: str
    who: str
    when: datetime
    source: Source
    value: float = 0.0
    segments: float = 0.0


def events_between(store: Store, start: datetime, stop: datetime) -> Iterator[Row]:
    """The events from one point in time on and before another, in their order.

    Raises:
        Refusal: 400, they are too many to look through.
    """
    keys = store.events.sorted_keys("datetime")
    places = range(
        bisect.bisect_left(keys, (format_datetime(start),)), bisect.bisect_left(keys, (format_datetime(stop),))
    )
    if len(places) > MOST_EVENTS:
        detail = f"The sandbox does not look through {len(places)} events for a report; {MOST_EVENTS} are the most."
        raise Refusal([invalid(detail, "/data/attributes/timeframe")])
    return store.events.rows_at("datetime", places)


def of_messages(store: Store, events: Iterator[Row], kind: str, conversion_metric_id: str) -> Iterator[Deed]:
    """What was done about messages of campaigns or flows (``kind``), conversions included."""
    for event in events:
        known = _MESSAGES.get(_metric_name(store, event))
        properties = event["event_properties"] or {}
        if known is not None:
            what, channel = known
            source = _source(store, properties, channel)
            if source is not None and source.kind == kind:
                yield _deed(event, what, source, segments=_number(properties.get("Segment Count")))
        if event["metric_id"] == conversion_metric_id:
            for source in _owed_to(store, event):
                if source.kind == kind:
                    yield _deed(event, "conversions", source, value=_number(properties.get("$value")))


def of_forms(store: Store, events: Iterator[Row]) -> Iterator[Deed]:
    """What was done about forms, by the properties that their events name them in."""
    for event in events:
        what = _FORMS.get(_metric_name(store, event))
        properties = event["event_properties"] or {}
        if what is not None and isinstance(properties.get("form_id"), str):
            version = properties.get("form_version_id")
            said = {"form_id": properties["form_id"], "form_version_id": None if version is None else str(version)}
            yield _deed(event, what, Source("form", said))


def owed_to(store: Store, event: Row) -> Mapping[str, str]:
    """The first message that an event is attributed to, as dimensions of an aggregate; empty without one."""
    source = next(iter(_owed_to(store, event)), None)
    if source is None:
        return {}
    flow = source.said.get("flow_id")
    said = {
        "$attributed_channel": source.said["send_channel"],
        "$attributed_message": source.said["flow_message_id"] if flow else source.said.get("campaign_id"),
        "$attributed_flow": flow,
        "$attributed_variation": source.said["variation"],
    }
    return {name: value for name, value in said.items() if value}


def _deed(event: Row, what: str, source: Source, value: float = 0.0, segments: float = 0.0) -> Deed:
    return Deed(what, event["profile_id"], datetime.fromisoformat(event["datetime"]), source, value, segments)


def _metric_name(store: Store, event: Row) -> str:
    metric = store.metrics.get(event["metric_id"])
    return "" if metric is None else str(metric["name"])


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def _source(store: Store, properties: Mapping[str, Any], channel: str) -> Source | None:
    """The message that an event's own properties name."""
    said = properties.get("$message")
    if not isinstance(said, str):
        return None
    text_format = properties.get("Message Format") if channel == SMS else None
    groups = tuple(dict.fromkeys(properties.get("$group_ids") or ()))
    flow_id = properties.get("$flow")
    if isinstance(flow_id, str):
        return _of_flow(store, flow_id, said, properties.get("$variation"), channel, text_format, groups)
    return _of_campaign(store, said, None, channel, text_format, groups)


def _owed_to(store: Store, event: Row) -> list[Source]:
    """The messages that an event is attributed to, each once."""
    legacy = (event["event_properties"] or {}).get("$attribution")
    if isinstance(legacy, dict) and isinstance(legacy.get("$message"), str):
        channel = _CHANNELS.get(legacy.get("$attributed_channel", ""), EMAIL)
        found = _source(store, {**legacy, "Message Format": None}, channel)
        return [] if found is None else [found]
    made: dict[tuple[str | None, ...], Source] = {}
    for row in store.attributions.get(event["id"], ()):
        touch = store.events.get(row["attributed-event"][1])
        known = None if touch is None else _MESSAGES.get(_metric_name(store, touch))
        properties = (touch or {}).get("event_properties") or {}
        found = _source(store, properties, known[1]) if known else None
        if found is not None:
            made.setdefault((found.said.get("flow_message_id"), found.said.get("campaign_message_id")), found)
    return list(made.values())


def _of_campaign(
    store: Store,
    campaign_id: str,
    variation: str | None,
    channel: str,
    text_format: str | None,
    groups: tuple[str, ...],
) -> Source:
    # Events name the campaign; of several messages, nobody can tell which one it was.
    row = store.campaigns.get(campaign_id)
    message_id = row["message_ids"][0] if row and row["message_ids"] else campaign_id
    said = {
        "campaign_id": campaign_id,
        "campaign_message_id": message_id,
        "campaign_message_name": row["name"] if row else None,
        "send_channel": channel,
        "text_message_format": text_format,
        "variation": variation,
        "variation_name": None,
    }
    return Source("campaign", said, groups)


def _of_flow(
    store: Store,
    flow_id: str,
    message_id: str,
    variation: Any,
    channel: str,
    text_format: str | None,
    groups: tuple[str, ...],
) -> Source:
    flow, message = store.flows.get(flow_id), store.flow_messages.get(message_id)
    variation_id = variation if isinstance(variation, str) else None
    varied = store.flow_messages.get(variation_id) if variation_id else None
    said = {
        "flow_id": flow_id,
        "flow_name": flow["name"] if flow else None,
        "flow_message_id": message_id,
        "flow_message_name": message["name"] if message else None,
        "send_channel": channel,
        "text_message_format": text_format,
        "variation": variation_id,
        "variation_name": varied["name"] if varied else None,
    }
    return Source("flow", said, groups)


def groupings(store: Store, source: Source, wanted: Sequence[str]) -> Iterator[dict[str, str | None]]:
    """Each grouping that a deed counts in: one for every tag and group of the source, where these are wanted."""
    for tag in _tags(store, source) if {"tag_id", "tag_name"} & set(wanted) else ({},):
        for group in _groups(store, source) if {"group", "group_name"} & set(wanted) else ({},):
            whole: dict[str, str | None] = {**source.said, **tag, **group}
            yield {name: whole.get(name) for name in wanted}


def values_of(store: Store, source: Source, name: str) -> list[str | None]:
    """The values that a source has of an attribute."""
    if name in ("tag_id", "tag_name"):
        return [tag[name] for tag in _tags(store, source)]
    return [source.said.get(name)]


def _tags(store: Store, source: Source) -> Sequence[dict[str, str | None]]:
    owners = store.flows if source.kind == "flow" else store.campaigns
    owner = owners.get(source.said.get(f"{source.kind}_id") or "")
    rows = [store.tags.get(tag_id) for tag_id in (owner or {}).get("tag_ids", ())]
    return [{"tag_id": row["id"], "tag_name": row["name"]} for row in rows if row] or [
        {"tag_id": None, "tag_name": None}
    ]


def _groups(store: Store, source: Source) -> Sequence[dict[str, str | None]]:
    found: list[dict[str, str | None]] = []
    for group_id in source.groups:
        row = store.lists.get(group_id) or store.segments.get(group_id)
        found.append({"group": group_id, "group_name": row["name"] if row else None})
    return found or [{"group": None, "group_name": None}]
