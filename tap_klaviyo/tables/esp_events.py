"""The V1 tables of events: one for each kind of event about a message (sends, opens ...), and one for all others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from klaviyo_client.api.metric_names import is_klaviyos, normalize_name
from tap_klaviyo.model import Table, each
from tap_klaviyo.tables.events import EVENT_DELETION_NOTE, EVENTS

_OTHERS = "events"
_METRIC = ("included:metric#/attributes/name", "included:metric#/attributes/integration")
# As the V1 specification routes them, under Klaviyo's names since then; ``normalize_name`` knows all of SMS.
_ROUTES = {
    "sends": ("Received Email",),
    "bounces": ("Bounced Email",),
    "opens": ("Opened Email",),
    "clicks": ("Clicked Email", "Clicked SMS"),
    "spams": ("Marked Email as Spam",),
    "unsubscribes": ("Unsubscribed", "Unsubscribed from List", "Unsubscribed from Email Marketing"),
}
_DESTINATIONS = {normalize_name(name): table for table, names in _ROUTES.items() for name in names}


def destination(name: Any, integration: Any = None) -> str:
    """The table, without ``esp_``, that has the events of a metric of this name, which comes from this integration."""
    if not isinstance(name, str) or not is_klaviyos(integration):
        return _OTHERS
    return _DESTINATIONS.get(normalize_name(name), _OTHERS)


def _if_routed_to(table: str) -> Callable[[Any, Any, Any], list[Any]]:
    return lambda event, name, integration: [event] if destination(name, integration) == table else []


TABLES = tuple(
    Table(
        f"esp_{name}",
        EVENTS,
        key=("id",),
        bookmark="event_at",
        # The id is never null, so the function is also called for an event without a metric.
        roots=(each("event", "/id", *_METRIC, make=_if_routed_to(name)),),
        deletion_note=EVENT_DELETION_NOTE,
    )
    for name in (*_ROUTES, _OTHERS)
)
