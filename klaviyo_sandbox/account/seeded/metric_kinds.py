"""The metrics of an account: Klaviyo's own, under old names and new, a shop's, and those pushed by API."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from klaviyo_sandbox.account.seeded import event_properties
from klaviyo_sandbox.account.seeded.event_properties import EventContext, Properties
from klaviyo_sandbox.account.seeded.mailings import EMAIL, PUSH, SMS

_KLAVIYO = ("Klaviyo", "Internal")
_SHOP = ("Shopify", "eCommerce")
_API = ("API", "API")


@dataclass(frozen=True)
class MetricKind:
    """A metric: how often its events happen, and which properties they have.

    Attributes:
        weight: how many of its events there are, as a share of the sum of all weights.
        channel: of the messages that the events are about; None when they are about none.
        touch: the name of the window in which conversions are attributed to such an event; None: they never are.
        is_conversion: may such an event be attributed to touches?
    """

    name: str
    integration: tuple[str, str]
    weight: int
    properties: Callable[[EventContext], Properties]
    channel: str | None = None
    touch: str | None = None
    is_conversion: bool = False


def metric_kinds() -> Sequence[MetricKind]:
    """All metrics, always in the same order."""
    return _METRIC_KINDS


_METRIC_KINDS = (
    MetricKind("Received Email", _KLAVIYO, 30, event_properties.email, EMAIL),
    MetricKind("Opened Email", _KLAVIYO, 16, event_properties.opened_email, EMAIL, touch="email"),
    MetricKind("Clicked Email", _KLAVIYO, 6, event_properties.clicked_email, EMAIL, touch="email"),
    MetricKind("Bounced Email", _KLAVIYO, 2, event_properties.bounced_email, EMAIL),
    MetricKind("Marked Email as Spam", _KLAVIYO, 1, event_properties.complaint, EMAIL),
    MetricKind("Unsubscribed from Email Marketing", _KLAVIYO, 1, event_properties.unsubscribed, EMAIL),
    MetricKind("Subscribed to Email Marketing", _KLAVIYO, 3, event_properties.list_change),
    MetricKind("Subscribed to List", _KLAVIYO, 3, event_properties.list_change),
    MetricKind("Received Text Message", _KLAVIYO, 4, event_properties.text_message, SMS, touch="sms_received"),
    MetricKind("Received SMS", _KLAVIYO, 2, event_properties.text_message, SMS, touch="sms_received"),
    MetricKind("Clicked Text Message", _KLAVIYO, 1, event_properties.text_message, SMS, touch="sms"),
    MetricKind("Unsubscribed from SMS Marketing", _KLAVIYO, 1, event_properties.text_message, SMS),
    MetricKind("Failed to deliver SMS", _KLAVIYO, 1, event_properties.failed_text_message, SMS),
    MetricKind("Placed Order", _SHOP, 8, event_properties.order, is_conversion=True),
    MetricKind("Ordered Product", _SHOP, 8, event_properties.ordered_product, is_conversion=True),
    MetricKind("Refunded Order", _SHOP, 1, event_properties.refund),
    MetricKind("Checkout Started", _SHOP, 4, event_properties.order),
    MetricKind("Viewed Product", _API, 8, event_properties.viewed_product),
    MetricKind("Active on Site", _API, 8, event_properties.active_on_site),
    MetricKind("Umfrage: Größe & Farbe?", _API, 1, event_properties.quiz),
    MetricKind("ping", _API, 1, event_properties.hardly_any_properties),
    MetricKind("Clicked SMS", _KLAVIYO, 1, event_properties.text_message, SMS, touch="sms"),
    MetricKind("Opened Push", _KLAVIYO, 1, event_properties.opened_push, PUSH, touch="push"),
    # Klaviyo renamed SMS to text message and text messaging, and an account may hold metrics of all names.
    MetricKind("Opened Text", _KLAVIYO, 1, event_properties.text_message, SMS, touch="sms"),
    MetricKind("Sent SMS", _KLAVIYO, 1, event_properties.text_reply),
    MetricKind("Sent Text Message", _KLAVIYO, 1, event_properties.text_reply),
    MetricKind("Failed to Deliver Text Message", _KLAVIYO, 1, event_properties.failed_text_message, SMS),
    *(
        MetricKind(f"{change} {renamed}", _KLAVIYO, 1, properties, channel)
        for change, properties, channel in (
            ("Subscribed to", event_properties.text_subscription, None),
            ("Unsubscribed from", event_properties.text_message, SMS),
        )
        for renamed in (
            *("SMS Marketing", "Text Message Marketing", "Text Messaging Marketing"),
            *("SMS Transactional", "Text Messaging Transactional"),
        )
        if (change, renamed) != ("Unsubscribed from", "SMS Marketing")
    ),
    MetricKind("Unsubscribed", _KLAVIYO, 1, event_properties.unsubscribed, EMAIL),
    MetricKind("Unsubscribed from List", _KLAVIYO, 1, event_properties.list_change),
    # Other senders of messages name their metrics as Klaviyo does.
    MetricKind("Received Email", _API, 1, event_properties.foreign_message),
    MetricKind("Opened Email", _API, 1, event_properties.foreign_message),
    MetricKind("Unsubscribed", _API, 1, event_properties.foreign_message),
)
