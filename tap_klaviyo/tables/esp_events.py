"""The V1 tables of events: one for each kind of event about a message (sends, opens ...), and one for all others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from klaviyo_client.api.metric_names import normalize_name
from tap_klaviyo.model import Table, each
from tap_klaviyo.tables.events import EVENT_DELETION_NOTE, EVENTS

_OTHERS = "events"
# As the V1 specification routes them, under Klaviyo's names since then; ``normalize_name`` knows both of SMS.
_ROUTES = {
    "sends": ("Received Email",),
    "bounces": ("Bounced Email",),
    "opens": ("Opened Email",),
    "clicks": ("Clicked Email", "Clicked SMS"),
    "spams": ("Marked Email as Spam",),
    "unsubscribes": ("Unsubscribed", "Unsubscribed from List", "Unsubscribed from Email Marketing"),
}
_DESTINATIONS = {normalize_name(name): table for table, names in _ROUTES.items() for name in names}


def destination(metric: Any) -> str:
    """The table, without ``esp_``, that has the events of a metric of this name."""
    return _DESTINATIONS.get(normalize_name(metric), _OTHERS) if isinstance(metric, str) else _OTHERS


def _if_routed_to(table: str) -> Callable[[Any, Any], list[Any]]:
    return lambda event, metric: [event] if destination(metric) == table else []


TABLES = tuple(
    Table(
        f"esp_{name}",
        EVENTS,
        key=("id",),
        bookmark="event_at",
        # The id is never null, so the function is also called for an event without a metric.
        roots=(each("event", "/id", "included:metric#/attributes/name", make=_if_routed_to(name)),),
        deletion_note=EVENT_DELETION_NOTE,
    )
    for name in (*_ROUTES, _OTHERS)
)
