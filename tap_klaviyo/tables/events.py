"""Tables of events, of their metrics, and of the groups that events and the messages behind them belong to."""

from __future__ import annotations

from tap_klaviyo.model import Collection, Listed, Lookup, PathEquals, Root, Table, each
from tap_klaviyo.tables import attribution
from tap_klaviyo.tables.table_functions import distinct_texts, resources_by_id, with_positions

METRICS = Collection("metrics", "get_metrics", "metric")
_METRIC = Lookup(
    "listed metric",
    "get_metric",
    owner_kind="metric",
    owner_path="/relationships/metric/data/id",
    match_path="/relationships/metric/data/id",
    extract=resources_by_id,
    query={"fields[metric]": "name,integration"},
)
EVENTS = Collection(
    "events",
    "get_events",
    "event",
    bookmark="datetime",
    linked=frozenset(("metric", "profile")),
    listed=(Listed("metric", METRICS.name, _METRIC),),
)

_PROPERTIES = "/attributes/event_properties"
# What target-klaviyo writes into every event that it records; a test holds both to the same words.
PUSHED_BY_TARGET = PathEquals(f"{_PROPERTIES}/pushed_by", "target-klaviyo")
_ATTRIBUTIONS = ("included:attributions#", f"{_PROPERTIES}/$attribution")
_MESSAGE_EVENT = Lookup(
    "sent",
    "get_event",
    owner_kind="attributed event",
    owner_path="attribution#/look_up",
    match_path="attribution#/look_up",
    extract=attribution.message_events,
    query={"include": "metric", "fields[event]": "event_properties", "fields[metric]": "name"},
    own_page_paths=attribution.MESSAGE_PATHS,
    own_value=attribution.message_event,
    linked=frozenset(("metric",)),
)
EVENT_DELETION_NOTE = "Klaviyo's events do not change; those of a deleted profile, flow or campaign stay."
# Of tables that name the profile.
PERSONS_EVENT_NOTE = f"{EVENT_DELETION_NOTE} Those of a merged profile keep its id."

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
            Root("attribution", _ATTRIBUTIONS, attribution.first_attribution),
            _MESSAGE_EVENT,
            Root("origin", ("attribution#", "sent#"), attribution.message_origin),
        ),
        deletion_note=PERSONS_EVENT_NOTE,
    ),
    Table(
        "event_group_ids",
        EVENTS,
        key=("event_id", "group_id"),
        bookmark="event_datetime",
        roots=(each("group", f"{_PROPERTIES}/$group_ids", make=lambda values: with_positions(distinct_texts(values))),),
        deletion_note=EVENT_DELETION_NOTE,
    ),
    Table(
        "event_attributions",
        EVENTS,
        key=("event_id", "attribution_id"),
        bookmark="event_datetime",
        roots=(each("attribution", *_ATTRIBUTIONS, "/id", make=attribution.attribution_rows),),
        deletion_note=f"{EVENT_DELETION_NOTE} An attribution that Klaviyo takes back stays.",
    ),
    Table(
        "event_attribution_group_ids",
        EVENTS,
        key=("event_id", "group_id"),
        bookmark="event_datetime",
        roots=(
            each("attribution", *_ATTRIBUTIONS, make=attribution.all_attributions),
            _MESSAGE_EVENT,
            Root("origin", ("attribution#", "sent#"), attribution.message_origin),
            each("group", "origin#/group_ids", make=distinct_texts),
        ),
        deletion_note=EVENT_DELETION_NOTE,
    ),
)
