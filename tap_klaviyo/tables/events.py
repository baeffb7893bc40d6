"""What people did, the kinds of it, and which messages led to it."""

from __future__ import annotations

from tap_klaviyo.model import Collection, Detail, Mark, Root, Table, each
from tap_klaviyo.tables import attribution
from tap_klaviyo.tables.shapes import distinct, numbered

METRICS = Collection("metrics", "get_metrics", "metric")
EVENTS = Collection("events", "get_events", "event", bookmark="datetime")

_PROPERTIES = "/attributes/event_properties"
# What target-klaviyo writes into every event that it records; a test holds both to the same words.
PUSHED = Mark(f"{_PROPERTIES}/pushed_by", "target-klaviyo")
_ATTRIBUTIONS = ("included:attributions#", f"{_PROPERTIES}/$attribution")
_SENT = Detail(
    "sent",
    "get_event",
    owners="attributed event",
    owner="attribution#/look_up",
    match="attribution#/look_up",
    keep=attribution.sent,
    query={"include": "metric", "fields[event]": "event_properties", "fields[metric]": "name"},
    seen=(_PROPERTIES, "included:metric#/attributes/name"),
)
KEPT = "Klaviyo's events do not change; those of a deleted profile, flow or campaign stay."

TABLES = (
    Table(
        "metrics",
        METRICS,
        key=("metric_id",),
        gone="A metric that Klaviyo no longer lists stays as it was last read.",
    ),
    Table(
        "events",
        EVENTS,
        key=("id",),
        bookmark="event_datetime",
        roots=(
            Root("attribution", _ATTRIBUTIONS, attribution.first),
            _SENT,
            Root("origin", ("attribution#", "sent#"), attribution.origin),
        ),
        gone=KEPT,
    ),
    Table(
        "event_group_ids",
        EVENTS,
        key=("event_id", "group_id"),
        bookmark="event_datetime",
        roots=(each("group", f"{_PROPERTIES}/$group_ids", make=lambda values: numbered(distinct(values))),),
        gone=KEPT,
    ),
    Table(
        "event_attribution_group_ids",
        EVENTS,
        key=("event_id", "group_id"),
        bookmark="event_datetime",
        roots=(
            each("attribution", *_ATTRIBUTIONS, make=attribution.every),
            _SENT,
            Root("origin", ("attribution#", "sent#"), attribution.origin),
            each("group", "origin#/group_ids", make=distinct),
        ),
        gone=KEPT,
    ),
)
