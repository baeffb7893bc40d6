"""Jobs that make coupon codes, and make, change or delete parts of the catalog: what went wrong is in their attributes.

As other jobs they are queued, then processing, then complete, and are carried out when somebody next asks the account
for something after they are due.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from klaviyo_sandbox.account import catalog, coupons
from klaviyo_sandbox.account.ids import ulid
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.spec.errors import Problem, Refusal, throttled
from klaviyo_sandbox.spec.times import format_datetime, format_microsecond

# Carries out one row of a job, and gives the id of what it made, changed or deleted; refuses what cannot be.
CarryOut = Callable[[Store, Mapping[str, Any]], str]

# Type of the jobs -> (member of the body that holds the rows, member of the job that holds ids, what is done).
KINDS: Mapping[str, tuple[str, str, CarryOut]] = {
    "coupon-code-bulk-create-job": ("coupon-codes", "code_ids", coupons.create_code),
    **{
        f"{kind}-bulk-{verb}-job": (plural, member, carry_out)
        for kind, plural, member in (
            (catalog.ITEM, "items", "item_ids"),
            (catalog.VARIANT, "variants", "variant_ids"),
            (catalog.CATEGORY, "categories", "category_ids"),
        )
        for verb, carry_out in (("create", catalog.create), ("update", catalog.update), ("delete", catalog.delete))
    },
}
# How many jobs may wait at once, as the descriptions of the operations have it.
_MAX_QUEUED = {"coupon-code-bulk-create-job": 100}
_MAX_CATALOG_JOBS = 500
# Share of a job's time that it waits before it is processed.
_QUEUED_SHARE = 0.25
_LIFETIME = timedelta(days=7)


def accept(store: Store, kind: str, resources: Sequence[Mapping[str, Any]]) -> Row:
    """Accept a job; returns the row to show.

    Raises:
        Refusal: 429, too many wait already.
    """
    table = store.resources[kind]
    if sum("resources" in job for job in table.rows.values()) >= _MAX_QUEUED.get(kind, _MAX_CATALOG_JOBS):
        raise throttled(1)
    now, never_starts = store.clock(), store.job_end == "never"
    member = KINDS[kind][1]
    job = {
        "id": ulid(int(now * 1000), random.SystemRandom()),
        "status": "queued",
        "created_at": format_microsecond(store.now()),
        "total_count": len(resources),
        "completed_count": 0,
        "failed_count": 0,
        "completed_at": None,
        "expires_at": format_datetime(store.now() + _LIFETIME),
        "errors": [],
        member: [],
        "resources": tuple(resources),
        "starts": None if never_starts else now + store.job_seconds * _QUEUED_SHARE,
        "ends": None if never_starts else now + store.job_seconds,
        "is_cancelled": store.job_end == "cancelled",
    }
    table.put(job)
    return view(store, job)


def view(store: Store, job: Row) -> Row:
    """The job as it is shown now."""
    if job.get("starts") is None or job["status"] != "queued" or store.clock() < job["starts"]:
        return job
    return {**job, "status": "processing"}


def run_due(store: Store) -> None:
    """Carry out every job that is due, in the order in which they end."""
    now = store.clock()
    due = [
        (float(job["ends"]), kind, job)
        for kind in KINDS
        for job in (store.resources[kind].rows.values() if kind in store.resources else ())
        if "resources" in job and (math.inf if job["ends"] is None else job["ends"]) <= now
    ]
    for _, kind, job in sorted(due, key=lambda entry: entry[0]):
        _carry_out(store, kind, job)


def _carry_out(store: Store, kind: str, job: Row) -> None:
    plural, member, carry_out = KINDS[kind]
    ids, errors = [], []
    for position, resource in enumerate(() if job["is_cancelled"] else job["resources"]):
        try:
            ids.append(carry_out(store, resource))
        except Refusal as refusal:
            problem = refusal.problems[0]
            errors.append(_error(store, problem, f"/data/attributes/{plural}/data/{position}"))
    ended = {name: value for name, value in job.items() if name not in ("resources", "starts", "ends")}
    store.resources[kind].put({
        **ended,
        "status": "cancelled" if job["is_cancelled"] else "complete",
        "completed_count": len(ids),
        "failed_count": len(errors),
        "completed_at": None if job["is_cancelled"] else format_microsecond(store.now()),
        "errors": errors,
        member: ids,
    })  # fmt: skip


def _error(store: Store, problem: Problem, row: str) -> Mapping[str, Any]:
    """A job's error; whether it says which row it is about, ``store.pointers`` decides."""
    pointer = "/data" if store.pointers == "none" else f"{row}{problem.source['pointer']}"
    return {
        "id": ulid(int(store.clock() * 1000), random.SystemRandom()),
        "code": problem.code,
        "title": problem.title,
        "detail": problem.detail,
        "source": {"pointer": pointer},
    }
