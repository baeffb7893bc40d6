"""Asynchronous jobs: they are queued, then processing, then complete; ``store.job_end`` may end them otherwise.

A job is carried out when somebody next asks the account for something after the job is due.
"""

from __future__ import annotations

import base64
import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from klaviyo_sandbox.account import bulk_jobs, consent, profiles
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.errors import Problem, Refusal, not_found
from klaviyo_sandbox.spec.times import format_datetime, format_second

IMPORT = "profile-bulk-import-job"
SUPPRESS = "profile-suppression-bulk-create-job"
UNSUPPRESS = "profile-suppression-bulk-delete-job"

# Share of a job's time that it waits before it is processed.
_QUEUED_SHARE = 0.25
_LIFETIME = timedelta(days=7)

_TABLES: Mapping[str, Callable[[Store], Table]] = {
    IMPORT: lambda store: store.jobs,
    SUPPRESS: lambda store: store.suppress_jobs,
    UNSUPPRESS: lambda store: store.unsuppress_jobs,
}


def table_of(store: Store, kind: str) -> Table:
    return _TABLES[kind](store)


def accept_import(store: Store, resources: Sequence[Mapping[str, Any]], list_ids: Sequence[str]) -> Row:
    """Accept a bulk import; returns the row to show."""
    details = {"resources": tuple(resources), "list_ids": tuple(list_ids), "failures": ()}
    return view(store, _accept(store, IMPORT, len(resources), details))


def accept_suppression(store: Store, kind: str, whom: Sequence[tuple[str, str]], group: Mapping[str, str]) -> Row:
    """Accept a job that suppresses or unsuppresses profiles, each named by ("id" or "email", value).

    ``group`` is the "list_id" or "segment_id" that they come from, if any. Returns the row to show: as in live answers
    it is being processed at once, and its profiles are not counted yet.
    """
    accepted = _accept(store, kind, len(whom), {"whom": tuple(whom), "skipped": 0, **group})
    return {**view(store, accepted), "status": "processing", "total_count": 0}


def _accept(store: Store, kind: str, count: int, details: Mapping[str, Any]) -> Row:
    now = store.clock()
    never_starts = store.job_end == "never"
    # Klaviyo's job ids are base64 too, and as opaque.
    job_id = base64.urlsafe_b64encode(f"default:maintenance.{uuid.uuid4().hex[:8]}".encode()).decode().rstrip("=")
    job = {
        "id": job_id,
        "kind": kind,
        "created_at": format_second(int(now)),
        "total_count": count,
        "starts": math.inf if never_starts else now + store.job_seconds * _QUEUED_SHARE,
        "ends": math.inf if never_starts else now + store.job_seconds,
        "is_cancelled": store.job_end == "cancelled",
        "is_over": False,
        **details,
    }
    table_of(store, kind).put(job)
    return job


def run_due(store: Store) -> None:
    """Carry out every job that is due, in the order they came."""
    now = store.clock()
    due = [
        job
        for kind in _TABLES
        for job in table_of(store, kind).rows.values()
        if not job["is_over"] and job["ends"] <= now
    ]
    for job in sorted(due, key=lambda job: float(job["ends"])):
        results: Mapping[str, Any] = {}
        if not job["is_cancelled"]:
            results = _run_import(store, job) if job["kind"] == IMPORT else _run_suppression(store, job)
        # The request is not needed any more.
        table_of(store, job["kind"]).put({**job, "resources": (), "whom": (), **results, "is_over": True})
    bulk_jobs.run_due(store)


def _run_import(store: Store, job: Row) -> Mapping[str, Any]:
    failures, profile_ids = [], []
    for resource in job["resources"]:
        try:
            result = profiles.upsert(store, resource, keep_on_null=True)
        except Refusal as refusal:
            failures.append(_import_error(refusal.problems[0], resource))
            continue
        profile_ids.append(result.row["id"])
        for list_id in job["list_ids"]:
            store.add_to_list(list_id, result.row["id"])
    return {"failures": failures, "profile_ids": tuple(dict.fromkeys(profile_ids))}


def _run_suppression(store: Store, job: Row) -> Mapping[str, Any]:
    """Change the profiles that the job makes a difference for; count the others, and unknown addresses, as skipped."""
    suppresses = job["kind"] == SUPPRESS
    change = consent.with_suppression if suppresses else consent.without_suppression
    skipped = 0
    for name, value in job["whom"]:
        profile_id = value if name == "id" else store.find_profile_id(name, value)
        row = store.profiles.get(profile_id) if profile_id else None
        subscriptions = change(row["subscriptions"], store.moment_text()) if row else None
        if row is None or subscriptions == row["subscriptions"]:
            skipped += 1
        else:
            updated = store.updated_by_suppression(row) if suppresses else store.now_text()
            store.put_profile({**row, "subscriptions": subscriptions, "updated": updated})
    return {"skipped": skipped}


def view(store: Store, job: Row) -> Row:
    """The job as it is shown now: its status, and how many rows are done."""
    now = store.clock()
    is_over = job["is_over"]
    status = "processing" if job["starts"] <= now else "queued"
    if is_over:
        status = "cancelled" if job["is_cancelled"] else "complete"
    not_completed = job["skipped"] if "skipped" in job else len(job["failures"])
    common = {
        "id": job["id"],
        "status": status,
        "created_at": job["created_at"],
        "total_count": job["total_count"],
        "completed_count": job["total_count"] - not_completed if status == "complete" else 0,
        "completed_at": format_second(int(job["ends"])) if status == "complete" else None,
    }
    if job["kind"] != IMPORT:
        groups = {name: job[name] for name in ("list_id", "segment_id") if name in job}
        return {**common, "skipped_count": not_completed, **groups}
    return {
        **common,
        "failed_count": not_completed,
        "started_at": None if status == "queued" else format_second(int(job["starts"])),
        "expires_at": format_datetime(datetime.fromisoformat(job["created_at"]) + _LIFETIME),
        "list_ids": job["list_ids"],
    }


def errors_of(store: Store, params: Mapping[str, str]) -> Table:
    """The import errors of a job; there are none before it is complete.

    Raises:
        Refusal: 404, there is no such job.
    """
    job = store.jobs.get(params["id"])
    if job is None:
        raise not_found(f"A profile bulk import job with id {params['id']} does not exist.")
    return Table(job["failures"])


def _import_error(problem: Problem, resource: Mapping[str, Any]) -> Row:
    payload = dict(resource["attributes"])
    if resource.get("id"):
        payload["id"] = resource["id"]
    return {
        "id": str(uuid.uuid4()),
        "code": problem.code,
        "title": problem.title,
        "detail": problem.detail,
        # Klaviyo does not say which row failed: the caller must recognise the payload.
        "source": {"pointer": "/data"},
        "original_payload": payload,
    }
