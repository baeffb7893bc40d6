"""Which rows the pages of catalog, coupons and bulk jobs give."""

from __future__ import annotations

from page_support import columns, rows

from tap_klaviyo.tables import STREAMS

SEVEN, TEN, TWELVE = (f"$custom:::$default:::Größe {number:04}" for number in (7, 10, 12))


def test_catalog_items() -> None:
    """Ids as they are; an item of which nothing is known has nulls; a moment without a zone is in UTC."""
    seven, ten, twelve = rows("catalog_items")
    assert [row["catalog_item_id"] for row in (seven, ten, twelve)] == [SEVEN, TEN, TWELVE]
    assert (seven["title"], seven["price"], seven["published"]) == ("Rain coat", 19.99, True)
    assert (len(seven["images"]), seven["custom_metadata"]) == (2, {"Top Pick": False, "Farbe": "türkis"})
    assert {name for name, value in ten.items() if value is not None} == {"catalog_item_id", "images"}
    assert twelve["created"] == "2022-11-08T00:00:00+00:00"


def test_catalog_variants() -> None:
    """Each with the item that it came with; an item may have none, and one that did not come is left out."""
    wanted = ("catalog_variant_id", "catalog_item_id", "sku", "inventory_policy", "inventory_quantity", "title")
    assert columns("catalog_variants", *wanted) == [
        (f"{SEVEN}-0", SEVEN, "90639313", 2, 0, "Rain coat (S)"),
        (f"{SEVEN}-1", SEVEN, None, None, None, None),
        (f"{TWELVE}-0", TWELVE, "89684872", 2, 2.5, "Ocean Blue Shirt (S)"),
        (f"{TWELVE}-1", TWELVE, "04667034", 1, 7, "Ocean Blue Shirt (M)"),
    ]


def test_catalog_categories() -> None:
    """A category need not have a name, nor items a place in one alone."""
    first, second, third = (f"$custom:::$default:::CATEGORY-{number}" for number in range(3))
    assert columns("catalog_categories", "catalog_category_id", "external_id", "name", "updated") == [
        (first, "CATEGORY-0", "Everything", "2024-06-26T17:58:41+00:00"),
        (second, "CATEGORY-1", "Kleider", None),
        (third, None, None, "2025-04-04T06:16:11+00:00"),
    ]
    pairs = columns("catalog_item_categories", "catalog_item_id", "catalog_category_id")
    assert pairs == [(SEVEN, "ABC123"), (TEN, "ABC123"), (TWELVE, "ABC123")]


def test_coupons() -> None:
    """The monitor's configuration is JSON, empty or null where Klaviyo has it so."""
    assert columns("coupons", "coupon_id", "external_id", "description", "monitor_configuration") == [
        ("10OFF", "10OFF", "10% off for purchases over $50", {"low_balance_threshold": 500}),
        ("NEVER_USED", "NEVER_USED", "", None),
        ("SUMMER", "SUMMER", None, {}),
    ]


def test_coupon_codes() -> None:
    """The coupon is the one whose codes were asked for."""
    assert columns("coupon_codes", "coupon_code_id", "coupon_id", "unique_code", "expires_at", "status") == [
        ("10OFF-0098F10N158T", "ABC123", "0098F10N158T", "2026-08-21T00:00:00+00:00", "VERSION_NOT_ACTIVE"),
        ("10OFF-0DNMUG0UHK05", "ABC123", "0DNMUG0UHK05", None, "ASSIGNED_TO_PROFILE"),
        ("10OFF-0FWMEPVGNNOE", "ABC123", None, "2027-03-02T00:00:00+00:00", None),
    ]


def test_jobs_that_create_coupon_codes() -> None:
    """One that was cancelled, one that did all and one that failed in part, which says at what."""
    wanted = ("status", "total_count", "completed_count", "failed_count", "completed_at")
    assert columns("coupon_code_bulk_create_jobs", *wanted) == [
        ("cancelled", 2, 0, 0, None),
        ("complete", 3, 3, 0, "2026-05-28T10:28:15.725931+00:00"),
        ("complete", 3, 2, 1, "2026-05-30T04:05:33.495026+00:00"),
    ]
    *_, ((error,),) = columns("coupon_code_bulk_create_jobs", "errors")
    assert (error["code"], error["source"]) == ("invalid", {"pointer": "/data/0"})


def test_jobs_on_the_catalog() -> None:
    """Nine collections feed one stream; what a job is about and what it does are read off its type."""
    found = [(row["kind"], row["verb"]) for table in STREAMS["catalog_jobs"] for row in rows(table)]
    kinds = ("catalog-item", "catalog-variant", "catalog-category")
    assert found == [(kind, verb) for kind in kinds for verb in ("create", "update", "delete")]
    queued = next(row for table in STREAMS["catalog_jobs"] for row in rows(table) if row["status"] == "queued")
    assert [queued[name] for name in ("completed_count", "failed_count", "completed_at", "expires_at")] == [None] * 4


def test_imports_of_profiles() -> None:
    """A job that waits has neither begun nor counted anything."""
    queued, *_, complete = rows("profile_bulk_import_jobs")
    assert [name for name, value in queued.items() if value is not None] == [
        *("profile_bulk_import_job_id", "status", "created_at", "total_count")
    ]
    assert (complete["completed_count"], complete["failed_count"]) == (12, 130)
    assert complete["started_at"] == "2026-05-29T09:00:33+00:00"


def test_what_imports_failed_at_and_whom_they_touched() -> None:
    """Each row names the job; an error need not say where it is, nor what was sent."""
    wanted = ("profile_bulk_import_job_id", "code", "source_pointer", "original_payload")
    assert columns("profile_bulk_import_job_errors", *wanted) == [
        ("ABC123", "invalid", "/data/attributes/email", {"first_name": "Zoë", "email": "row84(at)example.com"}),
        ("ABC123", "invalid", None, None),
        ("ABC123", "invalid", None, {"first_name": "Zoë", "email": "row37(at)example.com"}),
    ]
    lists = columns("profile_bulk_import_job_lists", "profile_bulk_import_job_id", "list_id")
    assert lists == [("ABC123", "7ZX4AJ"), ("ABC123", "UZTKYD")]
    assert len(columns("profile_bulk_import_job_profiles", "profile_bulk_import_job_id", "profile_id")) == 3


def test_suppressions() -> None:
    """Both directions are one stream, and say which they are."""
    wanted = ("verb", "status", "total_count", "completed_count", "skipped_count")
    assert [tuple(row[name] for name in wanted) for t in STREAMS["profile_suppression_jobs"] for row in rows(t)] == [
        ("create", "cancelled", 20, 0, 2),
        ("create", "complete", 10, 9, 1),
        ("create", "complete", 0, 0, 0),
        ("delete", "complete", 10, 9, 1),
        ("delete", "complete", 0, 0, 0),
        ("delete", "cancelled", 20, 0, 2),
    ]
