"""Messages of campaigns, in the form of each channel."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from klaviyo_sandbox.account.ids import ulid
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.spec.times import format_datetime

_ON_OPEN = (
    {"type": "open_app"},
    {"type": "deep_link", "ios_deep_link": "sandbox://cart", "android_deep_link": None},
    {"type": "open_web_url", "web_url": "https://www.example.com/app"},
)
_BADGES = (
    None,
    {"display": False},
    {"display": True, "badge_options": {"badge_config": "increment_one"}},
    {"display": True, "badge_options": {"badge_config": "set_count", "value": "3"}},
    {"display": True, "badge_options": {"badge_config": "set_property", "set_from_property": "Points Balance"}},
)


@dataclass(frozen=True)
class CampaignContext:
    """What the messages of a campaign depend on."""

    campaign_id: str
    name: str
    channel: str
    is_draft: bool
    is_local: bool
    created: datetime
    updated: datetime
    send: datetime


def messages(rng: random.Random, campaign: CampaignContext, count: int, template_ids: Sequence[str]) -> list[Row]:
    """The messages of one campaign: several when the campaign is an A/B test."""
    return [_message(rng, campaign, number, template_ids) for number in range(count)]


def _message(rng: random.Random, campaign: CampaignContext, number: int, template_ids: Sequence[str]) -> Row:
    # A draft may not have a template yet.
    has_template = campaign.channel == "email" and not (campaign.is_draft and rng.random() < 0.5)
    return {
        "id": ulid(int(campaign.created.timestamp() * 1000) + number, rng),
        "campaign_id": campaign.campaign_id,
        "template_id": rng.choice(template_ids) if has_template else None,
        "definition": _DEFINITIONS[campaign.channel](rng, campaign, number),
        "send_times": _send_times(rng, campaign),
        "created_at": format_datetime(campaign.created),
        "updated_at": format_datetime(campaign.updated),
    }


def _send_times(rng: random.Random, campaign: CampaignContext) -> list[dict[str, Any]]:
    if campaign.is_draft:
        return []
    times = [campaign.send, campaign.send + timedelta(hours=rng.randrange(1, 24))][: rng.choice((1, 1, 2))]
    return [{"datetime": format_datetime(when), "is_local": campaign.is_local} for when in times]


def _email(rng: random.Random, campaign: CampaignContext, number: int) -> dict[str, Any]:
    content = {
        "subject": None
        if campaign.is_draft and rng.random() < 0.3
        else f"{campaign.name} — just for you #{number + 1}",
        "preview_text": rng.choice((None, "", "Nur noch heute: größte Auswahl")),
        "from_email": "hello@example.com",
        "from_label": "Sandbox Store",
        "reply_to_email": rng.choice((None, "replies@example.com")),
        "cc_email": rng.choice((None, None, "cc@example.org")),
        "bcc_email": rng.choice((None, None, "archive@example.net")),
    }
    return {"channel": "email", "label": rng.choice((None, f"Email #{number + 1}")), "content": content}


def _sms(rng: random.Random, campaign: CampaignContext, _number: int) -> dict[str, Any]:
    media = rng.choice((None, None, "https://www.example.com/mms.png"))
    flags = ("shorten_links", "add_org_prefix", "add_info_link", "add_opt_out_language")
    return {
        "channel": "sms",
        "content": {"body": f"{campaign.name}: https://www.example.com/s 🎉", "media_url": media},
        "render_options": {flag: rng.random() < 0.7 for flag in flags},
    }


def _push(rng: random.Random, campaign: CampaignContext, _number: int) -> dict[str, Any]:
    pairs = rng.choice((None, {"screen": "cart"}))
    if "silent" in campaign.name:
        return {"channel": "mobile_push", "notification_type": "silent", "kv_pairs": {"refresh": "yes"}}
    buttons = [{"label": "Shop", "action_type": "open_url", "position": 0, "url": "https://www.example.com/"}]
    return {
        "channel": "mobile_push",
        "notification_type": "standard",
        "content": {
            "title": campaign.name,
            "body": "Schau vorbei!",
            "dynamic_image": None,
            "action_buttons": rng.choice((None, buttons)),
        },
        "kv_pairs": pairs,
        "options": {"on_open": rng.choice(_ON_OPEN), "badge": rng.choice(_BADGES), "play_sound": rng.random() < 0.5},
    }


_DEFINITIONS = {"email": _email, "sms": _sms, "mobile_push": _push}
