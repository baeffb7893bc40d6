"""Profiles: create or update people."""

from __future__ import annotations

from typing import Any

from target_klaviyo.delivery import lists
from target_klaviyo.delivery.action import Action, BatchKey
from target_klaviyo.delivery.resending import CONFLICT_OPTION, UPDATE_STRONGEST
from target_klaviyo.endpoints import list_members, people
from target_klaviyo.endpoints.profile_imports import CALLS, CLEAR, IMPORT, UPDATE_ONLY, deliver
from target_klaviyo.model.records import Call, Context, Record

_PATCHES = ("append", "unappend", "unset")
_NOT_ATTRIBUTES = ("id", "list_id", "list_name", *_PATCHES)
_OBJECTS = ("location", "properties")

LIST_OPTIONS: dict[str, dict[str, Any]] = {
    "list": {
        "type": "string",
        "pattern": "\\S",
        "description": "The list to add the people to, by its name or Klaviyo's id.",
    },
    "create_list": {
        "type": "boolean",
        "default": False,
        "description": "Whether to make the list when the account has none of that name.",
    },
}


ONLY_CHANGED: dict[str, Any] = {
    "type": "boolean",
    "default": False,
    "description": (
        "Whether records are left out that say what an earlier run has delivered: they are known by keyed hashes on "
        "file (the setting fingerprints_path). What others have changed in Klaviyo meanwhile is not noticed."
    ),
}


def resource(fields: Record, context: Context | None = None) -> dict[str, Any]:  # noqa: ARG001 - every action's signature
    """The profile as Klaviyo's JSON:API resource."""
    profile: dict[str, Any] = {"type": "profile"}
    if "id" in fields:
        profile["id"] = fields["id"]
    # A field can be null, which clears it; a whole object of fields cannot.
    profile["attributes"] = {
        name: value
        for name, value in fields.items()
        if name not in _NOT_ATTRIBUTES and not (value is None and name in _OBJECTS)
    }
    if patch := {name: fields[name] for name in _PATCHES if fields.get(name) is not None}:
        profile["meta"] = {"patch_properties": patch}
    return profile


def _batch_key(_fields: Record, context: Context) -> BatchKey:
    flags = {
        UPDATE_ONLY: context.options["update_only"],
        CLEAR: context.options["nulls"] == "clear",
        UPDATE_STRONGEST: context.options["on_conflict"] == UPDATE_STRONGEST,
    }
    return tuple(name for name, is_set in flags.items() if is_set)


UPSERT_PROFILE = Action(
    name="upsert_profile",
    summary="Create people, or update them where they exist; optionally add them to a list.",
    streams=("profiles",),
    self_copy_guard=("profiles", "get_profile", "profile_id"),
    operation=IMPORT,
    other_operations=(
        *CALLS,
        *lists.find_calls(option="list"),
        lists.CREATE_LIST,
        people.find_call("to know who exists", option="update_only"),
        Call(list_members.ADD, "to put on the list whose fields were cleared", option="nulls", values=("clear",)),
    ),
    resource=resource,
    batch_key=_batch_key,
    deliver=deliver,
    adds=frozenset({"profile", "list"}),
    options={
        **LIST_OPTIONS,
        "on_conflict": CONFLICT_OPTION,
        "update_only": {
            "type": "boolean",
            "default": False,
            "description": "Whether people who do not exist are rejected instead of created.",
        },
        "only_changed": ONLY_CHANGED,
        "nulls": {
            "type": "string",
            "enum": ["skip", "clear"],
            "default": "skip",
            "description": (
                "skip: a null leaves the field as it is. clear: a null empties it; such records are sent one by one, "
                "because Klaviyo's bulk import empties nothing. Identifiers are never emptied."
            ),
        },
    },
)
