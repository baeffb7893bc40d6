"""Bulk import jobs: queued, processing, complete.

A job is carried out when it is due, on the next look at the account.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from klaviyo_sandbox import profiles
from klaviyo_sandbox.errors import Problem, Refusal, not_found
from klaviyo_sandbox.filters import moment
from klaviyo_sandbox.store import Row, Store, Table

KIND = "profile-bulk-import-job"

# Share of a job's time that it waits before it is worked on.
_QUEUED_SHARE = 0.25
_KEPT = timedelta(days=7)


def accept(store: Store, resources: Sequence[Mapping[str, Any]], list_ids: Sequence[str]) -> Row:
    """Take in a job that is complete ``store.job_seconds`` from now; the row to show."""
    now = store.clock()
    # Klaviyo's job ids are base64 too, and as opaque.
    job_id = base64.urlsafe_b64encode(f"default:maintenance.{uuid.uuid4().hex[:8]}".encode()).decode().rstrip("=")
    job = {
        "id": job_id,
        "created_at": _second(now),
        "total_count": len(resources),
        "starts": now + store.job_seconds * _QUEUED_SHARE,
        "ends": now + store.job_seconds,
        "resources": tuple(resources),
        "list_ids": tuple(list_ids),
        "failures": None,
    }
    store.jobs.put(job)
    return view(store, job)


def settle(store: Store) -> None:
    """Carry out every job that is due, in the order they came."""
    now = store.clock()
    due = [job for job in store.jobs.rows.values() if job["failures"] is None and job["ends"] <= now]
    for job in sorted(due, key=lambda job: float(job["ends"])):
        failures = Table()
        for resource in job["resources"]:
            try:
                written = profiles.upsert(store, resource, keep_on_null=True)
            except Refusal as refusal:
                failures.put(_import_error(refusal.problems[0], resource))
                continue
            for list_id in job["list_ids"]:
                join(store, list_id, written.row["id"])
        store.jobs.put({**job, "resources": (), "failures": failures})


def join(store: Store, list_id: str, profile_id: str) -> None:
    """Put a profile on a list; one that is on it keeps its place."""
    members = store.list_members[list_id]
    if profile_id not in members:
        members.put({"id": profile_id, "joined_group_at": store.second()})


def view(store: Store, job: Row) -> Row:
    """The job as it is shown now."""
    now = store.clock()
    failures = job["failures"]
    status = "complete" if failures is not None else "processing" if job["starts"] <= now else "queued"
    failed = 0 if failures is None else len(failures)
    return {
        "id": job["id"],
        "status": status,
        "created_at": job["created_at"],
        "total_count": job["total_count"],
        "completed_count": 0 if failures is None else job["total_count"] - failed,
        "failed_count": failed,
        "started_at": None if status == "queued" else _second(job["starts"]),
        "completed_at": None if failures is None else _second(job["ends"]),
        "expires_at": moment(datetime.fromisoformat(job["created_at"]) + _KEPT),
        "list_ids": job["list_ids"],
    }


def errors_of(store: Store, params: Mapping[str, str]) -> Table:
    """The import errors of a job, none before it is complete.

    Raises:
        Refusal: 404, there is no such job.
    """
    job = store.jobs.get(params["id"])
    if job is None:
        raise not_found(f"A profile bulk import job with id {params['id']} does not exist.")
    failures = job["failures"]
    return Table() if failures is None else failures


def _import_error(problem: Problem, resource: Mapping[str, Any]) -> Row:
    payload = dict(resource["attributes"])
    if resource.get("id"):
        payload["id"] = resource["id"]
    return {
        "id": str(uuid.uuid4()),
        "code": problem.code,
        "title": problem.title,
        "detail": problem.detail,
        # Klaviyo does not say which row failed: whoever asks must know the payload again.
        "source": {"pointer": "/data"},
        "original_payload": payload,
    }


def _second(when: float) -> str:
    return moment(datetime.fromtimestamp(int(when), UTC))
