"""Definitions of the actions of flows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from klaviyo_sandbox.account.ids import short_id
from klaviyo_sandbox.account.seeded.flow_messages import CHANNELS, FlowContext, message

Definition = dict[str, Any]

# Kinds of actions that lead to one of two actions.
_BRANCHING = ("conditional-split",)


def action_definitions(flow: FlowContext, kinds: Sequence[str]) -> list[Definition]:
    """One action of each kind, each leading to the next."""
    ids = [str(flow.rng.randrange(10**8, 10**9)) for _ in kinds]
    next_ids = [*ids[1:], None, None]
    definitions = []
    for index, (action_id, kind) in enumerate(zip(ids, kinds, strict=True)):
        links = {"next": next_ids[index]}
        if kind in _BRANCHING:
            links = {"next_if_true": next_ids[index], "next_if_false": next_ids[index + 1]}
        definition: Definition = {"id": action_id, "type": kind, "links": links}
        data = _data(flow, kind, index + 1)
        definitions.append(definition if data is None else {**definition, "data": data})
    return definitions


def _data(flow: FlowContext, kind: str, number: int) -> dict[str, Any] | None:
    if kind in CHANNELS:
        return {"message": message(flow, kind, number), "status": flow.status}
    return _DATA_BY_KIND[kind](flow, number)


def _delay(flow: FlowContext, _number: int) -> dict[str, Any]:
    return {"unit": "days", "value": flow.rng.randrange(1, 8), "secondary_value": None, "timezone": "profile"}


def _split(_making: FlowContext, _number: int) -> dict[str, Any]:
    condition = {
        "type": "profile-property",
        "property": "properties['Loyalty Tier']",
        "filter": {"type": "string", "operator": "equals", "value": "Gold"},
    }
    return {"profile_filter": {"condition_groups": [{"conditions": [condition]}]}}


def _update_profile(flow: FlowContext, _number: int) -> dict[str, Any]:
    operation = {
        "operator": "create",
        "property_type": "string",
        "property_key": "Last Flow",
        "property_value": flow.name,
    }
    return {"profile_operations": [operation], "status": flow.status}


def _list_update(flow: FlowContext, number: int) -> dict[str, Any]:
    return {
        "name": f"Step {number}",
        "on_execution": True,
        "list_id": flow.rng.choice(flow.list_ids),
        "status": flow.status,
    }


def _experiment(flow: FlowContext, number: int) -> dict[str, Any]:
    """An A/B test of two e-mails; the main action has a message of its own, which is sent after the test."""
    main, *variations = (_variation(flow, number * 10 + index) for index in range(3))
    return {
        "status": flow.status,
        "experiment_status": "live" if flow.status == "live" else "draft",
        "main_action": main,
        "current_experiment": {
            "id": short_id(flow.rng),
            "name": f"Which subject, {flow.name}?",
            "variations": variations,
            "allocations": {variation["id"]: 0.5 for variation in variations},
            "started": "2026-01-15T09:00:00+00:00",
            "winner_metric": "unique-opens",
            "automatic_winner_selection_settings": {
                "enabled": True,
                "automatic_end_date": None,
                "automatic_end_statistical_certainty": True,
            },
        },
    }


def _variation(flow: FlowContext, number: int) -> Definition:
    return {
        "id": str(flow.rng.randrange(10**8, 10**9)),
        "type": "send-email",
        "links": None,
        "data": {"message": message(flow, "send-email", number), "status": flow.status},
    }


def _no_data(_making: FlowContext, _number: int) -> None:
    return None


_DATA_BY_KIND: Mapping[str, Callable[[FlowContext, int], dict[str, Any] | None]] = {
    "time-delay": _delay,
    "conditional-split": _split,
    "update-profile": _update_profile,
    "list-update": _list_update,
    "ab-test": _experiment,
    "back-in-stock-delay": _no_data,
}
