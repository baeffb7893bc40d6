"""A shop's catalog: items, their variants, the categories they are in, and the jobs by which it was filled."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from klaviyo_sandbox.account.relations import referenced_by, references
from klaviyo_sandbox.account.resources.read_operation import Read, every, of
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.bulk_jobs import bulk_jobs
from klaviyo_sandbox.account.seeded.times import between
from klaviyo_sandbox.account.store import Relation, Store
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.times import format_datetime

ITEM, VARIANT, CATEGORY = "catalog-item", "catalog-variant", "catalog-category"
# Type -> (what several of them are in the names of operations, the member of rows that holds their ids).
_KINDS = {
    ITEM: ("catalog_items", "item_ids"),
    VARIANT: ("variants", "variant_ids"),
    CATEGORY: ("categories", "category_ids"),
}
_VERBS = ("create", "update", "delete")
_ITEMS = 120

# What filters call what rows have.
_listed = partial(Read, stored_as={"ids": "id", "category.id": "category_ids", "item.id": "item_ids"})
READS: Mapping[str, Read] = {
    "get_catalog_items": _listed(ITEM, every(ITEM)),
    "get_catalog_item": Read(ITEM),
    "get_catalog_variants": _listed(VARIANT, every(VARIANT)),
    "get_catalog_variant": Read(VARIANT),
    "get_catalog_categories": _listed(CATEGORY, every(CATEGORY)),
    "get_catalog_category": Read(CATEGORY),
    "get_items_for_catalog_category": _listed(ITEM, of(CATEGORY, "items")),
    "get_item_ids_for_catalog_category": _listed(ITEM, of(CATEGORY, "items")),
    "get_variants_for_catalog_item": _listed(VARIANT, of(ITEM, "variants")),
    "get_variant_ids_for_catalog_item": _listed(VARIANT, of(ITEM, "variants")),
    "get_categories_for_catalog_item": _listed(CATEGORY, of(ITEM, "categories")),
    "get_category_ids_for_catalog_item": _listed(CATEGORY, of(ITEM, "categories")),
    **{
        f"get_bulk_{verb}_{plural}_jobs": Read(f"{kind}-bulk-{verb}-job", every(f"{kind}-bulk-{verb}-job"))
        for kind, (plural, _) in _KINDS.items()
        for verb in _VERBS
    },
    **{
        f"get_bulk_{verb}_{plural}_job": Read(f"{kind}-bulk-{verb}-job", id_parameter="job_id")
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
    categories = [_compound(f"CATEGORY-{at}") for at in range(len(_CATEGORIES))]
    items = [_item(rng, at, categories, start, end) for at in range(_ITEMS)]
    variants = [_variant(rng, item, at) for item in items for at in range(rng.randrange(5))]
    made = {
        ITEM: items,
        VARIANT: variants,
        CATEGORY: [_category(rng, at, items, start, end) for at in range(len(_CATEGORIES))],
    }
    jobs = {
        f"{kind}-bulk-{verb}-job": bulk_jobs(rng_for(f"{kind} {verb}"), member, [row["id"] for row in made[kind]], end)
        for kind, (_, member) in _KINDS.items()
        for verb in _VERBS
    }
    return {kind: Table(found) for kind, found in {**made, **jobs}.items()}


def _compound(external_id: str, integration: str = "$custom") -> str:
    return f"{integration}:::$default:::{external_id}"


def _item(rng: random.Random, at: int, categories: list[str], start: datetime, end: datetime) -> Row:
    # An id has whatever a shop calls its things.
    external_id = f"{rng.choice(('SKU-', 'Größe '))}{at:04}"
    created = between(rng, start, end, microseconds=True)
    is_bare = rng.random() < 0.1
    return {
        "id": _compound(external_id, rng.choice(("$custom", "$shopify"))),
        "external_id": external_id,
        "title": rng.choice(_NAMES),
        "created": format_datetime(created),
        "updated": format_datetime(between(rng, created, end, microseconds=True)),
        "published": None if is_bare else rng.random() < 0.8,
        # Nearly everything is in the first, few in others, and the last is empty.
        "category_ids": [] if is_bare else [categories[0], *rng.sample(categories[1:-1], rng.randrange(3))],
        **_looks(rng, external_id, is_bare=is_bare),
    }


def _variant(rng: random.Random, item: Row, at: int) -> Row:
    external_id = f"{item['external_id']}-{at}"
    is_bare = rng.random() < 0.1
    return {
        **item,
        "id": f"{item['id']}-{at}",
        "external_id": external_id,
        "title": f"{item['title']} ({'SMLX'[at]})",
        "sku": None if is_bare else f"{rng.randrange(10**8):08}",
        "inventory_policy": None if is_bare else rng.randrange(3),
        "inventory_quantity": None if is_bare else rng.choice((0, 7, 2.5)),
        "item_ids": [item["id"]],
        **_looks(rng, external_id, is_bare=is_bare),
    }


def _looks(rng: random.Random, name: str, *, is_bare: bool) -> dict[str, Any]:
    """What an item or a variant says of itself beside its name; nothing when it is bare."""
    members = ("description", "price", "url", "image_full_url", "image_thumbnail_url", "custom_metadata")
    if is_bare:
        return {**dict.fromkeys(members), "images": []}
    place = f"https://shop.example.com/{rng.randrange(10**6)}"
    return {
        "description": f"{name}: „sehr bequem“",
        "price": rng.choice((0, 12, 19.99)),
        "url": place,
        "image_full_url": f"{place}/full.jpg",
        "image_thumbnail_url": f"{place}/small.jpg",
        "images": [f"{place}/{number}.jpg" for number in range(rng.randrange(3))],
        "custom_metadata": {"Top Pick": rng.random() < 0.5, "Farbe": "türkis"},
    }


def _category(rng: random.Random, at: int, items: list[Row], start: datetime, end: datetime) -> Row:
    external_id = f"CATEGORY-{at}"
    category_id = _compound(external_id)
    return {
        "id": category_id,
        "external_id": external_id,
        "name": _CATEGORIES[at],
        "created": format_datetime(between(rng, start, end)),
        "updated": None if at == 1 else format_datetime(between(rng, start, end)),
        "item_ids": [item["id"] for item in items if category_id in item["category_ids"]],
    }
