"""What people did, the kinds of it, and which messages led to it."""

from __future__ import annotations

from tap_klaviyo.model import Collection, Lookup, PathEquals, Root, Table, each
from tap_klaviyo.tables import attribution
from tap_klaviyo.tables.shapes import distinct, numbered

METRICS = Collection("metrics", "get_metrics", "metric")
EVENTS = Collection("events", "get_events", "event", bookmark="datetime")

_PROPERTIES = "/attributes/event_properties"
# What target-klaviyo writes into every event that it records; a test holds both to the same words.
PUSHED_BY_TARGET = PathEquals(f"{_PROPERTIES}/pushed_by", "target-klaviyo")
_ATTRIBUTIONS = ("included:attributions#", f"{_PROPERTIES}/$attribution")
_SENT = Lookup(
    "sent",
    "get_event",
    owner_kind="attributed event",
    owner_path="attribution#/look_up",
    match_path="attribution#/look_up",
    extract=attribution.sent,
    query={"include": "metric", "fields[event]": "event_properties", "fields[metric]": "name"},
    own_page_paths=(_PROPERTIES, "included:metric#/attributes/name"),
)
KEPT = "Klaviyo's events do not change; those of a deleted profile, flow or campaign stay."

TABLES = (
    Table(
        "metrics",
        METRICS,
        key=("metric_id",),
        deletion_note="A metric that Klaviyo no longer lists stays as it was last read.",
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
        deletion_note=KEPT,
    ),
    Table(
        "event_group_ids",
        EVENTS,
        key=("event_id", "group_id"),
        bookmark="event_datetime",
        roots=(each("group", f"{_PROPERTIES}/$group_ids", make=lambda values: numbered(distinct(values))),),
        deletion_note=KEPT,
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
        deletion_note=KEPT,
    ),
)
