"""The V1 tables of events: one for each kind of event about a message (sends, opens ...), and one for all others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from klaviyo_client.api.metric_names import is_klaviyos, normalize_name
from tap_klaviyo.model import Gap, Resource, Root, Table, each
from tap_klaviyo.rows.values import bookmark_text, id_text
from tap_klaviyo.tables.attribution import cohort_epoch
from tap_klaviyo.tables.events import EVENTS, PERSONS_EVENT_NOTE

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


def event_message_row(message: Any, flow: Any, message_name: Any, campaign_name: Any, subject: Any) -> dict[str, Any]:
    """What an event says of its message, in the names of ``esp.flow_message_row``."""
    names = (name for name in (message_name, campaign_name) if id_text(name) is not None)
    return {
        "id": id_text(message),
        "name": next(names, None),
        "automation_id": flow,
        "subject": None if subject == "" else subject,
    }


def message_sent(event: Resource) -> str | None:
    """When the event's message was sent, by its cohort."""
    properties = (event.get("attributes") or {}).get("event_properties")
    epoch = cohort_epoch(properties.get(_COHORT)) if isinstance(properties, dict) else None
    try:
        return None if epoch is None else bookmark_text(datetime.fromtimestamp(epoch, UTC))
    except (OverflowError, ValueError):
        return None


_PROPERTIES = "/attributes/event_properties"
_COHORT = "$_cohort$message_send_cohort"

TABLES = tuple(
    Table(
        f"esp_{name}",
        EVENTS,
        key=("id",),
        bookmark="event_at",
        # The id is never null, so the function is also called for an event without a metric.
        roots=(each("event", "/id", *_METRIC, make=_if_routed_to(name)),),
        deletion_note=PERSONS_EVENT_NOTE,
    )
    for name in (*_ROUTES, _OTHERS)
)
# Messages that Klaviyo deleted, with their flow or campaign: events are all that is left of them.
GAP_TABLES = (
    Table(
        "esp_campaigns",
        EVENTS,
        key=("id",),
        roots=(
            Root(
                "row",
                tuple(
                    f"{_PROPERTIES}/{name}"
                    for name in ("$message", "$flow", "Message Name", "Campaign Name", "Subject")
                ),
                event_message_row,
            ),
            Root("updated_at", ("row#/updated_at",)),
        ),
        gap=Gap(f"{_PROPERTIES}/$message", message_sent),
    ),
)
