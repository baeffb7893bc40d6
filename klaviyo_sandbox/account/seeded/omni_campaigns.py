"""Campaigns as revision 2026-10-15 has them: messages with variations and audiences, of one channel or of several."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from klaviyo_sandbox.account.ids import ulid
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.omni_variations import details_of_july, invented_details
from klaviyo_sandbox.account.seeded.tags import Tagger
from klaviyo_sandbox.account.seeded.times import random_time
from klaviyo_sandbox.spec.times import format_datetime

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
# Of a campaign in July, of its message in October.
_STATUSES = {
    "Draft": "draft",
    "Scheduled": "scheduled",
    "Preparing to schedule": "scheduled",
    "Sending": "sending",
    "Sent": "sent",
    "Variations Sent": "sending",
}
_STRATEGIES = {
    "throttled": "throttled",
    "smart_send_time": "send_time_optimization",
    "ab_test_campaign": "content_variation",
}
_THROTTLING = {True: "throttle-for-campaigns-and-flows", False: "none", None: None}


@dataclass
class OmniRows:
    """What the account has in the shape of October: campaigns that July cannot show, and the parts of all campaigns."""

    campaigns: list[Row] = field(default_factory=list)
    messages: list[Row] = field(default_factory=list)
    variations: list[Row] = field(default_factory=list)
    audiences: list[Row] = field(default_factory=list)


@dataclass(frozen=True)
class _Spec:
    """A campaign that July cannot show: by WhatsApp, or by several channels. ``tests`` are channels of an A/B test."""

    name: str
    channels: tuple[str, ...]
    status: str
    archived: bool = False
    tests: tuple[str, ...] = ()
    audiences: int = 1


_SPECS = (
    _Spec("WhatsApp: Frühlingsgrüße 🌷", ("whatsapp",), "sent"),
    _Spec("WhatsApp: last winter", ("whatsapp",), "sent", archived=True),
    _Spec("WhatsApp: two texts", ("whatsapp",), "sent", tests=("whatsapp",)),
    _Spec("WhatsApp: idea", ("whatsapp",), "draft"),
    _Spec("Launch: mail and text", ("email", "sms"), "sent", tests=("email",), audiences=2),
    _Spec("Launch: mail and chat", ("email", "whatsapp"), "scheduled"),
    _Spec("App users first", ("push", "sms"), "cancelled", archived=True),
    _Spec("Everywhere at once", ("email", "sms", "push", "whatsapp"), "sending", tests=("push",), audiences=2),
)


@dataclass(frozen=True)
class Sources:
    """What the campaigns of an account refer to (``metric_id``: what counts as a conversion), and when they are."""

    group_ids: Sequence[str]
    template_ids: Sequence[str]
    metric_id: str
    start: datetime
    end: datetime


def omni_rows(
    rng: random.Random, tagger: Tagger, campaigns: Iterable[Row], messages: Mapping[str, Row], sources: Sources
) -> OmniRows:
    """The campaigns of July as October shows them, whose rows are left as they are, and those that only October has."""
    made = OmniRows()
    for campaign in campaigns:
        _add_parts_of_july(rng, made, campaign, [messages[message_id] for message_id in campaign["message_ids"]])
    for spec in _SPECS:
        _add_own(rng, made, spec, tagger, sources)
    return made


def shown_in_october(campaign: Row) -> Row:
    """A campaign of July in the shape of October."""
    options = campaign["send_strategy"].get("options") or {}
    is_local = bool(options.get("is_local"))
    return _campaign(
        campaign["id"],
        campaign["name"],
        archived=campaign["archived"],
        builder="wizard",
        times=(campaign["created_at"], campaign["updated_at"]),
        send_settings={
            "send_timezone": "UTC" if is_local else "America/New_York",
            "send_strategy": "timezone" if is_local else None,
            "send_passed_rltz_immediately": options.get("send_past_recipients_immediately"),
            "exit_condition_enabled": False,
            "exit_condition_conversion_metric_id": None,
        },
        tag_ids=campaign["tag_ids"],
    )


def _campaign(
    campaign_id: str,
    name: str,
    *,
    archived: bool,
    builder: str,
    times: tuple[str, str],
    send_settings: Row,
    tag_ids: Sequence[str],
) -> Row:
    definition = {
        "name": name,
        "builder": builder,
        "archived": archived,
        "color": "ff5733" if builder == "canvas" else None,
        "description": f"{name}, drawn on the canvas" if builder == "canvas" else None,
        "send_settings": send_settings,
    }
    # What filters and sorts name lies beside the definition, too.
    filtered = {name: definition[name] for name in ("name", "builder", "archived")}
    dated = {"created_at": times[0], "updated_at": times[1]}
    return {"id": campaign_id, **filtered, "definition": definition, **dated, "tag_ids": list(tag_ids)}


def _message(
    message_id: str,
    campaign_id: str,
    audience_id: str,
    definition: Row,
    times: tuple[str, str],
) -> Row:
    filtered = {name: definition[name] for name in ("name", "status")}
    owners = {"campaign_id": campaign_id, "audience_id": audience_id}
    return {
        "id": message_id,
        **owners,
        **filtered,
        "definition": definition,
        "created": times[0],
        "updated": times[1],
    }


def _variation(variation_id: str, message: Row, name: str, details: Row) -> Row:
    times = {"created": message["created"], "updated": message["updated"]}
    definition = {"name": name, "details": details}
    return {"id": variation_id, "message_id": message["id"], "definition": definition, **times}


def _audience(rng: random.Random, campaign: Row, groups: Row, priority: int) -> Row:
    definition = {"name": f"Audience {priority}", **groups, "priority": priority}
    times = {"created": campaign["created_at"], "updated": campaign["updated_at"]}
    return {"id": f"{rng.getrandbits(128):032x}", "campaign_id": campaign["id"], "definition": definition, **times}


def _add_parts_of_july(rng: random.Random, made: OmniRows, campaign: Row, messages: Sequence[Row]) -> None:
    """A test's messages of July are the variations of one message, which has the id of the first."""
    first, method = messages[0], campaign["send_strategy"]["method"]
    is_test = method == "ab_test_campaign"
    groups = {"included": campaign["audiences"]["included"], "excluded": campaign["audiences"].get("excluded") or []}
    audience = _audience(rng, campaign, groups, 1)
    # Events and reports name the messages of a test by the variation's id.
    variation_ids = [it["id"] if is_test else _id_like(rng, it["created_at"]) for it in messages]
    message = _message(
        first["id"],
        campaign["id"],
        audience["id"],
        {
            "name": first["definition"].get("label") or campaign["name"],
            "status": _STATUSES.get(campaign["status"], "cancelled"),
            "tracking_options": _tracking_of_july(campaign["tracking_options"] or {}),
            "send_options": _send_options_of_july(campaign, variation_ids),
            **(_ab_test(rng) if is_test else {}),
        },
        (first["created_at"], first["updated_at"]),
    )
    made.audiences.append(audience)
    made.messages.append(message)
    for number, (variation_id, old) in enumerate(zip(variation_ids, messages, strict=True)):
        made.variations.append(
            _variation(variation_id, message, f"Variation {'ABC'[number]}", details_of_july(rng, old))
        )


def _tracking_of_july(options: Row) -> Row:
    return {
        "is_add_utm": options.get("add_tracking_params"),
        "is_tracking_clicks": options.get("is_tracking_clicks"),
        "is_tracking_opens": options.get("is_tracking_opens"),
    }


def _send_options_of_july(campaign: Row, variation_ids: Sequence[str]) -> Row:
    strategy, send_time = campaign["send_strategy"], campaign["send_time"]
    is_local = bool((strategy.get("options") or {}).get("is_local"))
    by_variation = strategy["method"] == "smart_send_time" and send_time is not None
    return {
        "send_time": send_time,
        "send_times": dict.fromkeys(variation_ids, send_time) if by_variation else None,
        "send_strategy": "local_timezone" if is_local else _STRATEGIES.get(strategy["method"], "static"),
        "recipient_percentage": strategy.get("throttle_percentage"),
        "throttling_type": _THROTTLING[campaign["send_options"]["use_smart_sending"]],
        "throttle_unit": "hour" if strategy["method"] == "throttled" else None,
        "is_ignoring_unsubscribes": False,
    }


def _ab_test(rng: random.Random) -> Row:
    metric = rng.choice(("opens_unique", "clicks_unique", "placed_orders_unique"))
    return {"ab_test": {"winner_metric": metric, "winner_percentage": 80, "winner_wait_hours": rng.randrange(1, 49)}}


def _add_own(rng: random.Random, made: OmniRows, spec: _Spec, tagger: Tagger, sources: Sources) -> None:
    created = random_time(rng, sources.start, sources.end - 20 * _DAY, microseconds=True)
    send = created.replace(microsecond=0) + 2 * _DAY
    updated = random_time(rng, send, send + 7 * _DAY, microseconds=True)
    campaign = _campaign(
        _id_at(rng, created),
        spec.name,
        archived=spec.archived,
        builder="canvas",
        times=(format_datetime(created), format_datetime(updated)),
        send_settings={
            "send_timezone": "UTC",
            "send_strategy": "timezone",
            "send_passed_rltz_immediately": True,
            "exit_condition_enabled": len(spec.channels) > 1,
            "exit_condition_conversion_metric_id": sources.metric_id if len(spec.channels) > 1 else None,
        },
        tag_ids=tagger.draw(),
    )
    made.campaigns.append(campaign)
    audiences = [
        _audience(rng, campaign, {"included": [included], "excluded": [excluded] if priority == 1 else None}, priority)
        for priority, (included, excluded) in (
            (number + 1, rng.sample(sources.group_ids, 2)) for number in range(spec.audiences)
        )
    ]
    made.audiences += audiences
    for number, channel in enumerate(spec.channels):
        audience = audiences[number % len(audiences)]
        _add_own_message(rng, made, spec, channel, (campaign, audience), send + number * _HOUR, sources)


def _add_own_message(
    rng: random.Random,
    made: OmniRows,
    spec: _Spec,
    channel: str,
    owners: tuple[Row, Row],
    send: datetime,
    sources: Sources,
) -> None:
    campaign, audience = owners
    is_test = channel in spec.tests
    message = _message(
        _id_like(rng, campaign["created_at"]),
        campaign["id"],
        audience["id"],
        {
            "name": f"{spec.name}, {channel}",
            "status": spec.status,
            "tracking_options": {
                "is_add_utm": True,
                "is_tracking_clicks": channel == "email" or None,
                "is_tracking_opens": channel == "email" or None,
            },
            "send_options": {
                "send_time": None if spec.status in ("draft", "cancelled") else format_datetime(send),
                "send_times": None,
                "send_strategy": "content_variation_local_timezone" if is_test else "static",
                "recipient_percentage": None,
                "throttling_type": "throttle-for-campaigns",
                "throttle_unit": None,
                "is_ignoring_unsubscribes": False,
            },
            **(_ab_test(rng) if is_test else {}),
        },
        (campaign["created_at"], campaign["updated_at"]),
    )
    made.messages.append(message)
    made.variations += _own_variations(rng, message, channel, 2 if is_test else 1, sources.template_ids)


def _own_variations(
    rng: random.Random, message: Row, channel: str, count: int, template_ids: Sequence[str]
) -> Iterator[Row]:
    for number in range(count):
        details = invented_details(rng, channel, message["definition"]["name"], template_ids)
        yield _variation(_id_like(rng, message["created"]), message, f"Variation {'ABC'[number]}", details)


def _id_like(rng: random.Random, created: str) -> str:
    return _id_at(rng, datetime.fromisoformat(created))


def _id_at(rng: random.Random, created: datetime) -> str:
    return ulid(int(created.timestamp() * 1000), rng)
