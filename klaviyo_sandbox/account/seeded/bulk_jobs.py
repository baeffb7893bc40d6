"""Bulk jobs that are in the account from the beginning, as other tools leave them behind."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from klaviyo_sandbox.account.ids import ulid
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.times import random_time
from klaviyo_sandbox.spec.times import format_datetime

_LIFETIME = timedelta(days=7)
# (status, number of rows, number of failed rows) of the jobs of a kind, the oldest first.
_JOBS = (("complete", 3, 0), ("complete", 3, 1), ("cancelled", 2, 0), ("queued", 1, 0))


def bulk_jobs(rng: random.Random, member: str, row_ids: list[str], end: datetime) -> list[Row]:
    """Jobs of one kind, whose errors are in their attributes: complete, complete in part, cancelled and queued.

    Args:
        rng: draws the jobs.
        member: name of the member for the ids of the rows that a job has created or changed.
        row_ids: ids of the rows that exist.
        end: no job is newer.
    """
    return [_job(rng, member, row_ids, end, *job) for job in _JOBS]


def _job(
    rng: random.Random, member: str, row_ids: list[str], end: datetime, status: str, total: int, failed: int
) -> Row:
    created = random_time(rng, end - _LIFETIME, end, microseconds=True)
    is_complete = status == "complete"
    return {
        "id": ulid(int(created.timestamp() * 1000), rng),
        "status": status,
        "created_at": format_datetime(created),
        "total_count": total,
        "completed_count": total - failed if is_complete else None if status == "queued" else 0,
        "failed_count": failed if is_complete else None if status == "queued" else 0,
        "completed_at": format_datetime(created + timedelta(seconds=40)) if is_complete else None,
        "expires_at": None if status == "queued" else format_datetime(created + _LIFETIME),
        "errors": [_error(rng, index) for index in range(failed)],
        member: rng.sample(row_ids, min(total - failed, len(row_ids))) if is_complete else [],
    }


def _error(rng: random.Random, index: int) -> Mapping[str, Any]:
    return {
        "id": ulid(rng.randrange(1 << 48), rng),
        "code": "invalid",
        "title": "Invalid input.",
        "detail": "Der Wert „zwölf“ ist ungültig.",
        "source": {"pointer": f"/data/{index}"},
    }
