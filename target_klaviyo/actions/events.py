"""Events: what people did. One record, one event; its `unique_id` makes sending it twice the same as once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from typing import Any

from klaviyo_client.api.json_text import LOST_TEXT
from klaviyo_client.api.metric_names import normalize_name
from target_klaviyo.actions.person_fields import lift_person
from target_klaviyo.actions.profiles import PATCHES
from target_klaviyo.actions.profiles import resource as profile_resource
from target_klaviyo.delivery.action import Action
from target_klaviyo.delivery.batches import encode_json
from target_klaviyo.endpoints import events
from target_klaviyo.model.identifiers import IDENTIFIERS, VISITOR_IDENTIFIERS
from target_klaviyo.model.pointers import to_pointer
from target_klaviyo.model.records import Context, OutcomeKind, Record, RejectedRecord
from target_klaviyo.model.times import to_event_time

# The marks by which the tap knows events that came from here: its setting exclude_pushed_events leaves them out.
SOURCE, SOURCE_VALUE = "pushed_by", "target-klaviyo"

# Klaviyo's limits for events: the specification's descriptions of create_event and bulk_create_events have the first
# three, its guide "Events API overview" the other two.
MAX_METRIC, MAX_PROPERTIES, MAX_STRING = 127, 400, 100_000
MAX_ELEMENTS, MAX_DEPTH = 4_000, 10

_IDENTIFIERS = (*IDENTIFIERS, *VISITOR_IDENTIFIERS)
_TAP_COLUMNS = frozenset(("metric_data_id", "profile_data_id", "event_properties"))
# What Klaviyo itself records about its messages, by normalized names: sending it again would make people open mails
# twice.
_KLAVIYO_METRIC = re.compile(
    r"(received|opened|clicked|bounced|dropped|failed to deliver|marked|skipped|sent|replied to|consented to receive|"
    r"unsubscribed|subscribed|updated|relayed)\b.*"
    r"\b(email|emails|sms|push|push notification|whatsapp|list|marketing|transactional|spam|preferences)\b"
    r"|unsubscribed|merged profile"
)

OPTIONS: dict[str, dict[str, Any]] = {
    "backfill": {
        "type": "boolean",
        "default": False,
        "description": "Record history: Klaviyo takes the events and starts no flows for them.",
    },
    "klaviyo_metrics": {
        "type": "string",
        "enum": ["send", "skip"],
        "default": "send",
        "description": "Whether events of Klaviyo's own metrics (opens, clicks, sends) are sent or left out.",
    },
}


def resource(fields: Record, context: Context) -> dict[str, Any]:
    """{"profile": who, "events": [what they did]}: an item of a request before items are grouped by profile."""
    return {"profile": profile(fields), "events": [event(fields, context)]}


def profile(fields: Record) -> dict[str, Any]:
    """Whose event it is, as Klaviyo's JSON:API resource."""
    beside = {name: fields[name] for name in (*_IDENTIFIERS, *PATCHES) if name in fields}
    return profile_resource({**fields.get("profile", {}), **beside})


def event(fields: Record, context: Context) -> dict[str, Any]:
    """The event's attributes.

    Raises:
        RejectedRecord: Klaviyo would not take it.
    """
    metric = str(fields["metric"]).strip()
    if context.options.get("klaviyo_metrics") == "skip" and _KLAVIYO_METRIC.fullmatch(normalize_name(metric)):
        raise RejectedRecord(
            "klaviyo_metric", "events of Klaviyo's own metrics are left out", kind=OutcomeKind.LEFT_OUT
        )
    properties = dict(fields.get("properties") or {})
    check_limits(metric, properties)
    attributes: dict[str, Any] = {"metric": {"data": {"type": "metric", "attributes": {"name": metric}}}}
    if "time" in fields:
        attributes["time"] = to_event_time(fields["time"], context.now)
    attributes |= {name: fields[name] for name in ("value", "value_currency") if name in fields}
    attributes["unique_id"] = fields.get("unique_id") or derived_id(fields, attributes, properties, context.lost_text)
    if fields.get("backfill", context.options.get("backfill", False)):
        attributes["backfill"] = True
    # The mark is ours: where all of Klaviyo's room is taken, the event goes without it.
    mark = {SOURCE: SOURCE_VALUE} if SOURCE in properties or len(properties) < MAX_PROPERTIES else {}
    attributes["properties"] = {**properties, **mark}
    return attributes


def derived_id(
    fields: Record, attributes: Mapping[str, Any], properties: Mapping[str, Any], lost_text: str = ""
) -> str:
    """The same text for the same event of the same person, whenever it is sent.

    ``lost_text``, of the whole record, tells two events from each other that differ in what cannot be sent.
    """
    identifiers = [[name, str(fields[name]).lower()] for name in _IDENTIFIERS if name in fields]
    metric = attributes["metric"]["data"]["attributes"]["name"]
    others = [attributes.get(name) for name in ("time", "value", "value_currency")]
    content = encode_json({"": [identifiers, metric, *others, _sorted(properties)]})
    if LOST_TEXT.encode() in content:
        content += lost_text.encode()
    return hashlib.sha256(content).hexdigest()[:32]


def check_limits(metric: str, properties: Mapping[str, Any]) -> None:
    """Reject an event that Klaviyo would not take.

    Raises:
        RejectedRecord: naming the limit.
    """
    if not 0 < len(metric) <= MAX_METRIC:
        raise RejectedRecord("limit", f"metric must have 1 to {MAX_METRIC} characters", pointer="/metric")
    if len(properties) > MAX_PROPERTIES:
        raise RejectedRecord("limit", f"an event has at most {MAX_PROPERTIES} properties")
    for name, value in properties.items():
        if (fault := _fault_of(value, 2)) is not None:
            raise RejectedRecord("limit", fault, pointer=to_pointer(("properties", name)))


def _fault_of(value: Any, depth: int) -> str | None:
    """Which of Klaviyo's limits a value of an event is beyond, in words."""
    if isinstance(value, str):
        is_too_long = len(value) > MAX_STRING // 4 and len(value.encode()) > MAX_STRING
        return f"a text in properties is longer than {MAX_STRING:,} bytes" if is_too_long else None
    if not isinstance(value, Mapping | list):
        return None
    if depth > MAX_DEPTH:
        return f"properties are nested deeper than {MAX_DEPTH} levels"
    if isinstance(value, list) and len(value) > MAX_ELEMENTS:
        return f"an array in properties has more than {MAX_ELEMENTS:,} elements"
    entries = value.values() if isinstance(value, Mapping) else value
    return next(filter(None, (_fault_of(entry, depth + 1) for entry in entries)), None)


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(entry) for entry in value] if isinstance(value, list) else value


def column_defaults(columns: Collection[str]) -> Mapping[str, Any]:
    """The options for a stream that the tap wrote: a copy of an account, which must not start flows."""
    # A database such as Snowflake has them in capitals.
    if not any(_TAP_COLUMNS.issubset(map(write, columns)) for write in (str, str.lower)):
        return {}
    return {"backfill": True, "klaviyo_metrics": "skip", "unknown_columns": "drop"}


TRACK_EVENT = Action(
    name="track_event",
    summary="Record what people did; those who do not exist are created.",
    streams=("events",),
    operation=events.BULK,
    other_operations=events.CALLS,
    resource=resource,
    deliver=events.deliver,
    profile_of=events.profile_of,
    arrange=lift_person,
    options=OPTIONS,
    column_defaults=column_defaults,
    self_copy_guard=("events", "get_metric", "metric_data_id"),
)
