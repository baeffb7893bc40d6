"""Suppression: people who get no e-mail whatever they consented to, by jobs of which Klaviyo only gives counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from klaviyo_client.api.operations import operation
from klaviyo_client.api.reply import Reply
from target_klaviyo.delivery.action import Row, Unit, UnitOutcome
from target_klaviyo.delivery.batches import chunks, encoded, waves
from target_klaviyo.delivery.jobs import SUPPRESSIONS, UNSUPPRESSIONS
from target_klaviyo.delivery.requests import attempt
from target_klaviyo.delivery.session import Session
from target_klaviyo.model.records import Outcome, OutcomeKind

SUPPRESS = "bulk_suppress_profiles"
UNSUPPRESS = "bulk_unsuppress_profiles"

_TYPES = {SUPPRESS: "profile-suppression-bulk-create-job", UNSUPPRESS: "profile-suppression-bulk-delete-job"}
_JOBS = {SUPPRESS: SUPPRESSIONS, UNSUPPRESS: UNSUPPRESSIONS}


def suppress(session: Session, rows: Sequence[Row]) -> Iterator[UnitOutcome]:
    """Suppress the rows' people.

    Raises:
        Refused: the key, a scope or the revision is wrong.
        Unavailable: Klaviyo cannot be reached.
        Incomplete: a job did not end in time.
    """
    yield from _done(session, SUPPRESS, rows)


def unsuppress(session: Session, rows: Sequence[Row]) -> Iterator[UnitOutcome]:
    """Lift the suppressions that somebody made; unsubscriptions and bounces stay.

    Raises:
        Refused: the key, a scope or the revision is wrong.
        Unavailable: Klaviyo cannot be reached.
        Incomplete: a job did not end in time.
    """
    yield from _done(session, UNSUPPRESS, rows)


def _done(session: Session, name: str, rows: Sequence[Row]) -> Iterator[UnitOutcome]:
    def send(part: Sequence[Unit]) -> Reply:
        # Done twice it is done once.
        return session.client.call(name, body=_body(name, part), idempotent=True)

    for units in waves(rows):
        for chunk in chunks(units, max_items=operation(name).max_items or 1, max_bytes=None):
            done = attempt(chunk, send)
            yield from done.settled
            for part, reply in done.taken:
                outcome = _outcome(session, name, reply)
                yield from ((unit, outcome) for unit in part)


def _body(name: str, units: Sequence[Unit]) -> bytes:
    # Never a list or a segment: that would be everybody who is on it.
    profiles = [msgspec.Raw(unit.body) for unit in units]
    return encoded({"data": {"type": _TYPES[name], "attributes": {"profiles": {"data": profiles}}}})


def _outcome(session: Session, name: str, reply: Reply) -> Outcome:
    """What the job came to, for all of its people alike."""
    job_id = reply.resource["id"]
    job = session.watches[_JOBS[name]].ended(job_id)
    if job["status"] == "cancelled":
        reason = f"Klaviyo cancelled the suppression job {job_id}; some of its people may have been done"
        return Outcome(OutcomeKind.REJECTED, reply.status, "job_cancelled", None, reason)
    skipped = job.get("skipped_count") or 0
    if skipped:
        reason = f"Klaviyo skipped {skipped} of this job's {job['total_count']} people, and does not say whom"
        return Outcome(OutcomeKind.ACCEPTED, reply.status, "skipped", None, reason)
    return Outcome(OutcomeKind.DELIVERED, reply.status)
