"""What people did, and the kinds of it."""

from __future__ import annotations

from tap_klaviyo.model import Collection, Table

METRICS = Collection("metrics", "get_metrics", "metric")
EVENTS = Collection("events", "get_events", "event", bookmark="datetime")

TABLES = (
    Table("metrics", METRICS, key=("metric_id",)),
    Table("events", EVENTS, key=("id",), bookmark="event_datetime"),
)
