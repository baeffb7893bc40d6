"""Klaviyo's jobs that say in their attributes what went wrong: of coupon codes, and of parts of the catalog."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from klaviyo_client.api.operations import operation
from klaviyo_client.api.protocol import api_error
from klaviyo_client.api.reply import Reply
from target_klaviyo.delivery import responses
from target_klaviyo.delivery.action import Unit, UnitOutcome
from target_klaviyo.delivery.batches import encode_json, split_by_size, unit_size
from target_klaviyo.delivery.jobs import Job, JobKind, count_in, failure
from target_klaviyo.delivery.refusals import error_outcome
from target_klaviyo.delivery.requests import send_chunks
from target_klaviyo.delivery.session import Session
from target_klaviyo.model.records import Outcome, OutcomeKind, Record

# Where a pointer of a job's own error leads to a row without saying of what.
_ROW_OF_JOB = re.compile(r"^/data/(\d+)(?:/|$)")
# The code of rows of a job of which some failed, and Klaviyo does not say which.
UNATTRIBUTED = "unattributed"


@dataclass(frozen=True)
class BulkChange:
    """One of the changes that Klaviyo makes by such jobs.

    Attributes:
        operation: Klaviyo's operation that begins a job.
        job_type: the JSON:API type of the job.
        rows: the attribute that holds its rows.
        kind: the kind of jobs, as they are followed.
        to_resource: a unit's payload -> the resource that is sent.
    """

    operation: str
    job_type: str
    rows: str
    kind: JobKind
    to_resource: Callable[[Record], Record]

    def body(self, units: Sequence[Unit]) -> bytes:
        """The request's body."""
        rows = {"data": [self.to_resource(unit.payload) for unit in units]}
        return encode_json({"data": {"type": self.job_type, "attributes": {self.rows: rows}}})


def send(session: Session, change: BulkChange, units: Sequence[Unit]) -> Iterator[UnitOutcome]:
    """Send units in jobs, follow these to their end, and yield what became of each unit.

    A job that is begun twice, because the first answer was lost, finds done what the first has done.

    Raises:
        Refused: the key, a scope or the revision is wrong.
        Unavailable: Klaviyo cannot be reached.
        Incomplete: a job did not end in time.
    """

    def begin(part: Sequence[Unit]) -> Reply:
        return session.client.call(change.operation, body=change.body(part), idempotent=True)

    def outcomes_of(part: Sequence[Unit], reply: Reply) -> Iterator[UnitOutcome]:
        job_id = reply.resource["id"]
        job = session.job_pollers[change.kind].wait_for(job_id)
        if (rejection := failure(change.kind, job_id, job, reply.status)) is not None:
            yield from ((unit, rejection) for unit in part)
        else:
            yield from _outcomes_in(job, part, reply)

    limits = operation(change.operation)
    max_bytes = math.inf if limits.max_bytes is None else limits.max_bytes - len(change.body([]))
    chunks = split_by_size(units, unit_size, max_count=limits.max_items or 1, max_bytes=max_bytes)
    yield from send_chunks(chunks, begin, outcomes_of)


def _outcomes_in(job: Job, units: Sequence[Unit], reply: Reply) -> Iterator[UnitOutcome]:
    """One outcome for each unit of a job that is complete."""
    listed = job.get("errors")
    errors = [error for error in listed if isinstance(error, Mapping)] if isinstance(listed, list) else []
    rejected: dict[int, Outcome] = {}
    for error in errors:
        position = _position(api_error(error).pointer)
        if position is not None and position < len(units):
            rejected.setdefault(position, _error_outcome(error, reply.status))
    unattributed = max(_failures(job) - len(rejected), len(errors) - len(rejected))
    reason = f"{unattributed} rows of this job failed, and Klaviyo does not say which"
    perhaps = Outcome(OutcomeKind.ACCEPTED, reply.status, UNATTRIBUTED, None, reason)
    delivered = perhaps if unattributed > 0 else Outcome(OutcomeKind.DELIVERED, reply.status)
    yield from ((unit, rejected.get(position, delivered)) for position, unit in enumerate(units))


def _position(pointer: str | None) -> int | None:
    """The position in the job of the row that a pointer leads to."""
    match = _ROW_OF_JOB.match(pointer or "")
    return int(match[1]) if match else responses.row_index(pointer)


def _failures(job: Job) -> int:
    """How many rows failed, as the job's counts say it, any of which may be null."""
    total, completed, failed = (count_in(job, f"{name}_count") for name in ("total", "completed", "failed"))
    if failed is not None:
        return failed
    return 0 if total is None or completed is None else total - completed


def _error_outcome(error: Mapping[str, Any], status: int) -> Outcome:
    found = api_error(error)
    reason = found.detail or found.title or "Klaviyo rejected the row in its job and gave no reason"
    return error_outcome(replace(found, code=found.code or "job_error", detail=reason), status)
