"""Resources about metrics: their properties, custom metrics made of them, and mapped metrics."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from klaviyo_sandbox.account.ids import ulid
from klaviyo_sandbox.account.relations import referenced_by, references
from klaviyo_sandbox.account.resources.read_operation import ReadOperation, all_rows, related_rows
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.times import with_microseconds
from klaviyo_sandbox.account.store import Relation, Store
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.times import format_datetime

READS: Mapping[str, ReadOperation] = {
    "get_custom_metrics": ReadOperation("custom-metric", all_rows("custom-metric")),
    "get_custom_metric": ReadOperation("custom-metric"),
    "get_metrics_for_custom_metric": ReadOperation("metric", related_rows("custom-metric", "metrics")),
    "get_mapped_metrics": ReadOperation("mapped-metric", all_rows("mapped-metric")),
    "get_mapped_metric": ReadOperation("mapped-metric"),
    "get_properties_for_metric": ReadOperation("metric-property", related_rows("metric", "metric-properties")),
    "get_flows_triggered_by_metric": ReadOperation("flow", related_rows("metric", "flow-triggers")),
    "get_flows_triggered_by_list": ReadOperation("flow", related_rows("list", "flow-triggers")),
    "get_flows_triggered_by_segment": ReadOperation("flow", related_rows("segment", "flow-triggers")),
}
RELATIONS: Mapping[tuple[str, str], Relation] = {
    ("custom-metric", "metrics"): references("metric", "metric_ids"),
    ("mapped-metric", "metric"): references("metric", "metric_id"),
    ("mapped-metric", "custom-metric"): references("custom-metric", "custom_metric_id"),
    ("metric", "metric-properties"): referenced_by("metric-property", "metric_id"),
    ("metric-property", "metric"): references("metric", "metric_id"),
}
# (label, type, sample values) of the properties that a metric may have.
_PROPERTIES: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
    ("$value", "number", (12.5, 99, 0)),
    ("Item Count", "number", (1, 2, 5)),
    ("Discount Codes", "list", ("SPRING", "WELCOME10")),
    ("Is First Order", "boolean", (True, False)),
    ("Größe", "string", ("S", "M", "L")),
    ("Ordered At", "date", ("2026-01-05T12:00:00+00:00",)),
)
_MAPPED = (
    *("added_to_cart", "cancelled_sales", "ordered_product", "refunded_sales", "revenue", "started_checkout"),
    "viewed_product",
)


def rows(store: Store, rng_for: Callable[[str], random.Random], start: datetime, end: datetime) -> Mapping[str, Table]:
    """Properties of every metric, some custom metrics, and the seven mapped ones, of which two are not mapped."""
    metric_ids = list(store.metrics.rows)
    custom = _custom_metrics(rng_for("custom metrics"), metric_ids, start, end)
    return {
        "metric-property": Table(_properties(rng_for("metric properties"), metric_ids)),
        "custom-metric": Table(custom),
        "mapped-metric": Table(_mapped(rng_for("mapped metrics"), metric_ids, [row["id"] for row in custom], end)),
    }


def _properties(rng: random.Random, metric_ids: list[str]) -> list[Row]:
    return [
        {
            "id": base64.urlsafe_b64encode(f"{metric_id}.{label}".encode()).decode(),
            "metric_id": metric_id,
            "label": label,
            "property": label,
            "inferred_type": kind,
            "sample_values": list(samples),
        }
        for metric_id in metric_ids
        for label, kind, samples in rng.sample(_PROPERTIES, rng.randrange(len(_PROPERTIES)))
    ]


def _custom_metrics(rng: random.Random, metric_ids: list[str], start: datetime, end: datetime) -> list[Row]:
    custom_metrics: list[Row] = []
    for name, method, count in (("Net revenue", "value", 2), ("Any visit", "count", 3), ("Größere Käufe", "count", 1)):
        created = start + timedelta(seconds=rng.randrange(int((end - start).total_seconds())))
        used_ids = rng.sample(metric_ids, min(count, len(metric_ids)))
        groups = [
            _group(metric_id, valued=method == "value", filtered=index == 0) for index, metric_id in enumerate(used_ids)
        ]
        custom_metrics.append(
            {
                "id": ulid(int(created.timestamp() * 1000), rng),
                "name": name,
                "created": format_datetime(created),
                "updated": format_datetime(created + (end - created) * rng.random()),
                "definition": {"aggregation_method": method, "metric_groups": groups},
                "metric_ids": used_ids,
            }
        )
    return custom_metrics


def _group(metric_id: str, *, valued: bool, filtered: bool) -> dict[str, Any]:
    condition = {"type": "numeric", "operator": "greater-than", "value": 10}
    return {
        "metric_id": metric_id,
        "metric_filters": [{"property": "Item Count", "filter": condition}] if filtered else [],
        "value_property": "$value" if valued else None,
    }


def _mapped(rng: random.Random, metric_ids: list[str], custom_ids: list[str], end: datetime) -> list[Row]:
    mapped_metrics: list[Row] = []
    for name in _MAPPED:
        # An account maps to a metric, to a custom metric, or to none of both.
        kind = {"revenue": "custom", "cancelled_sales": "none", "refunded_sales": "none"}.get(name, "metric")
        mapped_metrics.append(
            {
                "id": name,
                "updated": format_datetime(with_microseconds(end - timedelta(seconds=rng.randrange(1, 86_400 * 300)))),
                "metric_id": rng.choice(metric_ids) if kind == "metric" else None,
                "custom_metric_id": rng.choice(custom_ids) if kind == "custom" else None,
            }
        )
    return mapped_metrics
