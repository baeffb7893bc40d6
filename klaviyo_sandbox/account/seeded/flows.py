"""Flows of every trigger and status, with their actions and messages."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from klaviyo_sandbox.account.ids import short_id
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.flow_actions import Definition, action_definitions
from klaviyo_sandbox.account.seeded.flow_messages import CHANNELS, FlowContext, content_of, messages_of
from klaviyo_sandbox.account.seeded.tags import Tagger
from klaviyo_sandbox.account.seeded.times import random_time
from klaviyo_sandbox.spec.times import format_datetime

# Trigger in a flow's definition -> its ``trigger_type``. Klaviyo has no trigger type of its own for segments.
_TRIGGER_TYPES = {
    "list": "Added to List",
    "segment": "Added to List",
    "metric": "Metric",
    "date": "Date Based",
    "price-drop": "Price Drop",
    "low-inventory": "Low Inventory",
    "nothing": "Unconfigured",
}


@dataclass(frozen=True)
class FlowSpec:
    """What is fixed of a flow; its trigger is a key of ``_TRIGGER_TYPES``."""

    name: str
    status: str
    trigger: str
    actions: tuple[str, ...]
    archived: bool = False


@dataclass(frozen=True)
class FlowReferences:
    """Ids that flows refer to: of lists, segments, metrics and templates."""

    lists: Sequence[str]
    segments: Sequence[str]
    metrics: Sequence[str]
    templates: Sequence[str]


@dataclass(frozen=True)
class GeneratedFlows:
    """Flows, their actions, and the messages of the actions."""

    flows: list[Row]
    actions: list[Row]
    messages: list[Row]


_FLOWS = (
    FlowSpec("Welcome Series", "live", "list", ("send-email", "time-delay", "send-email", "time-delay", "send-sms")),
    FlowSpec("SMS Welcome", "live", "list", ("send-sms", "time-delay", "send-sms")),
    FlowSpec(
        "Abandoned Cart",
        "live",
        "metric",
        ("time-delay", "conditional-split", "send-email", "send-mobile-push", "update-profile"),
    ),
    FlowSpec("Post-Purchase", "live", "metric", ("time-delay", "ab-test", "send-webhook")),
    FlowSpec("Win-back: Größe zählt", "live", "segment", ("send-email", "time-delay", "send-whatsapp", "list-update")),
    FlowSpec("Birthday", "live", "date", ("send-email", "send-mobile-push", "send-internal-alert")),
    FlowSpec("Price Drop", "manual", "price-drop", ("send-email", "time-delay", "send-sms", "update-profile")),
    FlowSpec("Low Inventory", "draft", "low-inventory", ("send-email", "send-internal-alert", "time-delay")),
    FlowSpec("Back in Stock", "manual", "metric", ("back-in-stock-delay", "send-email", "send-mobile-push")),
    FlowSpec("Just begun", "draft", "nothing", ("time-delay", "send-email", "send-email")),
    FlowSpec("Old Welcome", "live", "list", ("send-email", "time-delay", "send-email"), archived=True),
    FlowSpec("Old Survey", "draft", "nothing", ("send-whatsapp", "send-webhook", "ab-test"), archived=True),
)


def flows(
    rng: random.Random, tagger: Tagger, references: FlowReferences, start: datetime, end: datetime
) -> GeneratedFlows:
    generated = GeneratedFlows([], [], [])
    for spec in _FLOWS:
        created = random_time(rng, start, start + timedelta(days=60))
        flow_id = short_id(rng)
        flow = FlowContext(rng, spec.name, spec.status, references.templates, references.lists)
        actions = []
        for definition in action_definitions(flow, spec.actions):
            action, messages = _action(
                rng, flow_id, definition, random_time(rng, created, end - timedelta(days=9)), end
            )
            actions.append(action)
            generated.messages.extend(messages)
        generated.actions.extend(actions)
        row = _flow(rng, spec, references, flow_id, created, [action["updated"] for action in actions])
        generated.flows.append({**tagger.with_tags(row), "action_ids": [action["id"] for action in actions]})
    return generated


def _flow(
    rng: random.Random,
    spec: FlowSpec,
    references: FlowReferences,
    flow_id: str,
    created: datetime,
    action_updates: Sequence[str],
) -> dict[str, Any]:
    latest = datetime.fromisoformat(max(action_updates))
    # It is not known whether Klaviyo updates a flow whenever one of its actions changes: some are older than theirs.
    updated = random_time(rng, created, latest) if rng.random() < 0.5 else latest + timedelta(seconds=1)
    return {
        "id": flow_id,
        "name": spec.name,
        "status": spec.status,
        "archived": spec.archived,
        "created": format_datetime(created),
        "updated": format_datetime(updated),
        "trigger_type": _TRIGGER_TYPES[spec.trigger],
        "triggers": list(_triggers(rng, spec.trigger, references)),
    }


def _triggers(rng: random.Random, trigger: str, references: FlowReferences) -> Iterator[dict[str, Any]]:
    if trigger in ("list", "segment"):
        yield {"type": trigger, "id": rng.choice(references.lists if trigger == "list" else references.segments)}
    elif trigger == "metric":
        yield {"type": "metric", "id": rng.choice(references.metrics), "trigger_filter": None}
    elif trigger == "date":
        yield {
            "type": "date",
            "date_field_type": "profile-property",
            "date_profile_property": "Birthday",
            "timedelta_unit_before_date": "days",
            "timedelta_value_before_date": 3,
            "recurrence_frequency": "annually",
            "timezone": "profile",
            "trigger_time": "09:00:00Z",
            "trigger_days": None,
        }
    elif trigger == "price-drop":
        yield {
            "type": "price-drop",
            "trigger_filter": None,
            "price_drop_amount_value": 2.5,
            "price_drop_amount_unit": "percent",
            "audience": ["viewed"],
            "timeframe_days": 30,
            "currency_type": "usd",
        }
    elif trigger == "low-inventory":
        yield {
            "type": "low-inventory",
            "product_level": "variant",
            "trigger_filter": None,
            "inventory_count": 5,
            "audience": ["added-to-cart", "viewed"],
            "timeframe_days": 30,
        }


def _action(
    rng: random.Random, flow_id: str, definition: Definition, created: datetime, end: datetime
) -> tuple[Row, list[Row]]:
    updated = random_time(rng, created, end - timedelta(days=1))
    messages: list[Row] = [
        {
            "id": message["id"],
            "action_id": definition["id"],
            "flow_id": flow_id,
            "template_id": message.get("template_id"),
            "name": message["name"],
            "channel": CHANNELS[kind],
            "created": format_datetime(created),
            "updated": format_datetime(random_time(rng, created, updated)),
            "definition": message,
            "content": content_of(kind, message),
        }
        for kind, message in messages_of(definition)
    ]
    action = {
        "id": definition["id"],
        "flow_id": flow_id,
        "message_ids": [message["id"] for message in messages],
        # How filters and sorts name the kind of an action: as Klaviyo spelled it before 2025-10-15.
        "action_type": definition["type"].upper().replace("-", "_"),
        "status": definition.get("data", {}).get("status"),
        "created": format_datetime(created),
        "updated": format_datetime(updated),
        "definition": definition,
    }
    return action, messages
