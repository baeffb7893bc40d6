"""Properties of events: messages, consent, orders, visits, and odd ones of a shop."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.mailings import Mailing

Properties = dict[str, Any]

_PRODUCTS = (("Mug", 14.5), ("Wool Scarf", 39.0), ("Notebook", 8.25), ("Crème Brûlée Set", 62.9), ("Lamp", 118.0))
_CLIENTS = (
    ("Chrome", "Windows 11", "Windows", "Browser"),
    ("Apple Mail", "iOS", "iOS", "Email Client"),
    ("Firefox", "Ubuntu", "Linux", "Browser"),
)
# What Klaviyo writes where there is no flow or no message: nothing at all, or a blank.
_BLANKS = ("", " ")
_NO_FLOW_SHARE, _NO_MESSAGE_SHARE = 0.06, 0.25


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
        properties["Message Name"] = mailing.name
    else:
        properties["Campaign Name"] = mailing.name
        if context.rng.random() < _NO_FLOW_SHARE:
            properties["$flow"] = context.rng.choice(_BLANKS)
    if mailing.variation_id is not None:
        properties["$variation"] = mailing.variation_id
        properties["$_cohort$variation_send_cohort"] = f"{sent}:{mailing.variation_id}"
    return properties


def _perhaps_of_no_message(context: EventContext, properties: Properties) -> Properties:
    """The properties, for some with a blank where they name the message, as where somebody wrote to the shop."""
    if context.rng.random() < _NO_MESSAGE_SHARE:
        return {**properties, "$message": context.rng.choice(_BLANKS)}
    return properties


def email(context: EventContext) -> Properties:
    address = context.profile["email"] or "nobody@example.com"
    return {
        "Subject": context.mailing.subject,
        "Email Domain": address.partition("@")[2],
        "Inbox Provider": context.rng.choice(("Gmail", "Yahoo", "Outlook", "Other")),
        "$ESP": context.rng.choice((0, 1, 8)),
        **_message(context),
    }


def opened_email(context: EventContext) -> Properties:
    client, system, family, kind = context.rng.choice(_CLIENTS)
    return {
        **email(context),
        "Client Name": client,
        "Client Canonical": client.lower(),
        "Client OS": system,
        "Client OS Family": family,
        "Client Type": kind,
        "machine_open": context.rng.random() < 0.3,
    }


def clicked_email(context: EventContext) -> Properties:
    return {**opened_email(context), "URL": f"https://www.example.com/?utm_id={context.mailing.message_id}"}


def bounced_email(context: EventContext) -> Properties:
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
    return {
        **_perhaps_of_no_message(context, email(context)),
        "Bounce Type": kind,
        "$klaviyo_bounce_category": "Invalid Address" if kind == "Hard" else "Mailbox Full",
        "$extra": {"$bounce_delivery_info": delivery},
    }


def complaint(context: EventContext) -> Properties:
    return _perhaps_of_no_message(context, email(context))


def list_change(context: EventContext) -> Properties:
    return {
        "List": context.rng.choice(("Newsletter", "VIP Customers", "Café Regulars")),
        "$event_id": f"list:{context.timestamp}",
        "Method": context.rng.choice(("Form", "API", "Manual")),
        "$extra": {"IP Address": f"192.0.2.{context.rng.randrange(1, 255)}", "customer_merge": "merged"},
    }


def unsubscribed(context: EventContext) -> Properties:
    return {**_perhaps_of_no_message(context, email(context)), "Method": "Email link"}


def text_message(context: EventContext) -> Properties:
    return {
        "From Number": "+14155550199",
        "From Phone Region": "US",
        "To Number": context.profile["phone_number"],
        "To Phone Region": "US",
        "Message Body": "20% off today. Reply STOP to opt out 🎉",
        "Message Format": "SMS",
        "Content Type": "text/plain",
        "Message Type": "Campaign" if context.mailing.flow_id is None else "Flow",
        "Segment Count": context.rng.randrange(1, 4),
        **_message(context),
        "$internal": {"send_timestamp": context.timestamp, "vendor": "example-sms"},
        "$extra": {
            "Message ID": f"SM{context.timestamp}",
            "Message Body": "20% off today. Reply STOP to opt out 🎉",
            "$metadata": {"recipient_variation_id": context.mailing.variation_id or context.mailing.message_id},
            "From City": "Boston",
            "From State": "MA",
            "From Country": "US",
        },
    }


def failed_text_message(context: EventContext) -> Properties:
    return {
        **text_message(context),
        "Failure Source": "carrier",
        "Failure Type": context.rng.choice(("Unreachable", "Blocked")),
        "Carrier Delivery Status": "undelivered",
        "Vendor Error Code": context.rng.choice(("30003", "30005")),
    }


def text_reply(context: EventContext) -> Properties:
    """What somebody wrote back."""
    return {
        "From Number": context.profile["phone_number"],
        "From Phone Region": "US",
        "To Number": "+14155550199",
        "To Phone Region": "US",
        "Message Body": context.rng.choice(("STOP", "START", "Größe M?")),
        "Message Format": "SMS",
    }


def text_subscription(context: EventContext) -> Properties:
    return {
        "To Number": context.profile["phone_number"],
        "To Phone Region": "US",
        "Method": context.rng.choice(("Form", "Keyword")),
    }


def foreign_message(context: EventContext) -> Properties:
    """Of a message that another service sent, with ids that are not Klaviyo's."""
    number = context.rng.randrange(1000)
    return {"Subject": f"Invoice {number}", "provider": "example-mail", "external_message_id": f"ext-{number}"}


def _item(context: EventContext) -> Properties:
    name, price = context.rng.choice(_PRODUCTS)
    number = context.rng.randrange(1000, 9999)
    return {"ProductID": str(number), "SKU": f"SKU-{number}", "ProductName": name, "ItemPrice": price}


def order(context: EventContext) -> Properties:
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


def ordered_product(context: EventContext) -> Properties:
    item = _item(context)
    return {
        **item,
        "Quantity": 1,
        "$event_id": f"item-{context.timestamp}",
        "$value": item["ItemPrice"],
        "$value_currency": "USD",
    }


def refund(context: EventContext) -> Properties:
    return {**order(context), "Reason": context.rng.choice(("Damaged", "Changed mind"))}


def viewed_product(context: EventContext) -> Properties:
    item = _item(context)
    # Senders of events may write the same property as a text here and as a number there.
    item["ProductID"] = int(item["ProductID"])
    return {**item, "URL": "https://www.example.com/products/1", "Categories": ["Home", "Küche"]}


def active_on_site(context: EventContext) -> Properties:
    # In Klaviyo, an event may have no properties at all: that is an object without members, never null.
    if context.rng.random() < 0.1:
        return {}
    return {"Browser": "Chrome", "OS": "Windows", "page": "https://www.example.com/", "$is_session_activity": True}


def quiz(context: EventContext) -> Properties:
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


def hardly_any_properties(context: EventContext) -> Properties:
    return {} if context.rng.random() < 0.5 else {"Note": ""}


def opened_push(context: EventContext) -> Properties:
    return {"Title": context.mailing.name, "Message Format": "Push", "OS": "iOS", **_message(context)}
