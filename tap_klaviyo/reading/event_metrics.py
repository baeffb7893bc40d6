"""Resolves the setting ``event_metrics``: names, ids and presets become the ids of metrics. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from klaviyo_client.api import filters
from klaviyo_client.api.metric_names import is_klaviyos, normalize_name
from tap_klaviyo.model import Resource
from tap_klaviyo.rows.paths import Source

COLLECTION = "metrics"
# The collection that the setting filters, and what it needs of each metric.
FILTERED = "events"
NEEDS = tuple(Source("own", None, ("attributes", name)) for name in ("name", "integration"))

# What the extractor of the V2 specification read, under the names that Klaviyo has used for it, and its like of text
# messages. Names with "SMS" stand for those with "Text Message", "Text Messaging" or "Text", too.
PRESETS: Mapping[str, tuple[str, ...]] = {
    "engagement": (
        *("Received Email", "Bounced Email", "Opened Email", "Clicked Email", "Marked Email as Spam"),
        *("Unsubscribed", "Unsubscribed from Email Marketing", "Subscribed to List", "Subscribed to Email Marketing"),
        *("Received SMS", "Opened SMS", "Clicked SMS", "Failed to Deliver SMS"),
        *("Subscribed to SMS Marketing", "Unsubscribed from SMS Marketing"),
        *("Subscribed to SMS Transactional", "Unsubscribed from SMS Transactional"),
    ),
}
# How many ids stand in one filter. Long lists make long addresses, for which Klaviyo names no limit.
MAX_IDS = 100


def resolve(wanted: Iterable[str], metrics: Sequence[Resource]) -> tuple[list[str], list[str]]:
    """(ids, entries that match no metric), the ids in the account's order.

    Args:
        wanted: names, in any case; ids; or names of presets, which take metrics of Klaviyo's own integration only.
        metrics: the account's, with name and integration.
    """
    resolved: set[str] = set()
    unknown = []
    for entry in wanted:
        ids = set(_matching(entry, metrics))
        resolved |= ids
        if not ids:
            unknown.append(entry)
    return [metric["id"] for metric in metrics if metric["id"] in resolved], unknown


def presets_without_metric(wanted: Iterable[str], metrics: Sequence[Resource]) -> dict[str, list[str]]:
    """The presets among the wanted -> those of their names that no metric of the account answers to, if any."""
    known = {_name(metric) for metric in metrics if _is_klaviyos(metric)}
    lacking = {entry: [name for name in _preset(entry) if normalize_name(name) not in known] for entry in wanted}
    return {entry: names for entry, names in lacking.items() if names}


def conditions(ids: Sequence[str]) -> list[tuple[str, ...]]:
    """The filter conditions for events of these metrics, one set for each request that it takes."""
    return [
        (filters.condition("equals", "metric_id", list(ids[start : start + MAX_IDS])),)
        for start in range(0, len(ids), MAX_IDS)
    ]


def _preset(entry: str) -> tuple[str, ...]:
    return PRESETS.get(entry.strip().casefold(), ())


def _matching(entry: str, metrics: Sequence[Resource]) -> Iterator[str]:
    """The ids of the metrics that an entry names."""
    preset = _preset(entry)
    names = {normalize_name(name) for name in preset or (entry,)}
    for metric in metrics:
        if preset and not _is_klaviyos(metric):
            continue
        if metric["id"] == entry or _name(metric) in names:
            yield metric["id"]


def _name(metric: Resource) -> str:
    return normalize_name(str((metric.get("attributes") or {}).get("name") or ""))


def _is_klaviyos(metric: Resource) -> bool:
    return is_klaviyos((metric.get("attributes") or {}).get("integration"))
