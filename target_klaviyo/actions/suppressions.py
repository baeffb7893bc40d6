"""Suppression: keep e-mail from people, or let it reach them again. Only ever done by the action's name.

Suppressed people get no e-mail whatever they consented to. Klaviyo does it by jobs, of which it only gives counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from klaviyo_client.api.operations import operation
from klaviyo_client.api.reply import Reply
from target_klaviyo.delivery.action import Action, Row, Unit, UnitOutcome
from target_klaviyo.delivery.batches import conflict_free_groups, split_by_size, unit_size
from target_klaviyo.delivery.jobs import SUPPRESSIONS, UNSUPPRESSIONS, count_in, failure, polling_calls
from target_klaviyo.delivery.requests import send_chunks, send_halving
from target_klaviyo.delivery.session import Session
from target_klaviyo.endpoints.profile_jobs import profile_job_body
from target_klaviyo.model.records import Context, Outcome, OutcomeKind, Record

_SUPPRESS = "bulk_suppress_profiles"
_UNSUPPRESS = "bulk_unsuppress_profiles"

_TYPES = {_SUPPRESS: "profile-suppression-bulk-create-job", _UNSUPPRESS: "profile-suppression-bulk-delete-job"}
_JOB_KINDS = {_SUPPRESS: SUPPRESSIONS, _UNSUPPRESS: UNSUPPRESSIONS}


def _suppress(session: Session, rows: Sequence[Row]) -> Iterator[UnitOutcome]:
    """Suppress the rows' people.

    Raises:
        Refused: the key, a scope or the revision is wrong.
        Unavailable: Klaviyo cannot be reached.
        Incomplete: a job did not end in time.
    """
    yield from _send(session, _SUPPRESS, rows)


def _unsuppress(session: Session, rows: Sequence[Row]) -> Iterator[UnitOutcome]:
    """Lift the suppressions that somebody made; unsubscriptions and bounces stay.

    Raises:
        Refused: the key, a scope or the revision is wrong.
        Unavailable: Klaviyo cannot be reached.
        Incomplete: a job did not end in time.
    """
    yield from _send(session, _UNSUPPRESS, rows)


def _send(session: Session, name: str, rows: Sequence[Row]) -> Iterator[UnitOutcome]:
    def send(part: Sequence[Unit]) -> Reply:
        # Never a list or a segment in the body: that would be everybody who is on it.
        # Done twice it is done once.
        return session.client.call(name, body=profile_job_body(_TYPES[name], part), idempotent=True)

    def outcomes_of(part: Sequence[Unit], reply: Reply) -> Iterator[UnitOutcome]:
        outcome = _job_outcome(session, name, reply)
        yield from ((unit, outcome) for unit in part)

    def send_all(units: Sequence[Unit]) -> Iterator[UnitOutcome]:
        chunks = split_by_size(units, unit_size, max_count=operation(name).max_items or 1)
        yield from send_chunks(chunks, send, outcomes_of)

    for units in conflict_free_groups(rows):
        yield from send_halving(units, send_all)


def _job_outcome(session: Session, name: str, reply: Reply) -> Outcome:
    """What the job came to, for all of its people alike."""
    job_id = reply.resource["id"]
    job = session.job_pollers[_JOB_KINDS[name]].wait_for(job_id)
    if (rejection := failure(_JOB_KINDS[name], job_id, job, reply.status)) is not None:
        return rejection
    skipped = count_in(job, "skipped_count")
    if skipped:
        total = count_in(job, "total_count")
        of_how_many = "the" if total is None else f"this job's {total}"
        reason = f"Klaviyo skipped {skipped} of {of_how_many} people, and does not say whom"
        return Outcome(OutcomeKind.ACCEPTED, reply.status, "skipped", None, reason)
    return Outcome(OutcomeKind.DELIVERED, reply.status)


def _resource(fields: Record, context: Context) -> dict[str, Any]:  # noqa: ARG001 - every action's signature
    return {"type": "profile", "attributes": {"email": fields["email"]}}


# Requests hold a hundred people, 12.5 may be sent a second, and each job is waited for.
_CONCURRENCY_FACTOR = 8

SUPPRESS = Action(
    name="suppress",
    summary="Keep all marketing e-mail from people, by their e-mail address, whatever they consented to.",
    operation=_SUPPRESS,
    other_operations=polling_calls(SUPPRESSIONS),
    resource=_resource,
    deliver=_suppress,
    removes=lambda _batch_key: frozenset({"consent"}),
    accepts_deleted=True,
    concurrency_factor=_CONCURRENCY_FACTOR,
)

UNSUPPRESS = Action(
    name="unsuppress",
    summary="Lift suppressions that somebody made, by e-mail address; unsubscriptions and bounces stay.",
    operation=_UNSUPPRESS,
    other_operations=polling_calls(UNSUPPRESSIONS),
    resource=_resource,
    deliver=_unsuppress,
    adds=frozenset({"consent"}),
    concurrency_factor=_CONCURRENCY_FACTOR,
)
