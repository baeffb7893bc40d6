"""A shop's catalog, and the jobs that fill it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from support.second_path import Key, Witness


def _in_categories(account: Witness) -> Iterable[Key]:
    """Items are asked what they are in; the tap asks categories what is in them."""
    return [
        (item["id"], row["id"])
        for item in account.rows("catalog-items", page__size=100)
        for row in account.rows(f"catalog-items/{item['id']}/categories")
    ]


def _jobs(account: Witness) -> Iterable[Key]:
    return [
        (row["id"],)
        for kind, verb in product(("item", "variant", "category"), ("create", "update", "delete"))
        for row in account.rows(f"catalog-{kind}-bulk-{verb}-jobs")
    ]


TRUTHS = {
    "catalog_items": (
        ("catalog_item_id",),
        lambda account: [(row["id"],) for row in account.rows("catalog-items", page__size=100)],
    ),
    # The tap reads them with their items.
    "catalog_variants": (
        ("catalog_variant_id",),
        lambda account: [(row["id"],) for row in account.rows("catalog-variants")],
    ),
    "catalog_categories": (
        ("catalog_category_id",),
        lambda account: [(row["id"],) for row in account.rows("catalog-categories")],
    ),
    "catalog_item_categories": (("catalog_item_id", "catalog_category_id"), _in_categories),
    "catalog_jobs": (("catalog_job_id",), _jobs),
}
