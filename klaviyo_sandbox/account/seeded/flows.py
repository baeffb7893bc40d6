"""Flows of every trigger and status, what they do and what they say."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from klaviyo_sandbox.account.ids import short_id
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.flow_actions import Definition, definitions
from klaviyo_sandbox.account.seeded.flow_messages import CHANNELS, Making, messages_of
from klaviyo_sandbox.account.seeded.tags import Tagger
from klaviyo_sandbox.account.seeded.times import between
from klaviyo_sandbox.spec.times import format_datetime

# Trigger in a flow's definition -> its ``trigger_type``. Klaviyo's list of these has no word for segments.
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
class Plan:
    """What is laid down of a flow; its trigger is a key of ``_TRIGGER_TYPES``."""

    name: str
    status: str
    trigger: str
    actions: tuple[str, ...]
    archived: bool = False


@dataclass(frozen=True)
class Account:
    """What flows refer to: ids of lists, segments, metrics and templates."""

    lists: Sequence[str]
    segments: Sequence[str]
    metrics: Sequence[str]
    templates: Sequence[str]


@dataclass(frozen=True)
class Made:
    """Flows, their actions, and the messages of these."""

    flows: list[Row]
    actions: list[Row]
    messages: list[Row]


_PLANS = (
    Plan("Welcome Series", "live", "list", ("send-email", "time-delay", "send-email", "time-delay", "send-sms")),
    Plan("SMS Welcome", "live", "list", ("send-sms", "time-delay", "send-sms")),
    Plan(
        "Abandoned Cart",
        "live",
        "metric",
        ("time-delay", "conditional-split", "send-email", "send-mobile-push", "update-profile"),
    ),
    Plan("Post-Purchase", "live", "metric", ("time-delay", "ab-test", "send-webhook")),
    Plan("Win-back: Größe zählt", "live", "segment", ("send-email", "time-delay", "send-whatsapp", "list-update")),
    Plan("Birthday", "live", "date", ("send-email", "send-mobile-push", "send-internal-alert")),
    Plan("Price Drop", "manual", "price-drop", ("send-email", "time-delay", "send-sms", "update-profile")),
    Plan("Low Inventory", "draft", "low-inventory", ("send-email", "send-internal-alert", "time-delay")),
    Plan("Back in Stock", "manual", "metric", ("back-in-stock-delay", "send-email", "send-mobile-push")),
    Plan("Just begun", "draft", "nothing", ("time-delay", "send-email", "send-email")),
    Plan("Old Welcome", "live", "list", ("send-email", "time-delay", "send-email"), archived=True),
    Plan("Old Survey", "draft", "nothing", ("send-whatsapp", "send-webhook", "ab-test"), archived=True),
)


def flows(rng: random.Random, tagger: Tagger, account: Account, start: datetime, end: datetime) -> Made:
    made = Made([], [], [])
    for plan in _PLANS:
        created = between(rng, start, start + timedelta(days=60))
        flow_id = short_id(rng)
        making = Making(rng, plan.name, plan.status, account.templates, account.lists)
        actions = []
        for definition in definitions(making, plan.actions):
            action, messages = _action(rng, flow_id, definition, between(rng, created, end - timedelta(days=9)), end)
            actions.append(action)
            made.messages.extend(messages)
        made.actions.extend(actions)
        row = _flow(rng, plan, account, flow_id, created, [action["updated"] for action in actions])
        made.flows.append({**tagger.tagged(row), "action_ids": [action["id"] for action in actions]})
    return made


def _flow(
    rng: random.Random, plan: Plan, account: Account, flow_id: str, created: datetime, touched: Sequence[str]
) -> dict[str, Any]:
    latest = datetime.fromisoformat(max(touched))
    # Klaviyo is not known to touch a flow whenever one of its actions changes.
    updated = between(rng, created, latest) if rng.random() < 0.5 else latest + timedelta(seconds=1)
    return {
        "id": flow_id,
        "name": plan.name,
        "status": plan.status,
        "archived": plan.archived,
        "created": format_datetime(created),
        "updated": format_datetime(updated),
        "trigger_type": _TRIGGER_TYPES[plan.trigger],
        "triggers": list(_triggers(rng, plan.trigger, account)),
    }


def _triggers(rng: random.Random, trigger: str, account: Account) -> Iterator[dict[str, Any]]:
    if trigger in ("list", "segment"):
        yield {"type": trigger, "id": rng.choice(account.lists if trigger == "list" else account.segments)}
    elif trigger == "metric":
        yield {"type": "metric", "id": rng.choice(account.metrics), "trigger_filter": None}
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
    updated = between(rng, created, end - timedelta(days=1))
    messages: list[Row] = [
        {
            "id": message["id"],
            "action_id": definition["id"],
            "flow_id": flow_id,
            "template_id": message.get("template_id"),
            "name": message["name"],
            "channel": CHANNELS[kind],
            "created": format_datetime(created),
            "updated": format_datetime(between(rng, created, updated)),
            "definition": message,
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
