"""Coupons, their codes, and the jobs by which codes were made."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from klaviyo_sandbox.account.ids import short_id
from klaviyo_sandbox.account.relations import referenced_by, references
from klaviyo_sandbox.account.resources.read_operation import Read, every, of
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.bulk_jobs import bulk_jobs
from klaviyo_sandbox.account.store import Relation, Store
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.times import format_datetime

COUPON, CODE, JOB = "coupon", "coupon-code", "coupon-code-bulk-create-job"

READS: Mapping[str, Read] = {
    "get_coupons": Read(COUPON, every(COUPON)),
    "get_coupon": Read(COUPON),
    "get_coupon_codes": Read(
        CODE,
        every(CODE),
        demanded=("coupon.id", "profile.id"),
        stored_as={"coupon.id": "coupon_id", "profile.id": "profile_id"},
    ),
    "get_coupon_code": Read(CODE),
    "get_coupon_codes_for_coupon": Read(CODE, of(COUPON, "coupon-codes")),
    "get_coupon_code_ids_for_coupon": Read(CODE, of(COUPON, "coupon-codes")),
    "get_coupon_for_coupon_code": Read(COUPON, of(CODE, "coupon"), to_one=True),
    "get_coupon_id_for_coupon_code": Read(COUPON, of(CODE, "coupon"), to_one=True),
    "get_bulk_create_coupon_code_jobs": Read(JOB, every(JOB)),
    "get_bulk_create_coupon_codes_job": Read(JOB, id_parameter="job_id"),
}
RELATIONS: Mapping[tuple[str, str], Relation] = {
    (COUPON, "coupon-codes"): referenced_by(CODE, "coupon_id"),
    (CODE, "coupon"): references(COUPON, "coupon_id"),
    (CODE, "profile"): references("profile", "profile_id"),
    (JOB, "coupon-codes"): references(CODE, "code_ids"),
}
# Name, description, when to warn that codes run out, and how many codes there are: more than a page of the first.
_COUPONS: tuple[tuple[str, str | None, dict[str, Any] | None, int], ...] = (
    ("10OFF", "10% off for purchases over $50", {"low_balance_threshold": 500}, 130),
    ("WELCOME_1", "Willkommen: 5 € für Neue", None, 6),
    ("SUMMER", None, {}, 1),
    ("NEVER_USED", "", None, 0),
)
_STATUSES = ("UNASSIGNED", "ASSIGNED_TO_PROFILE", "USED", "PROCESSING", "DELETING", "VERSION_NOT_ACTIVE")
_GIVEN = ("ASSIGNED_TO_PROFILE", "USED")


def rows(store: Store, rng_for: Callable[[str], random.Random], start: datetime, end: datetime) -> Mapping[str, Table]:
    """Four coupons, codes in every state, and four jobs."""
    _ = start
    members = itertools.chain.from_iterable(members.rows for members in store.list_members.values())
    profile_ids = list(itertools.islice(members, 20))
    rng = rng_for("coupons")
    codes = [_code(rng, name, at, profile_ids, end) for name, _, _, count in _COUPONS for at in range(count)]
    return {
        COUPON: Table(
            {"id": name, "external_id": name, "description": description, "monitor_configuration": monitored}
            for name, description, monitored, _ in _COUPONS
        ),
        CODE: Table(codes),
        JOB: Table(bulk_jobs(rng_for("coupon jobs"), "code_ids", [row["id"] for row in codes], end)),
    }


def _code(rng: random.Random, coupon_id: str, at: int, profile_ids: list[str], end: datetime) -> Row:
    code, status = short_id(rng, 12), _STATUSES[at % len(_STATUSES)]
    expires = end + timedelta(days=rng.randrange(-100, 365))
    return {
        "id": f"{coupon_id}-{code}",
        "unique_code": code,
        "expires_at": None if at % 10 == 3 else format_datetime(expires),
        "status": status,
        "coupon_id": coupon_id,
        "profile_id": rng.choice(profile_ids) if profile_ids and status in _GIVEN else None,
    }
