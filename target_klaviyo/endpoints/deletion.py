"""Deletion: Klaviyo is asked to delete a person for good."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from klaviyo_client.api.reply import Reply
from target_klaviyo.delivery.action import Row, Unit, UnitOutcome
from target_klaviyo.delivery.batches import encoded
from target_klaviyo.delivery.requests import alone, attempt
from target_klaviyo.delivery.session import Session
from target_klaviyo.endpoints import people
from target_klaviyo.model.records import Outcome, OutcomeKind, Record

DELETE = "request_profile_deletion"
_NOBODY = "nobody has this external_id, so nobody was deleted"
_GONE = "Klaviyo has nobody of this identifier: gone already, or never there"


def deliver(session: Session, rows: Sequence[Row]) -> Iterator[UnitOutcome]:
    """Ask for the deletion of ALL profiles that match a row's one identifier.

    Klaviyo takes no external id: whoever is named by one is looked up first. Whoever is gone already is done.

    Raises:
        Refused: the key, a scope or the revision is wrong.
        Unavailable: Klaviyo cannot be reached.
    """
    answer = people.looked_up(session, "external_id", rows)
    for row in rows:
        if "external_id" not in row.payload["attributes"]:
            yield _deleted(session, alone(row), row.payload)
        elif row in answer.ids:
            yield _deleted(session, alone(row), {"type": "profile", "id": answer.ids[row], "attributes": {}})
        else:
            nobody = Outcome(OutcomeKind.DELIVERED, 200, "not_found", None, _NOBODY)
            yield alone(row), answer.refused.get(row, nobody)


def _deleted(session: Session, unit: Unit, profile: Record) -> UnitOutcome:
    document = {"data": {"type": "data-privacy-deletion-job", "attributes": {"profile": {"data": profile}}}}

    def send(_part: Sequence[Unit]) -> Reply:
        # Done twice it is done once.
        return session.client.call(DELETE, body=encoded(document), idempotent=True)

    done = attempt([unit], send)
    for _, reply in done.taken:
        return unit, Outcome(OutcomeKind.ACCEPTED, reply.status)
    _, outcome = done.settled[0]
    if outcome.status == 404:  # also where the answer to a first request was lost, and this is the second's
        outcome = Outcome(OutcomeKind.DELIVERED, 404, "not_found", None, _GONE)
    return unit, outcome
