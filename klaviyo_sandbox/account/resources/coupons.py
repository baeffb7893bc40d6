"""Coupons, their codes, and the bulk jobs that created codes."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from klaviyo_sandbox.account import bulk_jobs as running_jobs
from klaviyo_sandbox.account.coupons import CODE, COUPON
from klaviyo_sandbox.account.ids import short_id
from klaviyo_sandbox.account.relations import referenced_by, references
from klaviyo_sandbox.account.resources.read_operation import ReadOperation, all_rows, related_rows
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.bulk_jobs import bulk_jobs
from klaviyo_sandbox.account.store import Relation, Store
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.times import format_datetime

JOB = "coupon-code-bulk-create-job"


READS: Mapping[str, ReadOperation] = {
    "get_coupons": ReadOperation(COUPON, all_rows(COUPON)),
    "get_coupon": ReadOperation(COUPON),
    "get_coupon_codes": ReadOperation(
        CODE,
        all_rows(CODE),
        required_filters=("coupon.id", "profile.id"),
        stored_paths={"coupon.id": "coupon_id", "profile.id": "profile_id"},
    ),
    "get_coupon_code": ReadOperation(CODE),
    "get_coupon_codes_for_coupon": ReadOperation(CODE, related_rows(COUPON, "coupon-codes")),
    "get_coupon_code_ids_for_coupon": ReadOperation(CODE, related_rows(COUPON, "coupon-codes")),
    "get_coupon_for_coupon_code": ReadOperation(COUPON, related_rows(CODE, "coupon"), to_one=True),
    "get_coupon_id_for_coupon_code": ReadOperation(COUPON, related_rows(CODE, "coupon"), to_one=True),
    "get_bulk_create_coupon_code_jobs": ReadOperation(JOB, all_rows(JOB), view=running_jobs.view),
    "get_bulk_create_coupon_codes_job": ReadOperation(JOB, id_parameter="job_id", view=running_jobs.view),
}
RELATIONS: Mapping[tuple[str, str], Relation] = {
    (COUPON, "coupon-codes"): referenced_by(CODE, "coupon_id"),
    (CODE, "coupon"): references(COUPON, "coupon_id"),
    (CODE, "profile"): references("profile", "profile_id"),
    (JOB, "coupon-codes"): references(CODE, "code_ids"),
}
# When somebody who has a code gets a new one: once it is used, and once it has expired.
_ASSIGNERS = [
    {"used": used, "unused_expired": unused_expired}
    for used, unused_expired in (
        *(("ALWAYS_ASSIGN", "NEVER_ASSIGN"), ("ASSIGN_IF_EXPIRED", "ALWAYS_ASSIGN")),
        *(("NEVER_ASSIGN", "NEVER_ASSIGN"), ("NEVER_ASSIGN", "ALWAYS_ASSIGN")),
    )
]
# (name, description, when to warn that codes run out, number of codes); the first has more than a page of codes.
_COUPONS: tuple[tuple[str, str | None, dict[str, Any] | None, int], ...] = (
    ("10OFF", "10% off for purchases over $50", {"low_balance_threshold": "500"}, 130),
    ("WELCOME_1", "Willkommen: 5 € für Neue", None, 6),
    ("SUMMER", None, {}, 1),
    ("NEVER_USED", "", None, 0),
)
_STATUSES = ("UNASSIGNED", "ASSIGNED_TO_PROFILE", "USED", "PROCESSING", "DELETING", "VERSION_NOT_ACTIVE")
_ASSIGNED = ("ASSIGNED_TO_PROFILE", "USED")


def rows(store: Store, rng_for: Callable[[str], random.Random], start: datetime, end: datetime) -> Mapping[str, Table]:
    """Four coupons, codes in every state, and four jobs."""
    _ = start
    members = itertools.chain.from_iterable(members.rows for members in store.list_members.values())
    profile_ids = list(itertools.islice(members, 20))
    rng = rng_for("coupons")
    codes = [_code(rng, name, index, profile_ids, end) for name, _, _, count in _COUPONS for index in range(count)]
    return {
        COUPON: Table(
            {
                "id": name,
                "external_id": name,
                "description": description,
                "monitor_configuration": monitor,
                "assigner_configuration": assigner,
            }
            for (name, description, monitor, _), assigner in zip(_COUPONS, _ASSIGNERS, strict=True)
        ),
        CODE: Table(codes),
        JOB: Table(bulk_jobs(rng_for("coupon jobs"), "code_ids", [row["id"] for row in codes], end)),
    }


def _code(rng: random.Random, coupon_id: str, index: int, profile_ids: list[str], end: datetime) -> Row:
    code, status = short_id(rng, 12), _STATUSES[index % len(_STATUSES)]
    expires = end + timedelta(days=rng.randrange(-100, 365))
    return {
        "id": f"{coupon_id}-{code}",
        "unique_code": code,
        "expires_at": None if index % 10 == 3 else format_datetime(expires),
        "status": status,
        "coupon_id": coupon_id,
        "profile_id": rng.choice(profile_ids) if profile_ids and status in _ASSIGNED else None,
    }
