"""Metrics, and the properties of their events: messages, consent, orders, visits, and odd ones of a shop."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.mailings import EMAIL, PUSH, SMS, Mailing

Properties = dict[str, Any]

_KLAVIYO = ("Klaviyo", "Internal")
_SHOP = ("Shopify", "eCommerce")
_API = ("API", "API")

_PRODUCTS = (("Mug", 14.5), ("Wool Scarf", 39.0), ("Notebook", 8.25), ("Crème Brûlée Set", 62.9), ("Lamp", 118.0))
_CLIENTS = (
    ("Chrome", "Windows 11", "Windows", "Browser"),
    ("Apple Mail", "iOS", "iOS", "Email Client"),
    ("Firefox", "Ubuntu", "Linux", "Browser"),
)


@dataclass(frozen=True)
class EventContext:
    """What an event is drawn from: its profile, its time (epoch seconds), and the mailing that it is about, if any."""

    rng: random.Random
    profile: Row
    timestamp: int
    sent: Mailing | None

    @property
    def mailing(self) -> Mailing:
        if self.sent is None:
            raise ValueError("this event is about no message")
        return self.sent


@dataclass(frozen=True)
class MetricKind:
    """A metric: how often its events happen, and which properties they have.

    Attributes:
        weight: how many of its events there are, as a share of the sum of all weights.
        channel: of the messages that the events are about; None when they are about none.
        is_touch: may conversions be attributed to such an event?
        is_conversion: may such an event be attributed to touches?
    """

    name: str
    integration: tuple[str, str]
    weight: int
    properties: Callable[[EventContext], Properties | None]
    channel: str | None = None
    is_touch: bool = False
    is_conversion: bool = False


def metric_kinds() -> Sequence[MetricKind]:
    """All metrics, always in the same order."""
    return _METRIC_KINDS


def _message(context: EventContext) -> Properties:
    mailing = context.mailing
    # For a campaign, Klaviyo puts the campaign's id here.
    message_id = mailing.campaign_id or mailing.message_id
    sent = max(mailing.start, context.timestamp - context.rng.randrange(3600))
    properties: Properties = {
        "$event_id": f"{message_id}:{context.timestamp}",
        "$message": message_id,
        "$_cohort$message_send_cohort": f"{sent}:{message_id}",
        "$message_interaction": message_id,
    }
    if mailing.group_ids is not None:
        properties["$group_ids"] = list(mailing.group_ids)
    if mailing.flow_id is not None:
        properties["$flow"] = mailing.flow_id
        properties["$variation"] = mailing.variation_id
        properties["$_cohort$variation_send_cohort"] = f"{sent}:{mailing.variation_id}"
        properties["Message Name"] = mailing.name
    else:
        properties["Campaign Name"] = mailing.name
    return properties


def _email(context: EventContext) -> Properties:
    address = context.profile["email"] or "nobody@example.com"
    return {
        "Subject": context.mailing.subject,
        "Email Domain": address.partition("@")[2],
        "Inbox Provider": context.rng.choice(("Gmail", "Yahoo", "Outlook", "Other")),
        "$ESP": context.rng.choice((0, 1, 8)),
        **_message(context),
    }


def _opened_email(context: EventContext) -> Properties:
    client, system, family, kind = context.rng.choice(_CLIENTS)
    return {
        **_email(context),
        "Client Name": client,
        "Client Canonical": client.lower(),
        "Client OS": system,
        "Client OS Family": family,
        "Client Type": kind,
        "machine_open": context.rng.random() < 0.3,
    }


def _clicked_email(context: EventContext) -> Properties:
    return {**_opened_email(context), "URL": f"https://www.example.com/?utm_id={context.mailing.message_id}"}


def _bounced_email(context: EventContext) -> Properties:
    kind = context.rng.choice(("Hard", "Soft"))
    delivery = {
        "action_id": context.rng.randrange(100),
        "add_exclusion": kind == "Hard",
        "code": context.rng.choice(("550", 550, "4.2.2")),
        "ip": "192.0.2.25",
        "is_autoresponder": False,
        "reason": "550 5.1.1 No such user",
        "type": kind.lower(),
    }
    return {**_email(context), "Bounce Type": kind, "$extra": {"$bounce_delivery_info": delivery}}


def _list_change(context: EventContext) -> Properties:
    return {
        "List": context.rng.choice(("Newsletter", "VIP Customers", "Café Regulars")),
        "$event_id": f"list:{context.timestamp}",
        "Method": context.rng.choice(("Form", "API", "Manual")),
    }


def _unsubscribed(context: EventContext) -> Properties:
    return {**_email(context), "Method": "Email link"}


def _text_message(context: EventContext) -> Properties:
    return {
        "From Number": "+14155550199",
        "From Phone Region": "US",
        "To Number": context.profile["phone_number"],
        "To Phone Region": "US",
        "Message Body": "20% off today. Reply STOP to opt out 🎉",
        "Message Format": "SMS",
        "Message Type": "Campaign" if context.mailing.flow_id is None else "Flow",
        "Segment Count": context.rng.randrange(1, 4),
        **_message(context),
        "$internal": {"send_timestamp": context.timestamp, "vendor": "example-sms"},
        "$extra": {
            "Message ID": f"SM{context.timestamp}",
            "From City": "Boston",
            "From State": "MA",
            "From Country": "US",
        },
    }


def _failed_text_message(context: EventContext) -> Properties:
    return {
        **_text_message(context),
        "Failure Source": "carrier",
        "Failure Type": context.rng.choice(("Unreachable", "Blocked")),
        "Carrier Delivery Status": "undelivered",
        "Vendor Error Code": context.rng.choice(("30003", "30005")),
    }


def _item(context: EventContext) -> Properties:
    name, price = context.rng.choice(_PRODUCTS)
    number = context.rng.randrange(1000, 9999)
    return {"ProductID": str(number), "SKU": f"SKU-{number}", "ProductName": name, "ItemPrice": price}


def _order(context: EventContext) -> Properties:
    items = [{**_item(context), "Quantity": context.rng.randrange(1, 4)} for _ in range(context.rng.randrange(1, 4))]
    return {
        "$event_id": f"order-{context.timestamp}-{context.rng.randrange(1000)}",
        "$value": round(sum(item["ItemPrice"] * item["Quantity"] for item in items), 2),
        "$value_currency": context.rng.choice(("USD", "EUR", "JPY")),
        "Items": items,
        "Item Count": len(items),
        "Discount Code": context.rng.choice((None, "SPRING20")),
        "Collections": context.rng.sample(["Home", "Gifts", "Sale"], 2),
    }


def _ordered_product(context: EventContext) -> Properties:
    item = _item(context)
    return {
        **item,
        "Quantity": 1,
        "$event_id": f"item-{context.timestamp}",
        "$value": item["ItemPrice"],
        "$value_currency": "USD",
    }


def _refund(context: EventContext) -> Properties:
    return {**_order(context), "Reason": context.rng.choice(("Damaged", "Changed mind"))}


def _viewed_product(context: EventContext) -> Properties:
    item = _item(context)
    # Senders of events may write the same property as a text here and as a number there.
    item["ProductID"] = int(item["ProductID"])
    return {**item, "URL": "https://www.example.com/products/1", "Categories": ["Home", "Küche"]}


def _active_on_site(context: EventContext) -> Properties | None:
    # In Klaviyo, an event may have no properties at all.
    if context.rng.random() < 0.1:
        return None
    return {"Browser": "Chrome", "OS": "Windows", "page": "https://www.example.com/", "$is_session_activity": True}


def _quiz(context: EventContext) -> Properties:
    return {
        "answers": [
            {"q": "größe?", "a": ["M", {"alt": None}]},
            {"q": "色", "a": context.rng.choice((3, 2.5, True, "青"))},
        ],
        "score.total": context.rng.randrange(100),
        "meta": {"deep": {"deeper": {"deepest": [1, [2, [3]]]}}},
        "empty": {},
        "a/b~c": "slash and tilde",
    }


def _no_properties(context: EventContext) -> Properties | None:
    return None if context.rng.random() < 0.5 else {}


def _opened_push(context: EventContext) -> Properties:
    return {"Title": context.mailing.name, "Message Format": "Push", "OS": "iOS", **_message(context)}


_METRIC_KINDS = (
    MetricKind("Received Email", _KLAVIYO, 30, _email, EMAIL, is_touch=True),
    MetricKind("Opened Email", _KLAVIYO, 16, _opened_email, EMAIL, is_touch=True),
    MetricKind("Clicked Email", _KLAVIYO, 6, _clicked_email, EMAIL, is_touch=True),
    MetricKind("Bounced Email", _KLAVIYO, 2, _bounced_email, EMAIL),
    MetricKind("Marked Email as Spam", _KLAVIYO, 1, _email, EMAIL),
    MetricKind("Unsubscribed from Email Marketing", _KLAVIYO, 1, _unsubscribed, EMAIL),
    MetricKind("Subscribed to Email Marketing", _KLAVIYO, 3, _list_change),
    MetricKind("Subscribed to List", _KLAVIYO, 3, _list_change),
    MetricKind("Received Text Message", _KLAVIYO, 4, _text_message, SMS, is_touch=True),
    MetricKind("Received SMS", _KLAVIYO, 2, _text_message, SMS, is_touch=True),
    MetricKind("Clicked Text Message", _KLAVIYO, 1, _text_message, SMS, is_touch=True),
    MetricKind("Unsubscribed from SMS Marketing", _KLAVIYO, 1, _text_message, SMS),
    MetricKind("Failed to deliver SMS", _KLAVIYO, 1, _failed_text_message, SMS),
    MetricKind("Placed Order", _SHOP, 8, _order, is_conversion=True),
    MetricKind("Ordered Product", _SHOP, 8, _ordered_product, is_conversion=True),
    MetricKind("Refunded Order", _SHOP, 1, _refund),
    MetricKind("Checkout Started", _SHOP, 4, _order),
    MetricKind("Viewed Product", _API, 8, _viewed_product),
    MetricKind("Active on Site", _API, 8, _active_on_site),
    MetricKind("Umfrage: Größe & Farbe?", _API, 1, _quiz),
    MetricKind("ping", _API, 1, _no_properties),
    MetricKind("Clicked SMS", _KLAVIYO, 1, _text_message, SMS, is_touch=True),
    MetricKind("Opened Push", _KLAVIYO, 1, _opened_push, PUSH, is_touch=True),
)
