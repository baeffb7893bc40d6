"""Properties of metrics, custom and mapped metrics, and the triggers of flows."""

from __future__ import annotations

from collections.abc import Iterable

from support.second_path import Key, Witness


def _properties(account: Witness) -> Iterable[Key]:
    return [
        (row["id"],)
        for metric in account.rows("metrics")
        for row in account.rows(f"metrics/{metric['id']}/metric-properties")
    ]


def _metrics_of_custom_metrics(account: Witness) -> Iterable[Key]:
    return [
        (custom["id"], row["id"])
        for custom in account.rows("custom-metrics")
        for row in account.rows(f"custom-metrics/{custom['id']}/metrics")
    ]


def _triggers(account: Witness) -> Iterable[Key]:
    """The definitions of the flows say it, which the tap does not read."""
    for flow in account.flows():
        row = account.one(f"flows/{flow['id']}", additional_fields__flow="definition")
        for trigger in row["attributes"]["definition"]["triggers"]:
            if trigger["type"] in ("metric", "list", "segment"):
                yield flow["id"], trigger["type"], trigger["id"]


TRUTHS = {
    "metric_properties": (("metric_property_id",), _properties),
    "custom_metrics": (("custom_metric_id",), lambda account: [(row["id"],) for row in account.rows("custom-metrics")]),
    "custom_metric_metrics": (("custom_metric_id", "metric_id"), _metrics_of_custom_metrics),
    "mapped_metrics": (("mapped_metric_id",), lambda account: [(row["id"],) for row in account.rows("mapped-metrics")]),
    "flow_triggers": (("flow_id", "trigger_type", "trigger_id"), _triggers),
}
