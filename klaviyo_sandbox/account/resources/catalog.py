"""A shop's catalog: items, their variants, their categories, and the bulk jobs that filled it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from klaviyo_sandbox.account import bulk_jobs as running_jobs
from klaviyo_sandbox.account.catalog import CATEGORY, ITEM, VARIANT
from klaviyo_sandbox.account.relations import referenced_by, references
from klaviyo_sandbox.account.resources.read_operation import ReadOperation, all_rows, related_rows
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.bulk_jobs import bulk_jobs
from klaviyo_sandbox.account.seeded.times import random_time
from klaviyo_sandbox.account.store import Relation, Store
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.times import format_datetime

# Type -> (its plural in the names of operations, the member of rows that holds ids of this type).
_KINDS = {
    ITEM: ("catalog_items", "item_ids"),
    VARIANT: ("variants", "variant_ids"),
    CATEGORY: ("categories", "category_ids"),
}
_VERBS = ("create", "update", "delete")
_ITEMS = 120

# Fields of filters -> members of rows.
_catalog_read = partial(ReadOperation, stored_paths={"ids": "id", "category.id": "category_ids", "item.id": "item_ids"})
_job_read = partial(ReadOperation, view=running_jobs.view)
READS: Mapping[str, ReadOperation] = {
    "get_catalog_items": _catalog_read(ITEM, all_rows(ITEM)),
    "get_catalog_item": ReadOperation(ITEM),
    "get_catalog_variants": _catalog_read(VARIANT, all_rows(VARIANT)),
    "get_catalog_variant": ReadOperation(VARIANT),
    "get_catalog_categories": _catalog_read(CATEGORY, all_rows(CATEGORY)),
    "get_catalog_category": ReadOperation(CATEGORY),
    "get_items_for_catalog_category": _catalog_read(ITEM, related_rows(CATEGORY, "items")),
    "get_item_ids_for_catalog_category": _catalog_read(ITEM, related_rows(CATEGORY, "items")),
    "get_variants_for_catalog_item": _catalog_read(VARIANT, related_rows(ITEM, "variants")),
    "get_variant_ids_for_catalog_item": _catalog_read(VARIANT, related_rows(ITEM, "variants")),
    "get_categories_for_catalog_item": _catalog_read(CATEGORY, related_rows(ITEM, "categories")),
    "get_category_ids_for_catalog_item": _catalog_read(CATEGORY, related_rows(ITEM, "categories")),
    **{
        f"get_bulk_{verb}_{plural}_jobs": _job_read(f"{kind}-bulk-{verb}-job", all_rows(f"{kind}-bulk-{verb}-job"))
        for kind, (plural, _) in _KINDS.items()
        for verb in _VERBS
    },
    **{
        f"get_bulk_{verb}_{plural}_job": _job_read(f"{kind}-bulk-{verb}-job", id_parameter="job_id")
        for kind, (plural, _) in _KINDS.items()
        for verb in _VERBS
    },
}
RELATIONS: Mapping[tuple[str, str], Relation] = {
    (ITEM, "variants"): referenced_by(VARIANT, "item_ids"),
    (ITEM, "categories"): references(CATEGORY, "category_ids"),
    (VARIANT, "item"): references(ITEM, "item_ids"),
    (CATEGORY, "items"): references(ITEM, "item_ids"),
    **{
        (f"{kind}-bulk-{verb}-job", plural.removeprefix("catalog_")): references(kind, member)
        for kind, (plural, member) in _KINDS.items()
        for verb in _VERBS
    },
}
# The first holds more than a page of items, the last none.
_CATEGORIES = ("Everything", "Kleider", "Shoes & Boots", "Größen ab 48", "Sale 🏷", "Coming soon")
_NAMES = ("Ocean Blue Shirt", "Wanderschuh „Alm“", "Robe d'été", "Rain coat", "Socken, 3er-Pack")


def rows(store: Store, rng_for: Callable[[str], random.Random], start: datetime, end: datetime) -> Mapping[str, Table]:
    """Two pages of items with up to four variants each, six categories, and four jobs of each kind."""
    _ = store
    rng = rng_for("catalog")
    categories = [_compound(f"CATEGORY-{index}") for index in range(len(_CATEGORIES))]
    items = [_item(rng, index, categories, start, end) for index in range(_ITEMS)]
    variants = [_variant(rng, item, index) for item in items for index in range(rng.randrange(5))]
    rows_by_kind = {
        ITEM: items,
        VARIANT: variants,
        CATEGORY: [_category(rng, index, items, start, end) for index in range(len(_CATEGORIES))],
    }
    jobs = {
        f"{kind}-bulk-{verb}-job": bulk_jobs(
            rng_for(f"{kind} {verb}"), member, [row["id"] for row in rows_by_kind[kind]], end
        )
        for kind, (_, member) in _KINDS.items()
        for verb in _VERBS
    }
    return {kind: Table(kind_rows) for kind, kind_rows in {**rows_by_kind, **jobs}.items()}


def _compound(external_id: str, integration: str = "$custom") -> str:
    return f"{integration}:::$default:::{external_id}"


def _item(rng: random.Random, index: int, categories: list[str], start: datetime, end: datetime) -> Row:
    # A shop may put any text into an id.
    external_id = f"{rng.choice(('SKU-', 'Größe '))}{index:04}"
    created = random_time(rng, start, end, microseconds=True)
    is_bare = rng.random() < 0.1
    return {
        "id": _compound(external_id, rng.choice(("$custom", "$shopify"))),
        "external_id": external_id,
        "title": rng.choice(_NAMES),
        "created": format_datetime(created),
        "updated": format_datetime(random_time(rng, created, end, microseconds=True)),
        "published": None if is_bare else rng.random() < 0.8,
        # Nearly every item is in the first category, few are in others, and the last one is empty.
        "category_ids": [] if is_bare else [categories[0], *rng.sample(categories[1:-1], rng.randrange(3))],
        **_description(rng, external_id, is_bare=is_bare),
    }


def _variant(rng: random.Random, item: Row, index: int) -> Row:
    external_id = f"{item['external_id']}-{index}"
    is_bare = rng.random() < 0.1
    return {
        **item,
        "id": f"{item['id']}-{index}",
        "external_id": external_id,
        "title": f"{item['title']} ({'SMLX'[index]})",
        "sku": None if is_bare else f"{rng.randrange(10**8):08}",
        "inventory_policy": None if is_bare else rng.randrange(3),
        "inventory_quantity": None if is_bare else rng.choice((0, 7, 2.5)),
        "item_ids": [item["id"]],
        **_description(rng, external_id, is_bare=is_bare),
    }


def _description(rng: random.Random, name: str, *, is_bare: bool) -> dict[str, Any]:
    """The attributes of an item or a variant beside its name; all empty when it is bare."""
    if is_bare:
        # Klaviyo has an empty text for an image that is missing, and null for all else.
        missing = {"image_full_url": "", "image_thumbnail_url": "", "images": []}
        return {**dict.fromkeys(("description", "price", "url", "custom_metadata")), **missing}
    base_url = f"https://shop.example.com/{rng.randrange(10**6)}"
    return {
        "description": f"{name}: „sehr bequem“",
        "price": rng.choice((0, 12, 19.99)),
        "url": base_url,
        "image_full_url": f"{base_url}/full.jpg",
        "image_thumbnail_url": f"{base_url}/small.jpg",
        "images": [f"{base_url}/{number}.jpg" for number in range(rng.randrange(3))],
        "custom_metadata": {"Top Pick": rng.random() < 0.5, "Farbe": "türkis"},
    }


def _category(rng: random.Random, index: int, items: list[Row], start: datetime, end: datetime) -> Row:
    external_id = f"CATEGORY-{index}"
    category_id = _compound(external_id)
    return {
        "id": category_id,
        "external_id": external_id,
        "name": _CATEGORIES[index],
        "created": format_datetime(random_time(rng, start, end)),
        "updated": None if index == 1 else format_datetime(random_time(rng, start, end)),
        "item_ids": [item["id"] for item in items if category_id in item["category_ids"]],
    }
