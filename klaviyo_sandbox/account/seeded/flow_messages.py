"""What flows say, in the shape of each channel."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from klaviyo_sandbox.account.ids import short_id

Message = dict[str, Any]

# Action -> the channel of its messages, as flow messages name it.
CHANNELS: Mapping[str, str] = {
    "send-email": "Email",
    "send-sms": "SMS",
    "send-mobile-push": "Push",
    "send-whatsapp": "WhatsApp",
    "send-webhook": "Webhook",
    "send-internal-alert": "Internal Alert",
}
_PARAMETERS = ({"param": "utm_source", "value": "sandbox"}, {"param": "utm_medium", "value": "größe"})


@dataclass(frozen=True)
class Making:
    """What the actions of a flow are made from."""

    rng: random.Random
    flow_name: str
    status: str
    template_ids: Sequence[str]
    list_ids: Sequence[str]


def message(making: Making, kind: str, number: int) -> Message:
    """A new message of an action of this kind, the ``number``-th of its flow."""
    return {**_MAKERS[kind](making, number), "name": f"{making.flow_name} #{number}", "id": short_id(making.rng)}


def messages_of(definition: Mapping[str, Any]) -> Iterator[tuple[str, Message]]:
    """(kind of action, message) of all that an action's definition says, experiments included."""
    data = definition.get("data") or {}
    if "message" in data:
        yield definition["type"], data["message"]
    if "main_action" in data:
        yield from messages_of(data["main_action"])
        for variation in data["current_experiment"]["variations"]:
            yield from messages_of(variation)


def _tracking(making: Making) -> dict[str, Any]:
    adds = making.rng.random() < 0.6
    return {"add_tracking_params": adds, "custom_tracking_params": list(_PARAMETERS) if adds else None}


def _email(making: Making, number: int) -> Message:
    rng = making.rng
    return {
        "from_email": "hello@example.com",
        "from_label": "Sandbox Store",
        "reply_to_email": rng.choice((None, "replies@example.com")),
        "cc_email": rng.choice((None, None, "cc@example.org")),
        "bcc_email": None,
        "subject_line": f"{making.flow_name}: {number}. Brief an {{{{ first_name }}}}",
        "preview_text": rng.choice((None, "", "Schön, dass du da bist")),
        "template_id": rng.choice(making.template_ids),
        "smart_sending_enabled": rng.random() < 0.7,
        "transactional": rng.random() < 0.1,
        **_tracking(making),
        "additional_filters": None,
    }


def _sms(making: Making, number: int) -> Message:
    flags = ("shorten_links", "include_contact_card", "add_org_prefix", "add_info_link", "add_opt_out_language")
    return {
        "body": f"{making.flow_name}, {number}: https://www.example.com/f 👋",
        "image_id": None,
        **{flag: making.rng.random() < 0.5 for flag in flags},
        "smart_sending_enabled": True,
        "sms_quiet_hours_enabled": True,
        "transactional": False,
        **_tracking(making),
        "additional_filters": None,
    }


def _push(making: Making, _number: int) -> Message:
    return {
        "title": making.flow_name,
        "body": "Dein Warenkorb wartet",
        "sound": True,
        "badge": making.rng.random() < 0.5,
        "on_open": "home",
        "push_type": "standard",
        "kv_pairs": making.rng.choice((None, {"screen": "cart"})),
        "smart_sending_enabled": True,
        "additional_filters": None,
    }


def _whatsapp(making: Making, _number: int) -> Message:
    return {
        "vendor_id": str(making.rng.randrange(10**8, 10**9)),
        "smart_sending_enabled": True,
        "transactional": making.rng.random() < 0.5,
        "add_tracking_params": False,
        "additional_filters": None,
    }


def _webhook(_making: Making, number: int) -> Message:
    return {
        "url": f"https://hooks.example.com/{number}",
        "headers": {"X-Sandbox": "1"},
        "body": '{"email": "{{ person.email }}"}',
    }


def _alert(making: Making, _number: int) -> Message:
    return {
        "from_email": "hello@example.com",
        "from_label": "Sandbox Store",
        "to_emails": ["team@example.com", "büro@example.org"],
        "subject_line": f"{making.flow_name} was entered",
        "template_id": making.rng.choice(making.template_ids),
    }


_MAKERS: Mapping[str, Callable[[Making, int], Message]] = {
    "send-email": _email,
    "send-sms": _sms,
    "send-mobile-push": _push,
    "send-whatsapp": _whatsapp,
    "send-webhook": _webhook,
    "send-internal-alert": _alert,
}
