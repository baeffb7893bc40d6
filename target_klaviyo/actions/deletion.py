"""Deletion: people are deleted for good, as the GDPR and the CCPA ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from klaviyo_client.api.reply import Reply
from target_klaviyo.delivery.action import Action, Row, Unit, UnitOutcome
from target_klaviyo.delivery.batches import encode_json
from target_klaviyo.delivery.requests import send_splitting, single
from target_klaviyo.delivery.session import Session
from target_klaviyo.endpoints import people
from target_klaviyo.model.identifiers import IDENTIFIERS, note_left_out, require_valid_identifiers
from target_klaviyo.model.records import Context, Note, Options, Outcome, OutcomeKind, Record, RejectedRecord

_DELETE = "request_profile_deletion"
_NOBODY = "no profile has this external_id, so none was deleted"
_NOT_THERE = "no profile has this identifier: it was deleted before, or never existed"


def _select_fields(
    fields: Record, faults: Mapping[str, RejectedRecord], context: Context
) -> tuple[Record, Note | None]:
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
        raise ValueError("allow_deletion must be true: a deletion cannot be undone")


def _deliver(session: Session, rows: Sequence[Row]) -> Iterator[UnitOutcome]:
    """Ask for the deletion of ALL profiles that match a row's one identifier.

    Klaviyo takes no external id: whoever is named by one is looked up first. Whoever is gone already is done.

    Raises:
        Refused: the key, a scope or the revision is wrong.
        Unavailable: Klaviyo cannot be reached.
    """
    matches = people.find_by(session, "external_id", rows)
    for row in rows:
        if "external_id" not in row.payload["attributes"]:
            yield _delete(session, single(row), row.payload)
        elif row in matches.ids:
            yield _delete(session, single(row), {"type": "profile", "id": matches.ids[row], "attributes": {}})
        else:
            nobody = Outcome(OutcomeKind.DELIVERED, 200, "not_found", None, _NOBODY)
            yield single(row), matches.refused.get(row, nobody)


def _delete(session: Session, unit: Unit, profile: Record) -> UnitOutcome:
    document = {"data": {"type": "data-privacy-deletion-job", "attributes": {"profile": {"data": profile}}}}

    def send(_part: Sequence[Unit]) -> Reply:
        # Done twice it is done once.
        return session.client.call(_DELETE, body=encode_json(document), idempotent=True)

    result = send_splitting([unit], send)
    for _, reply in result.accepted:
        return unit, Outcome(OutcomeKind.ACCEPTED, reply.status)
    _, outcome = result.outcomes[0]
    if outcome.status == 404:  # also where the answer to a first request was lost, and this is the second's
        outcome = Outcome(OutcomeKind.DELIVERED, 404, "not_found", None, _NOT_THERE)
    return unit, outcome


DELETE_PROFILE = Action(
    name="delete_profile",
    summary=(
        "Delete people for good: all profiles that match one identifier of the record, the first that can be used of "
        "(mapped) id, email, phone_number and external_id."
    ),
    operation=_DELETE,
    other_operations=(people.find_call("to find who has an external_id", field="external_id"),),
    resource=_resource,
    select_fields=_select_fields,
    deliver=_deliver,
    adds=frozenset(),
    removes=lambda _batch_key: frozenset({"profile", "consent", "list"}),
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
