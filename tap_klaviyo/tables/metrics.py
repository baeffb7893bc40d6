"""Tables of metrics' properties, of custom and mapped metrics, and of what starts flows."""

from __future__ import annotations

from functools import partial
from typing import Any

from tap_klaviyo.model import Collection, Root, Table, each

CUSTOM_METRICS = Collection("custom_metrics", "get_custom_metrics", "custom-metric")
MAPPED_METRICS = Collection("mapped_metrics", "get_mapped_metrics", "mapped-metric")
METRIC_PROPERTIES = Collection("metric_properties", "get_properties_for_metric", "metric-property", parent="metrics")
# What starts a flow -> the collection of the flows that each metric, list or segment starts.
FLOW_TRIGGERS = {
    "metric": Collection("metric_flow_triggers", "get_flows_triggered_by_metric", "flow", parent="metrics"),
    "list": Collection("list_flow_triggers", "get_flows_triggered_by_list", "flow", parent="lists"),
    "segment": Collection("segment_flow_triggers", "get_flows_triggered_by_segment", "flow", parent="segments"),
}


def _trigger(kind: str, row_id: Any) -> dict[str, Any]:
    return {"type": kind, "id": row_id}


TABLES = (
    Table(
        "metric_properties",
        METRIC_PROPERTIES,
        key=("metric_property_id",),
        deletion_note="Klaviyo drops properties that no event has had for long; such a row stays.",
    ),
    Table(
        "custom_metrics",
        CUSTOM_METRICS,
        key=("custom_metric_id",),
        deletion_note="A deleted custom metric stays as it was last read.",
    ),
    Table(
        "custom_metric_metrics",
        CUSTOM_METRICS,
        key=("custom_metric_id", "metric_id"),
        roots=(each("metric", "/relationships/metrics/data"),),
        deletion_note="A metric that is no longer part of it stays.",
    ),
    Table(
        "mapped_metrics",
        MAPPED_METRICS,
        key=("mapped_metric_id",),
        deletion_note="There are always the same seven.",
    ),
    *(
        Table(
            "flow_triggers",
            collection,
            key=("flow_id", "trigger_type", "trigger_id"),
            roots=(Root("trigger", ("parent#/id",), partial(_trigger, kind)),),
            deletion_note="A trigger that was changed stays.",
        )
        for kind, collection in FLOW_TRIGGERS.items()
    ),
)
