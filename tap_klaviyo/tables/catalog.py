"""Tables of a shop's catalog, and of the bulk jobs that fill it."""

from __future__ import annotations

from tap_klaviyo.model import Collection, Table, each
from tap_klaviyo.tables.bulk_jobs import JOB, JOB_DELETION_NOTE

CATALOG_ITEMS = Collection("catalog_items", "get_catalog_items", "catalog-item")
CATALOG_CATEGORIES = Collection("catalog_categories", "get_catalog_categories", "catalog-category")
CATALOG_ITEM_CATEGORIES = Collection(
    "catalog_item_categories", "get_item_ids_for_catalog_category", "catalog-item", parent="catalog_categories"
)
# Operation -> type of the jobs that it lists.
_JOBS = {
    "get_bulk_create_catalog_items_jobs": "catalog-item-bulk-create-job",
    "get_bulk_update_catalog_items_jobs": "catalog-item-bulk-update-job",
    "get_bulk_delete_catalog_items_jobs": "catalog-item-bulk-delete-job",
    "get_bulk_create_variants_jobs": "catalog-variant-bulk-create-job",
    "get_bulk_update_variants_jobs": "catalog-variant-bulk-update-job",
    "get_bulk_delete_variants_jobs": "catalog-variant-bulk-delete-job",
    "get_bulk_create_categories_jobs": "catalog-category-bulk-create-job",
    "get_bulk_update_categories_jobs": "catalog-category-bulk-update-job",
    "get_bulk_delete_categories_jobs": "catalog-category-bulk-delete-job",
}
CATALOG_JOBS = tuple(
    Collection(f"{resource.replace('-', '_')}s", operation_id, resource, keep_deleted=True)
    for operation_id, resource in _JOBS.items()
)

TABLES = (
    Table(
        "catalog_items",
        CATALOG_ITEMS,
        key=("catalog_item_id",),
        deletion_note="A deleted item stays as it was last read.",
    ),
    Table(
        "catalog_variants",
        CATALOG_ITEMS,
        key=("catalog_variant_id",),
        roots=(each("variant", "included:variants#"),),
        deletion_note="A deleted variant stays as it was last read.",
    ),
    Table(
        "catalog_categories",
        CATALOG_CATEGORIES,
        key=("catalog_category_id",),
        deletion_note="A deleted category stays as it was last read.",
    ),
    Table(
        "catalog_item_categories",
        CATALOG_ITEM_CATEGORIES,
        key=("catalog_item_id", "catalog_category_id"),
        deletion_note="A category that an item was taken out of stays.",
    ),
    *(
        Table("catalog_jobs", collection, key=("catalog_job_id",), roots=(JOB,), deletion_note=JOB_DELETION_NOTE)
        for collection in CATALOG_JOBS
    ),
)
