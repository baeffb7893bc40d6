"""Campaigns of every channel, status and way of sending."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from klaviyo_sandbox.account.ids import ulid
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.campaign_messages import CampaignContext, messages
from klaviyo_sandbox.account.seeded.tags import Tagger
from klaviyo_sandbox.account.seeded.times import random_time
from klaviyo_sandbox.spec.times import format_datetime

_DAY = timedelta(days=1)
_SCHEDULED, _DRAFT = ("Scheduled", "Preparing to schedule"), ("Draft",)
_CANCELLED = ("Cancelled", "Cancelled: No Recipients", "Cancelled: Smart Sending", "Cancelled: Account Disabled")


@dataclass(frozen=True)
class CampaignSpec:
    """What is fixed of a campaign. ``send_method`` is the method of its send strategy, with a word for its options."""

    name: str
    channel: str
    status: str
    send_method: str
    archived: bool = False


@dataclass(frozen=True)
class CampaignTimes:
    """Times of a campaign: created, scheduled (None: never), sent or to be sent, and last updated."""

    created: datetime
    scheduled: datetime | None
    send: datetime
    updated: datetime


_CAMPAIGNS = (
    CampaignSpec("Spring Sale", "email", "Sent", "immediate"),
    CampaignSpec("Welcome Back", "email", "Sent", "static"),
    CampaignSpec("New In: Wool", "email", "Sent", "static local"),
    CampaignSpec("Été & Nouveautés", "email", "Sent", "throttled"),
    CampaignSpec("Last Chance", "email", "Sent", "smart_send_time"),
    CampaignSpec("Members First", "email", "Sent", "ab_test_campaign"),
    CampaignSpec("Winter Edit", "email", "Sent", "ab_test_campaign", archived=True),
    CampaignSpec("We Miss You", "email", "Sent", "static plain", archived=True),
    CampaignSpec("Spring Sale", "email", "Sent", "unsupported"),
    CampaignSpec("Schöne Grüße 🎁", "email", "Variations Sent", "ab_test_campaign"),
    CampaignSpec("Summer Preview", "email", "Scheduled", "static"),
    CampaignSpec("Autumn Preview", "email", "Draft", "static"),
    CampaignSpec("Untitled, again", "email", "Draft", "immediate"),
    CampaignSpec("Draft nobody wants", "email", "Draft", "immediate", archived=True),
    CampaignSpec("Flash Sale", "email", "Cancelled", "immediate"),
    CampaignSpec("Nobody There", "email", "Cancelled: No Recipients", "throttled"),
    CampaignSpec("On Its Way", "email", "Sending", "throttled"),
    CampaignSpec("SMS: 20% off", "sms", "Sent", "immediate"),
    CampaignSpec("SMS: back in stock", "sms", "Sent", "static local"),
    CampaignSpec("SMS: 感謝祭", "sms", "Sent", "throttled"),
    CampaignSpec("SMS: last winter", "sms", "Sent", "static", archived=True),
    CampaignSpec("SMS: two texts", "sms", "Sent", "ab_test_campaign"),
    CampaignSpec("SMS: tomorrow", "sms", "Preparing to schedule", "smart_send_time"),
    CampaignSpec("SMS: idea", "sms", "Draft", "immediate"),
    CampaignSpec("SMS: too often", "sms", "Cancelled: Smart Sending", "immediate", archived=True),
    CampaignSpec("Push: new app", "mobile_push", "Sent", "immediate"),
    CampaignSpec("Push: your cart", "mobile_push", "Sent", "static local"),
    CampaignSpec("Push: old app", "mobile_push", "Sent", "static", archived=True),
    CampaignSpec("Push: silent refresh", "mobile_push", "Scheduled", "static plain"),
    CampaignSpec("Push: idea", "mobile_push", "Draft", "immediate"),
)
_THROTTLES = (1, 2, 5, 10, 11, 13, 14, 17, 20, 25, 33, 50)
_PARAMETERS = (
    {"type": "dynamic", "value": "campaign_name_id", "name": "utm_campaign"},
    {"type": "static", "value": "sandbox", "name": "utm_source"},
)


def campaigns(
    rng: random.Random,
    tagger: Tagger,
    group_ids: Sequence[str],
    template_ids: Sequence[str],
    span: tuple[datetime, datetime],
) -> tuple[list[Row], list[Row]]:
    """Campaigns and their messages; ``group_ids`` are the lists and segments that they may be sent to."""
    rows: list[Row] = []
    message_rows: list[Row] = []
    for spec in _CAMPAIGNS:
        row, messages_of_campaign = _campaign(rng, spec, group_ids, template_ids, _times(rng, spec, *span))
        rows.append({**tagger.with_tags(row), "message_ids": [message["id"] for message in messages_of_campaign]})
        message_rows += messages_of_campaign
    return rows, message_rows


def _times(rng: random.Random, spec: CampaignSpec, start: datetime, end: datetime) -> CampaignTimes:
    latest = end - 20 * _DAY
    # Campaigns that are yet to be sent were created lately.
    created = random_time(rng, latest - 20 * _DAY if spec.status in _SCHEDULED else start, latest, microseconds=True)
    if spec.status in _DRAFT:
        updated = random_time(rng, created, latest, microseconds=True)
        return CampaignTimes(created, None, updated.replace(microsecond=0) + _DAY, updated)
    scheduled = random_time(rng, created, created + 3 * _DAY, microseconds=True)
    send = random_time(rng, scheduled, scheduled + 5 * _DAY).replace(microsecond=0) + timedelta(seconds=1)
    changed = scheduled if spec.status in (*_SCHEDULED, *_CANCELLED) else send
    return CampaignTimes(created, scheduled, send, random_time(rng, changed, changed + 7 * _DAY, microseconds=True))


def _campaign(
    rng: random.Random, spec: CampaignSpec, group_ids: Sequence[str], template_ids: Sequence[str], times: CampaignTimes
) -> tuple[dict[str, Any], list[Row]]:
    campaign_id = ulid(int(times.created.timestamp() * 1000), rng)
    row = {
        "id": campaign_id,
        "name": spec.name,
        "status": spec.status,
        "archived": spec.archived,
        "audiences": _audiences(rng, group_ids),
        "send_options": {"use_smart_sending": rng.choice((True, False, None))},
        "tracking_options": _tracking(rng, spec.channel),
        "send_strategy": _strategy(rng, spec.send_method, times.send),
        "created_at": format_datetime(times.created),
        "scheduled_at": format_datetime(times.scheduled) if times.scheduled else None,
        "updated_at": format_datetime(times.updated),
        "send_time": None if spec.status in (*_DRAFT, *_CANCELLED) else format_datetime(times.send),
        # How filters name the channel.
        "messages": {"channel": spec.channel},
    }
    is_test = spec.send_method == "ab_test_campaign"
    campaign = CampaignContext(
        campaign_id,
        spec.name,
        spec.channel,
        is_draft=spec.status in _DRAFT,
        is_local=spec.send_method.endswith("local"),
        created=times.created,
        updated=times.updated,
        send=times.send,
    )
    return row, messages(rng, campaign, rng.choice((2, 3)) if is_test else 1, template_ids)


def _audiences(rng: random.Random, group_ids: Sequence[str]) -> dict[str, Any]:
    sample_ids = rng.sample(group_ids, rng.randrange(2, 5))
    excluded = rng.choice((sample_ids[:1], sample_ids[:1], [], None))
    audiences: dict[str, Any] = {"included": sample_ids[1:]}
    # The specification allows it to be missing.
    return audiences if rng.random() < 0.1 else {**audiences, "excluded": excluded}


def _tracking(rng: random.Random, channel: str) -> dict[str, Any] | None:
    if channel == "mobile_push":
        return None
    adds_parameters = rng.random() < 0.6
    options = {
        "add_tracking_params": adds_parameters,
        "custom_tracking_params": rng.choice((list(_PARAMETERS), [], None)) if adds_parameters else None,
    }
    if channel == "sms":
        return options
    return {**options, "is_tracking_clicks": rng.random() < 0.8, "is_tracking_opens": rng.random() < 0.8}


def _strategy(rng: random.Random, send_method: str, send: datetime) -> dict[str, Any]:
    method, _, options = send_method.partition(" ")
    strategy: dict[str, Any] = {"method": method}
    if method in ("static", "throttled"):
        strategy["datetime"] = format_datetime(send)
    if method == "static":
        local = {"is_local": True, "send_past_recipients_immediately": rng.random() < 0.5}
        strategy["options"] = {"local": local, "plain": None}.get(options, {"is_local": False})
    elif method == "throttled":
        strategy["throttle_percentage"] = rng.choice(_THROTTLES)
    elif method == "smart_send_time":
        strategy["date"] = send.date().isoformat()
    return strategy
