"""Deletion: people are deleted for good, as the GDPR and the CCPA ask for."""

from __future__ import annotations

from typing import Any

from target_klaviyo import deletion, people
from target_klaviyo.identity import IDENTIFIERS
from target_klaviyo.model import Action, Context, Options, Record


def _resource(fields: Record, context: Context) -> dict[str, Any]:  # noqa: ARG001 - every action's signature
    """The person by one identifier, the strongest there is: Klaviyo refuses two."""
    name = next(name for name in IDENTIFIERS if name in fields)
    if name == "id":
        return {"type": "profile", "id": fields["id"], "attributes": {}}
    return {"type": "profile", "attributes": {name: fields[name]}}


def _check(options: Options) -> None:
    if not options["allow_deletion"]:
        raise ValueError("allow_deletion must be true: whoever is deleted cannot be brought back")


DELETE_PROFILE = Action(
    name="delete_profile",
    summary=(
        "Delete people for good: all profiles that match the record's one identifier, which is the (mapped) id, "
        "else email, phone_number or external_id."
    ),
    operation=deletion.DELETE,
    calls=(people.find("to find who has an external_id", field="external_id"),),
    resource=_resource,
    deliver=deletion.deliver,
    takes_deleted=True,
    check=_check,
    options={
        "allow_deletion": {
            "type": "boolean",
            "default": False,
            "description": "Must be true: a deletion cannot be undone, and nobody should ask for one by accident.",
        },
    },
)
