"""Messages of flows, in the form of each channel."""

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
class FlowContext:
    """What the actions and messages of a flow depend on."""

    rng: random.Random
    name: str
    status: str
    template_ids: Sequence[str]
    list_ids: Sequence[str]


def message(flow: FlowContext, kind: str, number: int) -> Message:
    """A new message of an action of this kind, the ``number``-th of its flow."""
    return {**_MESSAGE_BY_KIND[kind](flow, number), "name": f"{flow.name} #{number}", "id": short_id(flow.rng)}


def messages_of(definition: Mapping[str, Any]) -> Iterator[tuple[str, Message]]:
    """(kind of action, message) of all messages in an action's definition, those of experiments included."""
    data = definition.get("data") or {}
    if "message" in data:
        yield definition["type"], data["message"]
    if "main_action" in data:
        yield from messages_of(data["main_action"])
        for variation in data["current_experiment"]["variations"]:
            yield from messages_of(variation)


def content_of(kind: str, message: Message) -> Message | None:
    """A message of an action of this kind in the shape that messages have where they are included."""
    names: Mapping[str, Mapping[str, str]] = {
        "send-email": {
            "subject": "subject_line",
            **{name: name for name in ("from_email", "from_label", "reply_to_email", "cc_email", "bcc_email")},
        },
        "send-sms": {"body": "body"},
        "send-mobile-push": {"title": "title", "body": "body"},
    }
    if kind not in names:
        return None
    preview = {"preview_text": message["preview_text"] or ""} if kind == "send-email" else {}
    return {**preview, **{name: message[source] for name, source in names[kind].items()}}


def _tracking(flow: FlowContext) -> dict[str, Any]:
    adds_parameters = flow.rng.random() < 0.6
    return {
        "add_tracking_params": adds_parameters,
        "custom_tracking_params": list(_PARAMETERS) if adds_parameters else None,
    }


def _email(flow: FlowContext, number: int) -> Message:
    rng = flow.rng
    return {
        "from_email": "hello@example.com",
        "from_label": "Sandbox Store",
        "reply_to_email": rng.choice((None, "replies@example.com")),
        "cc_email": rng.choice((None, None, "cc@example.org")),
        "bcc_email": "archive@example.net" if number == 3 else None,
        "subject_line": f"{flow.name}: {number}. Brief an {{{{ first_name }}}}",
        "preview_text": rng.choice((None, "", "Schön, dass du da bist")),
        "template_id": rng.choice(flow.template_ids),
        "smart_sending_enabled": rng.random() < 0.7,
        "transactional": rng.random() < 0.1,
        **_tracking(flow),
        "additional_filters": None,
    }


def _sms(flow: FlowContext, number: int) -> Message:
    flags = ("shorten_links", "include_contact_card", "add_org_prefix", "add_info_link", "add_opt_out_language")
    return {
        "body": f"{flow.name}, {number}: https://www.example.com/f 👋",
        "image_id": None,
        **{flag: flow.rng.random() < 0.5 for flag in flags},
        "smart_sending_enabled": True,
        "sms_quiet_hours_enabled": True,
        "transactional": False,
        **_tracking(flow),
        "additional_filters": None,
    }


def _push(flow: FlowContext, _number: int) -> Message:
    return {
        "title": flow.name,
        "body": "Dein Warenkorb wartet",
        "sound": True,
        "badge": flow.rng.random() < 0.5,
        "on_open": "home",
        "push_type": "standard",
        "kv_pairs": flow.rng.choice((None, {"screen": "cart"})),
        "smart_sending_enabled": True,
        "additional_filters": None,
    }


def _whatsapp(flow: FlowContext, _number: int) -> Message:
    return {
        "vendor_id": str(flow.rng.randrange(10**8, 10**9)),
        "smart_sending_enabled": True,
        "transactional": flow.rng.random() < 0.5,
        "add_tracking_params": False,
        "additional_filters": None,
    }


def _webhook(_making: FlowContext, number: int) -> Message:
    return {
        "url": f"https://hooks.example.com/{number}",
        "headers": {"X-Sandbox": "1"},
        "body": '{"email": "{{ person.email }}"}',
    }


def _alert(flow: FlowContext, _number: int) -> Message:
    return {
        "from_email": "hello@example.com",
        "from_label": "Sandbox Store",
        "to_emails": ["team@example.com", "büro@example.org"],
        "subject_line": f"{flow.name} was entered",
        "template_id": flow.rng.choice(flow.template_ids),
    }


_MESSAGE_BY_KIND: Mapping[str, Callable[[FlowContext, int], Message]] = {
    "send-email": _email,
    "send-sms": _sms,
    "send-mobile-push": _push,
    "send-whatsapp": _whatsapp,
    "send-webhook": _webhook,
    "send-internal-alert": _alert,
}
