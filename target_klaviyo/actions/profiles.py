"""Profiles: create or update people."""

from __future__ import annotations

from typing import Any

from target_klaviyo.jobs import IMPORT, deliver
from target_klaviyo.model import Action, Context, Record

_PATCHES = ("append", "unappend", "unset")
_ENVELOPE = ("id", "list_id", "list_name", *_PATCHES)

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


def resource(fields: Record, context: Context | None = None) -> dict[str, Any]:  # noqa: ARG001 - every action's signature
    """The profile as Klaviyo's JSON:API resource."""
    made: dict[str, Any] = {"type": "profile"}
    if "id" in fields:
        made["id"] = fields["id"]
    made["attributes"] = {name: value for name, value in fields.items() if name not in _ENVELOPE}
    if patch := {name: fields[name] for name in _PATCHES if name in fields}:
        made["meta"] = {"patch_properties": patch}
    return made


UPSERT_PROFILE = Action(
    name="upsert_profile",
    summary="Create people, or update them where they exist; optionally add them to a list.",
    streams=("profiles",),
    copied_from=("profiles", "get_profile", "profile_id"),
    operation=IMPORT,
    resource=resource,
    deliver=deliver,
    options=LIST_OPTIONS,
)
