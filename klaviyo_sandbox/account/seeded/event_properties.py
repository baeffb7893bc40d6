"""What an event says, by its metric: messages, consent, orders, visits, and a shop's own odd ones."""

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
class Scene:
    """What an event is drawn from: whose it is, when (epoch seconds), and what was sent, when it is about that."""

    rng: random.Random
    profile: Row
    at: int
    sent: Mailing | None

    @property
    def mailing(self) -> Mailing:
        if self.sent is None:
            raise ValueError("this event is about no message")
        return self.sent


@dataclass(frozen=True)
class Kind:
    """A metric: how often it happens, and what its events say.

    Attributes:
        channel: of the messages that the events are about, None when they are about none.
        is_touch: may others be owed to such an event?
        is_conversion: may such an event be owed to others?
    """

    name: str
    integration: tuple[str, str]
    weight: int
    properties: Callable[[Scene], Properties | None]
    channel: str | None = None
    is_touch: bool = False
    is_conversion: bool = False


def kinds() -> Sequence[Kind]:
    """All metrics, always in the same order."""
    return _KINDS


def _message(scene: Scene) -> Properties:
    mailing = scene.mailing
    # Klaviyo calls a campaign's own id the message.
    said = mailing.campaign_id or mailing.message_id
    sent = max(mailing.start, scene.at - scene.rng.randrange(3600))
    properties: Properties = {
        "$event_id": f"{said}:{scene.at}",
        "$message": said,
        "$_cohort$message_send_cohort": f"{sent}:{said}",
        "$message_interaction": said,
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


def _email(scene: Scene) -> Properties:
    address = scene.profile["email"] or "nobody@example.com"
    return {
        "Subject": scene.mailing.subject,
        "Email Domain": address.partition("@")[2],
        "Inbox Provider": scene.rng.choice(("Gmail", "Yahoo", "Outlook", "Other")),
        "$ESP": scene.rng.choice((0, 1, 8)),
        **_message(scene),
    }


def _opened_email(scene: Scene) -> Properties:
    client, system, family, kind = scene.rng.choice(_CLIENTS)
    return {
        **_email(scene),
        "Client Name": client,
        "Client Canonical": client.lower(),
        "Client OS": system,
        "Client OS Family": family,
        "Client Type": kind,
        "machine_open": scene.rng.random() < 0.3,
    }


def _clicked_email(scene: Scene) -> Properties:
    return {**_opened_email(scene), "URL": f"https://www.example.com/?utm_id={scene.mailing.message_id}"}


def _bounced_email(scene: Scene) -> Properties:
    kind = scene.rng.choice(("Hard", "Soft"))
    delivery = {
        "action_id": scene.rng.randrange(100),
        "add_exclusion": kind == "Hard",
        "code": scene.rng.choice(("550", 550, "4.2.2")),
        "ip": "192.0.2.25",
        "is_autoresponder": False,
        "reason": "550 5.1.1 No such user",
        "type": kind.lower(),
    }
    return {**_email(scene), "Bounce Type": kind, "$extra": {"$bounce_delivery_info": delivery}}


def _list_change(scene: Scene) -> Properties:
    return {
        "List": scene.rng.choice(("Newsletter", "VIP Customers", "Café Regulars")),
        "$event_id": f"list:{scene.at}",
        "Method": scene.rng.choice(("Form", "API", "Manual")),
    }


def _unsubscribed(scene: Scene) -> Properties:
    return {**_email(scene), "Method": "Email link"}


def _text_message(scene: Scene) -> Properties:
    return {
        "From Number": "+14155550199",
        "From Phone Region": "US",
        "To Number": scene.profile["phone_number"],
        "To Phone Region": "US",
        "Message Body": "20% off today. Reply STOP to opt out 🎉",
        "Message Format": "SMS",
        "Message Type": "Campaign" if scene.mailing.flow_id is None else "Flow",
        "Segment Count": scene.rng.randrange(1, 4),
        **_message(scene),
        "$internal": {"send_timestamp": scene.at, "vendor": "example-sms"},
        "$extra": {"Message ID": f"SM{scene.at}", "From City": "Boston", "From State": "MA", "From Country": "US"},
    }


def _failed_text_message(scene: Scene) -> Properties:
    return {
        **_text_message(scene),
        "Failure Source": "carrier",
        "Failure Type": scene.rng.choice(("Unreachable", "Blocked")),
        "Carrier Delivery Status": "undelivered",
        "Vendor Error Code": scene.rng.choice(("30003", "30005")),
    }


def _item(scene: Scene) -> Properties:
    name, price = scene.rng.choice(_PRODUCTS)
    number = scene.rng.randrange(1000, 9999)
    return {"ProductID": str(number), "SKU": f"SKU-{number}", "ProductName": name, "ItemPrice": price}


def _order(scene: Scene) -> Properties:
    items = [{**_item(scene), "Quantity": scene.rng.randrange(1, 4)} for _ in range(scene.rng.randrange(1, 4))]
    return {
        "$event_id": f"order-{scene.at}-{scene.rng.randrange(1000)}",
        "$value": round(sum(item["ItemPrice"] * item["Quantity"] for item in items), 2),
        "$value_currency": scene.rng.choice(("USD", "EUR", "JPY")),
        "Items": items,
        "Item Count": len(items),
        "Discount Code": scene.rng.choice((None, "SPRING20")),
        "Collections": scene.rng.sample(["Home", "Gifts", "Sale"], 2),
    }


def _ordered_product(scene: Scene) -> Properties:
    item = _item(scene)
    return {
        **item,
        "Quantity": 1,
        "$event_id": f"item-{scene.at}",
        "$value": item["ItemPrice"],
        "$value_currency": "USD",
    }


def _refund(scene: Scene) -> Properties:
    return {**_order(scene), "Reason": scene.rng.choice(("Damaged", "Changed mind"))}


def _viewed_product(scene: Scene) -> Properties:
    item = _item(scene)
    # Whoever sends events may say the same thing as a text here and as a number there.
    item["ProductID"] = int(item["ProductID"])
    return {**item, "URL": "https://www.example.com/products/1", "Categories": ["Home", "Küche"]}


def _active_on_site(scene: Scene) -> Properties | None:
    # Klaviyo may have no properties at all.
    if scene.rng.random() < 0.1:
        return None
    return {"Browser": "Chrome", "OS": "Windows", "page": "https://www.example.com/", "$is_session_activity": True}


def _quiz(scene: Scene) -> Properties:
    return {
        "answers": [
            {"q": "größe?", "a": ["M", {"alt": None}]},
            {"q": "色", "a": scene.rng.choice((3, 2.5, True, "青"))},
        ],
        "score.total": scene.rng.randrange(100),
        "meta": {"deep": {"deeper": {"deepest": [1, [2, [3]]]}}},
        "empty": {},
        "a/b~c": "slash and tilde",
    }


def _nothing(scene: Scene) -> Properties | None:
    return None if scene.rng.random() < 0.5 else {}


def _opened_push(scene: Scene) -> Properties:
    return {"Title": scene.mailing.name, "Message Format": "Push", "OS": "iOS", **_message(scene)}


_KINDS = (
    Kind("Received Email", _KLAVIYO, 30, _email, EMAIL, is_touch=True),
    Kind("Opened Email", _KLAVIYO, 16, _opened_email, EMAIL, is_touch=True),
    Kind("Clicked Email", _KLAVIYO, 6, _clicked_email, EMAIL, is_touch=True),
    Kind("Bounced Email", _KLAVIYO, 2, _bounced_email, EMAIL),
    Kind("Marked Email as Spam", _KLAVIYO, 1, _email, EMAIL),
    Kind("Unsubscribed from Email Marketing", _KLAVIYO, 1, _unsubscribed, EMAIL),
    Kind("Subscribed to Email Marketing", _KLAVIYO, 3, _list_change),
    Kind("Subscribed to List", _KLAVIYO, 3, _list_change),
    Kind("Received Text Message", _KLAVIYO, 4, _text_message, SMS, is_touch=True),
    Kind("Received SMS", _KLAVIYO, 2, _text_message, SMS, is_touch=True),
    Kind("Clicked Text Message", _KLAVIYO, 1, _text_message, SMS, is_touch=True),
    Kind("Unsubscribed from SMS Marketing", _KLAVIYO, 1, _text_message, SMS),
    Kind("Failed to deliver SMS", _KLAVIYO, 1, _failed_text_message, SMS),
    Kind("Placed Order", _SHOP, 8, _order, is_conversion=True),
    Kind("Ordered Product", _SHOP, 8, _ordered_product, is_conversion=True),
    Kind("Refunded Order", _SHOP, 1, _refund),
    Kind("Checkout Started", _SHOP, 4, _order),
    Kind("Viewed Product", _API, 8, _viewed_product),
    Kind("Active on Site", _API, 8, _active_on_site),
    Kind("Umfrage: Größe & Farbe?", _API, 1, _quiz),
    Kind("ping", _API, 1, _nothing),
    Kind("Clicked SMS", _KLAVIYO, 1, _text_message, SMS, is_touch=True),
    Kind("Opened Push", _KLAVIYO, 1, _opened_push, PUSH, is_touch=True),
)
