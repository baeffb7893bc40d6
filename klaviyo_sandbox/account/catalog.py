"""Changes of a catalog: items, variants and categories of the shop's own. Pointers begin at the resource."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from klaviyo_sandbox.account.coupons import duplicate, missing
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.spec.errors import Refusal, invalid

ITEM, VARIANT, CATEGORY = "catalog-item", "catalog-variant", "catalog-category"
# What is written through the API is of this integration and catalog, and of no other.
PREFIX = "$custom:::$default:::"
# Of custom metadata, in bytes.
_MAX_METADATA = 100_000
_NOT_STORED = ("integration_type", "catalog_type")
# (type, relationship) -> (type of the other side, member of the row, member of the other side's rows).
_RELATIONS = {
    (ITEM, "categories"): (CATEGORY, "category_ids", "item_ids"),
    (VARIANT, "item"): (ITEM, "item_ids", None),
    (CATEGORY, "items"): (ITEM, "item_ids", "category_ids"),
}
_EMPTY: Mapping[str, Mapping[str, Any]] = {
    ITEM: {
        **dict.fromkeys(("description", "price", "url", "custom_metadata")),
        "image_full_url": "",
        "image_thumbnail_url": "",
        "images": [],
        "published": True,
        "category_ids": [],
    },
    CATEGORY: {"item_ids": []},
}


def create(store: Store, resource: Mapping[str, Any]) -> str:
    """Make a part of the catalog, and give its id.

    Raises:
        Refusal: there is one of its external id, or it names what the account does not have.
    """
    kind, attributes = resource["type"], dict(resource["attributes"])
    row_id = f"{PREFIX}{attributes['external_id']}"
    if row_id in store.resources[kind]:
        raise duplicate("This external_id already exists.", "/attributes/external_id")
    row = {
        "id": row_id,
        "created": store.moment_text(),
        **_EMPTY.get(kind, {}),
        **({"sku": None, "inventory_policy": 0, **_EMPTY[ITEM]} if kind == VARIANT else {}),
    }
    _put(store, kind, row, resource)
    return row_id


def update(store: Store, resource: Mapping[str, Any]) -> str:
    """Change a part of the catalog, and give its id.

    Raises:
        Refusal: there is none, it is not the shop's own, or it names what the account does not have.
    """
    _put(store, resource["type"], _own(store, resource), resource)
    return str(resource["id"])


def delete(store: Store, resource: Mapping[str, Any]) -> str:
    """Delete a part of the catalog, an item with its variants, and give its id.

    Raises:
        Refusal: there is none, or it is not the shop's own.
    """
    kind, row_id = resource["type"], _own(store, resource)["id"]
    if kind == ITEM:
        for variant in [row for row in store.resources[VARIANT].rows.values() if row_id in row["item_ids"]]:
            store.resources[VARIANT].drop(variant["id"])
    store.resources[kind].drop(row_id)
    return str(row_id)


def _own(store: Store, resource: Mapping[str, Any]) -> Row:
    row_id, kind = resource["id"], resource["type"]
    if not row_id.startswith(PREFIX):
        raise Refusal([invalid("Only the integration $custom and the catalog $default can be changed.", "/id")])
    row = store.resources[kind].get(row_id)
    if row is None:
        raise missing(f"A {kind.replace('-', ' ')} with id {row_id} does not exist.", "/id")
    return row


def _put(store: Store, kind: str, row: Row, resource: Mapping[str, Any]) -> None:
    attributes = {name: value for name, value in resource["attributes"].items() if name not in _NOT_STORED}
    if len(json.dumps(attributes.get("custom_metadata")).encode()) > _MAX_METADATA:
        raise Refusal([invalid("Custom metadata may not exceed 100kb.", "/attributes/custom_metadata")])
    named = {name: list(_named_ids(store, kind, name, resource)) for name in resource.get("relationships", {})}
    for name, ids in named.items():
        _other, member, _mirrored = _RELATIONS[kind, name]
        _mirror(store, kind, name, row, ids)
        row = {**row, member: ids}
    store.resources[kind].put({**row, **attributes, "updated": store.moment_text()})


def _named_ids(store: Store, kind: str, name: str, resource: Mapping[str, Any]) -> Iterator[str]:
    """The ids on the other side of a relationship.

    Raises:
        Refusal: the account does not have one of them.
    """
    other, _, _ = _RELATIONS[kind, name]
    data = resource["relationships"][name].get("data") or ()
    for position, reference in enumerate([data] if isinstance(data, Mapping) else data):
        if reference["id"] not in store.resources[other]:
            place = "" if isinstance(data, Mapping) else f"/{position}"
            detail = f"A {other.replace('-', ' ')} with id {reference['id']} does not exist."
            raise missing(detail, f"/relationships/{name}/data{place}/id")
        yield reference["id"]


def _mirror(store: Store, kind: str, name: str, row: Row, ids: Sequence[str]) -> None:
    """Let the rows on the other side name this one, where they name it at all, and those that do no more not."""
    other, _, member = _RELATIONS[kind, name]
    if member is None:
        return
    for each in list(store.resources[other].rows.values()):
        is_named, names_it = each["id"] in ids, row["id"] in each[member]
        if is_named and not names_it:
            store.resources[other].put({**each, member: [*each[member], row["id"]]})
        elif names_it and not is_named:
            store.resources[other].put({**each, member: [one for one in each[member] if one != row["id"]]})
