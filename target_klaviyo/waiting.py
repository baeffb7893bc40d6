"""Waits for one of Klaviyo's jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from klaviyo_client.command import Incomplete
from target_klaviyo.delivery import Session

_FIRST_WAIT = 0.25
_LONGEST_WAIT = 15.0


def ended(session: Session, operation: str, job_id: str, what: str) -> Mapping[str, Any]:
    """The job's attributes once it is complete or cancelled.

    Args:
        session: whose job_timeout bounds the waiting.
        operation: Klaviyo's operation that reads such a job.
        job_id: Klaviyo's id of it.
        what: the job's kind, for people.

    Raises:
        Incomplete: it did not end in time.
    """
    clock = session.client.clock
    deadline = clock.monotonic() + session.job_timeout
    pause = _FIRST_WAIT
    while True:
        document = session.client.call(operation, path={"job_id": job_id}).document
        job: Mapping[str, Any] = document["data"]["attributes"]
        if job["status"] in ("complete", "cancelled"):
            return job
        if clock.monotonic() + pause > deadline:
            raise Incomplete(
                f"{what} {job_id} is still {job['status']} after {session.job_timeout:g} s (job_timeout); "
                "run again, which repeats nothing that was done"
            )
        clock.sleep(pause)
        pause = min(pause * 2, _LONGEST_WAIT)
