"""Campaigns of every channel, status and way of sending."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from klaviyo_sandbox.account.ids import ulid
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.campaign_messages import Sending, messages
from klaviyo_sandbox.account.seeded.tags import Tagger
from klaviyo_sandbox.account.seeded.times import between
from klaviyo_sandbox.spec.times import format_datetime

_DAY = timedelta(days=1)
_LATER, _NEVER = ("Scheduled", "Preparing to schedule"), ("Draft",)
_DISCARDED = ("Cancelled", "Cancelled: No Recipients", "Cancelled: Smart Sending", "Cancelled: Account Disabled")


@dataclass(frozen=True)
class Plan:
    """What is laid down of a campaign. ``way`` is the method of its send strategy, with a word on its options."""

    name: str
    channel: str
    status: str
    way: str
    archived: bool = False


@dataclass(frozen=True)
class Times:
    """When a campaign was made, scheduled (None: never), sent or meant to be sent, and last changed."""

    created: datetime
    scheduled: datetime | None
    send: datetime
    updated: datetime


_PLANS = (
    Plan("Spring Sale", "email", "Sent", "immediate"),
    Plan("Welcome Back", "email", "Sent", "static"),
    Plan("New In: Wool", "email", "Sent", "static local"),
    Plan("Été & Nouveautés", "email", "Sent", "throttled"),
    Plan("Last Chance", "email", "Sent", "smart_send_time"),
    Plan("Members First", "email", "Sent", "ab_test_campaign"),
    Plan("Winter Edit", "email", "Sent", "ab_test_campaign", archived=True),
    Plan("We Miss You", "email", "Sent", "static plain", archived=True),
    Plan("Spring Sale", "email", "Sent", "unsupported"),
    Plan("Schöne Grüße 🎁", "email", "Variations Sent", "ab_test_campaign"),
    Plan("Summer Preview", "email", "Scheduled", "static"),
    Plan("Autumn Preview", "email", "Draft", "static"),
    Plan("Untitled, again", "email", "Draft", "immediate"),
    Plan("Draft nobody wants", "email", "Draft", "immediate", archived=True),
    Plan("Flash Sale", "email", "Cancelled", "immediate"),
    Plan("Nobody There", "email", "Cancelled: No Recipients", "throttled"),
    Plan("On Its Way", "email", "Sending", "throttled"),
    Plan("SMS: 20% off", "sms", "Sent", "immediate"),
    Plan("SMS: back in stock", "sms", "Sent", "static local"),
    Plan("SMS: 感謝祭", "sms", "Sent", "throttled"),
    Plan("SMS: last winter", "sms", "Sent", "static", archived=True),
    Plan("SMS: two texts", "sms", "Sent", "ab_test_campaign"),
    Plan("SMS: tomorrow", "sms", "Preparing to schedule", "smart_send_time"),
    Plan("SMS: idea", "sms", "Draft", "immediate"),
    Plan("SMS: too often", "sms", "Cancelled: Smart Sending", "immediate", archived=True),
    Plan("Push: new app", "mobile_push", "Sent", "immediate"),
    Plan("Push: your cart", "mobile_push", "Sent", "static local"),
    Plan("Push: old app", "mobile_push", "Sent", "static", archived=True),
    Plan("Push: silent refresh", "mobile_push", "Scheduled", "static plain"),
    Plan("Push: idea", "mobile_push", "Draft", "immediate"),
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
    texts: list[Row] = []
    for plan in _PLANS:
        row, own = _campaign(rng, plan, group_ids, template_ids, _times(rng, plan, *span))
        rows.append({**tagger.tagged(row), "message_ids": [message["id"] for message in own]})
        texts += own
    return rows, texts


def _times(rng: random.Random, plan: Plan, start: datetime, end: datetime) -> Times:
    latest = end - 20 * _DAY
    # What is yet to be sent was made lately.
    created = between(rng, latest - 20 * _DAY if plan.status in _LATER else start, latest, microseconds=True)
    if plan.status in _NEVER:
        updated = between(rng, created, latest, microseconds=True)
        return Times(created, None, updated.replace(microsecond=0) + _DAY, updated)
    scheduled = between(rng, created, created + 3 * _DAY, microseconds=True)
    send = between(rng, scheduled, scheduled + 5 * _DAY).replace(microsecond=0) + timedelta(seconds=1)
    changed = scheduled if plan.status in (*_LATER, *_DISCARDED) else send
    return Times(created, scheduled, send, between(rng, changed, changed + 7 * _DAY, microseconds=True))


def _campaign(
    rng: random.Random, plan: Plan, group_ids: Sequence[str], template_ids: Sequence[str], times: Times
) -> tuple[dict[str, Any], list[Row]]:
    campaign_id = ulid(int(times.created.timestamp() * 1000), rng)
    row = {
        "id": campaign_id,
        "name": plan.name,
        "status": plan.status,
        "archived": plan.archived,
        "audiences": _audiences(rng, group_ids),
        "send_options": {"use_smart_sending": rng.choice((True, False, None))},
        "tracking_options": _tracking(rng, plan.channel),
        "send_strategy": _strategy(rng, plan.way, times.send),
        "created_at": format_datetime(times.created),
        "scheduled_at": format_datetime(times.scheduled) if times.scheduled else None,
        "updated_at": format_datetime(times.updated),
        "send_time": None if plan.status in (*_NEVER, *_DISCARDED) else format_datetime(times.send),
        # How filters name the channel.
        "messages": {"channel": plan.channel},
    }
    is_test = plan.way == "ab_test_campaign"
    sending = Sending(
        campaign_id,
        plan.name,
        plan.channel,
        is_draft=plan.status in _NEVER,
        is_local=plan.way.endswith("local"),
        created=times.created,
        updated=times.updated,
        send=times.send,
    )
    return row, messages(rng, sending, rng.choice((2, 3)) if is_test else 1, template_ids)


def _audiences(rng: random.Random, group_ids: Sequence[str]) -> dict[str, Any]:
    chosen = rng.sample(group_ids, rng.randrange(2, 5))
    excluded = rng.choice((chosen[:1], chosen[:1], [], None))
    audiences: dict[str, Any] = {"included": chosen[1:]}
    # The specification lets it be missing too.
    return audiences if rng.random() < 0.1 else {**audiences, "excluded": excluded}


def _tracking(rng: random.Random, channel: str) -> dict[str, Any] | None:
    if channel == "mobile_push":
        return None
    adds = rng.random() < 0.6
    shared = {
        "add_tracking_params": adds,
        "custom_tracking_params": rng.choice((list(_PARAMETERS), [], None)) if adds else None,
    }
    if channel == "sms":
        return shared
    return {**shared, "is_tracking_clicks": rng.random() < 0.8, "is_tracking_opens": rng.random() < 0.8}


def _strategy(rng: random.Random, way: str, send: datetime) -> dict[str, Any]:
    method, _, options = way.partition(" ")
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
