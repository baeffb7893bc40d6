"""Deletion: people are deleted for good, as the GDPR and the CCPA ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from target_klaviyo.delivery.action import Action
from target_klaviyo.endpoints import deletion, people
from target_klaviyo.model.identifiers import IDENTIFIERS, note_left_out, require_valid_identifiers
from target_klaviyo.model.records import Context, Note, Options, Record, RejectedRecord


def _sifted(fields: Record, faults: Mapping[str, RejectedRecord], context: Context) -> tuple[Record, Note | None]:
    """One identifier, the strongest that can be used: Klaviyo refuses two.

    Raises:
        RejectedRecord: none can be used.
    """
    for name in IDENTIFIERS:
        if name in fields:
            return {name: fields[name]}, note_left_out(faults)
    return require_valid_identifiers(fields, faults, context)


def _resource(fields: Record, context: Context) -> dict[str, Any]:  # noqa: ARG001 - every action's signature
    """The person by their one identifier."""
    (name,) = fields
    if name == "id":
        return {"type": "profile", "id": fields["id"], "attributes": {}}
    return {"type": "profile", "attributes": {name: fields[name]}}


def _check(options: Options) -> None:
    if not options["allow_deletion"]:
        raise ValueError("allow_deletion must be true: whoever is deleted cannot be brought back")


DELETE_PROFILE = Action(
    name="delete_profile",
    summary=(
        "Delete people for good: all profiles that match one identifier of the record, the first that can be used of "
        "(mapped) id, email, phone_number and external_id."
    ),
    operation=deletion.DELETE,
    other_operations=(people.find("to find who has an external_id", field="external_id"),),
    resource=_resource,
    select_fields=_sifted,
    deliver=deletion.deliver,
    adds=frozenset(),
    removes=lambda _terms: frozenset({"profile", "consent", "list"}),
    accepts_deleted=True,
    check=_check,
    options={
        "allow_deletion": {
            "type": "boolean",
            "default": False,
            "description": "Must be true: a deletion cannot be undone, and nobody should ask for one by accident.",
        },
    },
)
