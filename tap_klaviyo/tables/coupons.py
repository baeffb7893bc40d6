"""Tables of coupons, of their codes, and of the bulk jobs that make codes."""

from __future__ import annotations

from tap_klaviyo.model import Collection, Table
from tap_klaviyo.tables.bulk_jobs import JOB_DELETION_NOTE

COUPONS = Collection("coupons", "get_coupons@2026-10-15", "coupon")
# Klaviyo lists codes below their coupon too, at a fifth of the rate.
COUPON_CODES = Collection(
    "coupon_codes", "get_coupon_codes", "coupon-code", parent="coupons", parent_filter="coupon.id"
)
COUPON_CODE_JOBS = Collection(
    "coupon_code_bulk_create_jobs",
    "get_bulk_create_coupon_code_jobs",
    "coupon-code-bulk-create-job",
    keep_deleted=True,
)

TABLES = (
    Table(
        "coupons",
        COUPONS,
        key=("coupon_id",),
        deletion_note="A deleted coupon stays as it was last read.",
    ),
    Table(
        "coupon_codes",
        COUPON_CODES,
        key=("coupon_code_id",),
        deletion_note="A deleted code stays as it was last read, in state DELETING if it was seen then.",
    ),
    Table(
        "coupon_code_bulk_create_jobs",
        COUPON_CODE_JOBS,
        key=("coupon_code_bulk_create_job_id",),
        deletion_note=JOB_DELETION_NOTE,
    ),
)
