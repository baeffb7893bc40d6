"""The V1 tables of events: one for each kind of thing that becomes of a message, and one for all else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tap_klaviyo.model import Table, each
from tap_klaviyo.reading.event_metrics import folded
from tap_klaviyo.tables.events import EVENTS, KEPT

_OTHERS = "events"
# As the V1 specification routes them, under the names that Klaviyo has used since; ``folded`` knows both of SMS.
_ROUTES = {
    "sends": ("Received Email",),
    "bounces": ("Bounced Email",),
    "opens": ("Opened Email",),
    "clicks": ("Clicked Email", "Clicked SMS"),
    "spams": ("Marked Email as Spam",),
    "unsubscribes": ("Unsubscribed", "Unsubscribed from List", "Unsubscribed from Email Marketing"),
}
_DESTINATIONS = {folded(name): table for table, names in _ROUTES.items() for name in names}


def destination(metric: Any) -> str:
    """The table, without ``esp_``, that has the events of a metric of this name."""
    return _DESTINATIONS.get(folded(metric), _OTHERS) if isinstance(metric, str) else _OTHERS


def _taken_by(table: str) -> Callable[[Any, Any], list[Any]]:
    return lambda event, metric: [event] if destination(metric) == table else []


TABLES = tuple(
    Table(
        f"esp_{name}",
        EVENTS,
        key=("id",),
        bookmark="event_at",
        # The id is never null: an event without a metric is asked about, too.
        roots=(each("event", "/id", "included:metric#/attributes/name", make=_taken_by(name)),),
        deletion_note=KEPT,
    )
    for name in (*_ROUTES, _OTHERS)
)
