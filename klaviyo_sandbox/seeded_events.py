"""Metrics and events, with the properties that Klaviyo and its integrations give them."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from klaviyo_sandbox.filters import moment
from klaviyo_sandbox.ids import short_id, ulid
from klaviyo_sandbox.seeded_properties import Campaign, Scene, draw, kinds
from klaviyo_sandbox.store import Row

# Sends, opens and clicks come in bursts, so that some seconds hold several events.
_SAME_SECOND = 0.08


@dataclass(frozen=True)
class Made:
    """Events, what some of them are attributed to (by event id), and each profile's latest (by profile id)."""

    rows: list[Row]
    attributions: dict[str, tuple[Row, ...]]
    last_seen: dict[str, str]


def metrics(rng: random.Random, start: datetime) -> list[Row]:
    """One row for each kind of event, with the integration it comes from."""
    integrations: dict[str, dict[str, Any]] = {}
    rows: list[Row] = []
    for kind in kinds():
        name, category = kind.integration
        integration = integrations.setdefault(
            name,
            {"object": "integration", "id": short_id(rng), "key": name.lower(), "name": name, "category": category},
        )
        created = start + timedelta(seconds=rng.randrange(86_400))
        rows.append(
            {
                "id": short_id(rng),
                "name": kind.name,
                "created": moment(created),
                "updated": moment(created + timedelta(days=rng.randrange(600))),
                "integration": integration,
            }
        )
    return rows


def events(rng: random.Random, count: int, profiles: Sequence[Row], metrics: Sequence[Row], end: datetime) -> Made:
    """``count`` events of the profiles, in no order."""
    campaigns = [Campaign(short_id(rng), ulid(_milliseconds(end) - number, rng), number) for number in range(8)]
    weights = [kind.weight for kind in kinds()]
    created = [int(datetime.fromisoformat(row["created"]).timestamp()) for row in profiles]
    latest = int(end.timestamp())
    rows: list[Row] = []
    attributions: dict[str, tuple[Row, ...]] = {}
    clicks: dict[str, tuple[Row, Campaign]] = {}
    last_seen: dict[str, int] = {}
    at = 0
    for kind in rng.choices(range(len(weights)), weights, k=count):
        who = rng.randrange(len(profiles))
        # An event may repeat the second of the one before it, if its profile was there already.
        if not (rng.random() < _SAME_SECOND and at >= created[who]):
            at = rng.randrange(created[who], latest)
        scene = Scene(rng, profiles[who], rng.choice(campaigns), at)
        row = _event(rng, metrics[kind]["id"], profiles[who]["id"], at, draw(kind, scene))
        rows.append(row)
        last_seen[row["profile_id"]] = max(at, last_seen.get(row["profile_id"], 0))
        if kinds()[kind].name == "Clicked Email":
            clicks[row["profile_id"]] = (row, scene.campaign)
        elif kinds()[kind].is_conversion and row["profile_id"] in clicks:
            attributions[row["id"]] = (_attribution(row, *clicks[row["profile_id"]]),)
    return Made(rows, attributions, {who: moment(datetime.fromtimestamp(when, UTC)) for who, when in last_seen.items()})


def _event(rng: random.Random, metric_id: str, profile_id: str, at: int, properties: dict[str, Any]) -> Row:
    return {
        "id": short_id(rng, 11),
        "metric_id": metric_id,
        "profile_id": profile_id,
        "timestamp": at,
        "datetime": moment(datetime.fromtimestamp(at, UTC)),
        "uuid": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        "event_properties": properties,
    }


def _attribution(event: Row, click: Row, campaign: Campaign) -> Row:
    """That an event is owed to a click: Klaviyo gives these nothing but relationships."""
    return {
        "id": f"{event['id']}:{click['id']}",
        "event": ("event", event["id"]),
        "attributed-event": ("event", click["id"]),
        "campaign": ("campaign", campaign.message_id),
        "campaign-message": ("campaign-message", campaign.message_id),
    }


def _milliseconds(when: datetime) -> int:
    return int(when.timestamp() * 1000)
