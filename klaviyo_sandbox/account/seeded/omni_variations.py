"""Details of campaign variations, in the form of each channel. Klaviyo's beta documents of July 2026 have them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from klaviyo_sandbox.account.rows import Row

_MAIL_TEXTS = ("from_label", "from_email", "reply_to_email", "cc_email", "bcc_email", "subject", "preview_text")
_TEXT_FLAGS = ("shorten_links", "add_org_prefix", "add_info_link", "add_opt_out_language")
_LINKS = ("ios_deep_link", "android_deep_link", "web_url")


def details_of_july(rng: random.Random, message: Row) -> dict[str, Any]:
    """The details of a message that July shows."""
    definition = message["definition"]
    content = definition.get("content") or {}
    if definition["channel"] == "email":
        return _email(message["template_id"], {name: content.get(name) for name in _MAIL_TEXTS})
    if definition["channel"] == "sms":
        return _text(rng, content["body"], definition["render_options"], has_picture=bool(content["media_url"]))
    return _push(definition, content)


def invented_details(rng: random.Random, channel: str, name: str, template_ids: Sequence[str]) -> dict[str, Any]:
    """The details of a variation that July has in no form."""
    if channel == "email":
        texts = {"from_label": "Sandbox Store", "from_email": "hello@example.com", "subject": f"{name} 🎁"}
        return _email(rng.choice(template_ids), texts)
    if channel == "sms":
        return _text(rng, f"{name}: https://www.example.com/s", dict.fromkeys(_TEXT_FLAGS, True), has_picture=False)
    if channel == "push":
        return _push({"notification_type": "standard", "kv_pairs": {"screen": "home"}}, {"title": name, "body": "Los!"})
    return {
        "channel": "whatsapp",
        "template_id": str(rng.randrange(10**14, 10**15)),
        "shorten_links": rng.random() < 0.5,
    }


def _email(template_id: str | None, texts: Row) -> dict[str, Any]:
    return {
        "channel": "email",
        "template_id": template_id,
        **{name: texts.get(name) or "" for name in _MAIL_TEXTS},
    }


def _text(rng: random.Random, body: str, flags: Row, *, has_picture: bool) -> dict[str, Any]:
    return {
        "channel": "sms",
        "template_id": None,
        "cost": rng.choice((None, 0.0075)),
        "mms_static_image_asset_id": rng.randrange(1, 10**6) if has_picture else None,
        "include_contact_card": False,
        "body": body,
        **{flag: flags[flag] for flag in _TEXT_FLAGS},
        "mms_dynamic_image_template": None,
        "text_message_type": "MMS" if has_picture else "SMS",
        "message_hierarchy": None,
    }


def _push(definition: Row, content: Row) -> dict[str, Any]:
    options = definition.get("options") or {}
    badge, on_open = options.get("badge") or {}, options.get("on_open") or {}
    badge_options = badge.get("badge_options") or {}
    return {
        "channel": "push",
        "title": content.get("title") or "",
        "body": content.get("body") or "",
        "badge": bool(badge.get("display")),
        "badge_config": badge_options.get("badge_config", "increment_one").replace("_", "-"),
        "badge_value": badge_options.get("value", "1"),
        "sound_file_name": "",
        "static_asset_id": None,
        "sound": bool(options.get("play_sound")),
        "open_action": 0,
        "dynamic_media_template": "",
        "kv_pairs": definition.get("kv_pairs"),
        "push_type": definition["notification_type"],
        **{name: on_open.get(name) for name in _LINKS},
        "content_available": None,
        "mutable_content": None,
        "video_asset_id": None,
        "action_buttons": None,
    }
