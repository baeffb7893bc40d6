"""Imports and suppressions of profiles that other tools have asked for, and what there is to read of imports."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from klaviyo_sandbox import jobs
from klaviyo_sandbox.filters import moment
from klaviyo_sandbox.ids import ulid
from klaviyo_sandbox.read import Read, of
from klaviyo_sandbox.relations import Related, held
from klaviyo_sandbox.store import Row, Store, Table

READS: Mapping[str, Read] = {
    "get_list_for_bulk_import_profiles_job": Read("list", of(jobs.IMPORT, "lists")),
    "get_list_ids_for_bulk_import_profiles_job": Read("list", of(jobs.IMPORT, "lists")),
    "get_profiles_for_bulk_import_profiles_job": Read("profile", of(jobs.IMPORT, "profiles")),
    "get_profile_ids_for_bulk_import_profiles_job": Read("profile", of(jobs.IMPORT, "profiles")),
}
RELATIONS: Mapping[tuple[str, str], Related] = {
    (jobs.IMPORT, "profiles"): held("profile", "profile_ids"),
    (jobs.IMPORT, "import-errors"): lambda _, job: [("import-error", failure["id"]) for failure in job["failures"]],
}
# What each import failed at: more than a page of it, some, and nothing.
_FAILURES = (130, 2, 0, 0)


def rows(store: Store, numbers: Callable[[str], random.Random], start: datetime, end: datetime) -> Mapping[str, Table]:
    """Puts jobs of each kind into the account, where those that it takes in itself stand too."""
    _ = start
    rng, list_ids, segment_ids = numbers("jobs"), list(store.lists.rows), list(store.segments.rows)
    everybody = itertools.chain.from_iterable(members.rows for members in store.list_members.values())
    profile_ids = list(dict.fromkeys(itertools.islice(everybody, 300)))
    for at, failed in enumerate(_FAILURES):
        into, touched = list_ids[: at % 3], profile_ids[: 150 // (at + 1)]
        failures = tuple(_failure(rng, number) for number in range(failed))
        # The last was cancelled before it touched anybody.
        done = {"profile_ids": tuple(touched), "failures": failures} if at < len(_FAILURES) - 1 else {"failures": ()}
        ended = _ended(rng, jobs.IMPORT, end, len(touched) + failed, is_cancelled=at == len(_FAILURES) - 1)
        store.jobs.put({**ended, "list_ids": tuple(into), **done})
    groups: tuple[dict[str, str], ...] = ({"list_id": list_ids[0]}, {"segment_id": segment_ids[0]}, {})
    for kind in (jobs.SUPPRESS, jobs.UNSUPPRESS):
        for at, group in enumerate(groups):
            ended = _ended(rng, kind, end, 10 * at, is_cancelled=at == len(groups) - 1)
            jobs.table(store, kind).put({**ended, "whom": (), "skipped": at, **group})
    return {}


def _ended(rng: random.Random, kind: str, end: datetime, count: int, *, is_cancelled: bool) -> Row:
    created = end - timedelta(seconds=rng.randrange(3_600, 86_400 * 6))
    return {
        "id": ulid(int(created.timestamp() * 1000), rng),
        "kind": kind,
        "created_at": moment(created),
        "total_count": count,
        "starts": created.timestamp() + 5,
        "ends": created.timestamp() + 60,
        "is_cancelled": is_cancelled,
        "is_over": True,
        "resources": (),
    }


def _failure(rng: random.Random, number: int) -> Mapping[str, Any]:
    return {
        "id": ulid(rng.randrange(1 << 48), rng),
        "code": "invalid",
        "title": "Invalid input.",
        "detail": "Invalid email address",
        "source": {"pointer": None if number % 7 == 3 else "/data/attributes/email"},
        "original_payload": None if number % 7 == 5 else {"first_name": "Zoë", "email": f"row{number}(at)example.com"},
    }
