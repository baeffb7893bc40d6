"""Coupons, their codes, and the jobs that make codes."""

from __future__ import annotations

from collections.abc import Iterable

from support.second_path import Key, Witness


def _codes(account: Witness) -> Iterable[Key]:
    """Coupons are asked for their codes; the tap asks for the codes of a coupon."""
    return [
        (row["id"],)
        for coupon in account.rows("coupons")
        for row in account.rows(f"coupons/{coupon['id']}/coupon-codes", page__size=7)
    ]


TRUTHS = {
    "coupons": (("coupon_id",), lambda account: [(row["id"],) for row in account.rows("coupons")]),
    "coupon_codes": (("coupon_code_id",), _codes),
    "coupon_code_bulk_create_jobs": (
        ("coupon_code_bulk_create_job_id",),
        lambda account: [(row["id"],) for row in account.rows("coupon-code-bulk-create-jobs")],
    ),
}
