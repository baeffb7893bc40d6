"""The definitions of what flows do, step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from klaviyo_sandbox.account.ids import short_id
from klaviyo_sandbox.account.seeded.flow_messages import CHANNELS, Making, message

Definition = dict[str, Any]

# These go on in one of two ways.
_FORKS = ("conditional-split",)


def definitions(making: Making, kinds: Sequence[str]) -> list[Definition]:
    """One action of each kind, each leading to the next."""
    ids = [str(making.rng.randrange(10**8, 10**9)) for _ in kinds]
    following = [*ids[1:], None, None]
    made = []
    for at, (action_id, kind) in enumerate(zip(ids, kinds, strict=True)):
        links = {"next": following[at]}
        if kind in _FORKS:
            links = {"next_if_true": following[at], "next_if_false": following[at + 1]}
        definition: Definition = {"id": action_id, "type": kind, "links": links}
        data = _data(making, kind, at + 1)
        made.append(definition if data is None else {**definition, "data": data})
    return made


def _data(making: Making, kind: str, number: int) -> dict[str, Any] | None:
    if kind in CHANNELS:
        return {"message": message(making, kind, number), "status": making.status}
    return _MAKERS[kind](making, number)


def _delay(making: Making, _number: int) -> dict[str, Any]:
    return {"unit": "days", "value": making.rng.randrange(1, 8), "secondary_value": None, "timezone": "profile"}


def _split(_making: Making, _number: int) -> dict[str, Any]:
    condition = {
        "type": "profile-property",
        "property": "properties['Loyalty Tier']",
        "filter": {"type": "string", "operator": "equals", "value": "Gold"},
    }
    return {"profile_filter": {"condition_groups": [{"conditions": [condition]}]}}


def _update_profile(making: Making, _number: int) -> dict[str, Any]:
    operation = {
        "operator": "create",
        "property_type": "string",
        "property_key": "Last Flow",
        "property_value": making.flow_name,
    }
    return {"profile_operations": [operation], "status": making.status}


def _list_update(making: Making, number: int) -> dict[str, Any]:
    return {
        "name": f"Step {number}",
        "on_execution": True,
        "list_id": making.rng.choice(making.list_ids),
        "status": making.status,
    }


def _experiment(making: Making, number: int) -> dict[str, Any]:
    """Two mails tried against each other; the main action has a message of its own, which is sent after the test."""
    main, *variations = (_variation(making, number * 10 + at) for at in range(3))
    return {
        "status": making.status,
        "experiment_status": "live" if making.status == "live" else "draft",
        "main_action": main,
        "current_experiment": {
            "id": short_id(making.rng),
            "name": f"Which subject, {making.flow_name}?",
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


def _variation(making: Making, number: int) -> Definition:
    return {
        "id": str(making.rng.randrange(10**8, 10**9)),
        "type": "send-email",
        "links": None,
        "data": {"message": message(making, "send-email", number), "status": making.status},
    }


def _nothing(_making: Making, _number: int) -> None:
    return None


_MAKERS: Mapping[str, Callable[[Making, int], dict[str, Any] | None]] = {
    "time-delay": _delay,
    "conditional-split": _split,
    "update-profile": _update_profile,
    "list-update": _list_update,
    "ab-test": _experiment,
    "back-in-stock-delay": _nothing,
}
