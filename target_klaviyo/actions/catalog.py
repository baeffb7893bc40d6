"""The catalog: a shop's items, their variants, and the categories that they are in."""

from __future__ import annotations

from functools import partial
from typing import Any

from target_klaviyo.delivery.action import Action, BatchKey
from target_klaviyo.endpoints import catalog
from target_klaviyo.endpoints.catalog import CATEGORIES, DELETE, ITEMS, VARIANTS, Part
from target_klaviyo.model.records import Context, Options, OutcomeKind, Record, RejectedRecord

# What the API writes is of this integration and catalog: `{integration}:::{catalog}:::{external_id}`.
_SEPARATOR = ":::"
_PREFIX = f"$custom{_SEPARATOR}$default{_SEPARATOR}"
# Field -> (relationship, type of its resources).
_RELATIONSHIPS = {
    "item_id": ("item", ITEMS.type),
    "item_ids": ("items", ITEMS.type),
    "category_ids": ("categories", CATEGORIES.type),
}
_MODE_UPSERT = "upsert"


def _resource(part: Part, fields: Record, context: Context) -> dict[str, Any]:
    """The part of the catalog as Klaviyo's JSON:API resource, with its id beside the external one.

    Raises:
        RejectedRecord: its source marks it as deleted, and nothing is to be deleted; or an id is blank.
    """
    external_id = _external_id(fields["external_id"], "/external_id")
    if _deletes(context):
        if not context.options["allow_deletion"]:
            raise RejectedRecord(
                "deleted_in_source",
                "records that their source marks as deleted are left out, unless allow_deletion is true",
                kind=OutcomeKind.LEFT_OUT,
            )
        return {"type": part.type, "id": f"{_PREFIX}{external_id}", "attributes": {"external_id": external_id}}
    attributes = {name: value for name, value in fields.items() if name not in _RELATIONSHIPS}
    resource = {
        "type": part.type,
        "id": f"{_PREFIX}{external_id}",
        "attributes": {**attributes, "external_id": external_id},
    }
    related = {
        name: {"data": _references(fields[field], kind, f"/{field}")}
        for field, (name, kind) in _RELATIONSHIPS.items()
        if field in fields
    }
    return {**resource, "relationships": related} if related else resource


def _references(value: Any, kind: str, pointer: str) -> Any:
    if isinstance(value, list):
        return [_references(entry, kind, f"{pointer}/{position}") for position, entry in enumerate(value)]
    return {"type": kind, "id": f"{_PREFIX}{_external_id(value, pointer)}"}


def _external_id(text: str, pointer: str) -> str:
    """The shop's own id: of Klaviyo's, whatever integration it names, the last part.

    Raises:
        RejectedRecord: it is blank.
    """
    parts = text.split(_SEPARATOR, 2)
    external_id = parts[-1].strip() if len(parts) > 2 else text.strip()
    if not external_id:
        raise RejectedRecord("invalid_field", f"{pointer.split('/')[1]} is blank", pointer=pointer)
    return external_id


def _deletes(context: Context) -> bool:
    return context.is_deleted or context.options["mode"] == DELETE


def _batch_key(_fields: Record, context: Context) -> BatchKey:
    return (DELETE,) if _deletes(context) else ()


def _check(options: Options) -> None:
    if options["mode"] == DELETE and not options["allow_deletion"]:
        raise ValueError("allow_deletion must be true for mode: delete")


_OPTIONS: dict[str, dict[str, Any]] = {
    "mode": {
        "type": "string",
        "enum": [_MODE_UPSERT, DELETE],
        "default": _MODE_UPSERT,
        "description": (
            "upsert: make what there is not, and change what there is. delete: delete what the records name; an item "
            "takes its variants along."
        ),
    },
    "allow_deletion": {
        "type": "boolean",
        "default": False,
        "description": (
            "Must be true for mode: delete. Where it is, records that their source marks as deleted "
            "(`_sdc_deleted_at`) are deleted, too; otherwise they are left out."
        ),
    },
}


def _action(name: str, part: Part, operation: str, summary: str, related: str) -> Action:
    return Action(
        name=name,
        summary=summary,
        operation=operation,
        other_operations=part.calls,
        resource=partial(_resource, part),
        batch_key=_batch_key,
        deliver=partial(catalog.deliver, part),
        adds=frozenset(),
        options=_OPTIONS,
        check=_check,
        is_about_people=False,
        accepts_deleted=True,
        after=lambda payload: (related,) if "relationships" in payload else (),
        # Requests hold a hundred, 12.5 may be sent a second, and each job is waited for.
        concurrency_factor=4,
    )


CATALOG_CATEGORIES = _action(
    *("catalog_categories", CATEGORIES, "bulk_create_catalog_categories"),
    "Make categories of the catalog by the shop's own id, change or delete them, and say which items are in them.",
    "catalog_items",
)
CATALOG_ITEMS = _action(
    *("catalog_items", ITEMS, "bulk_create_catalog_items"),
    "Make items of the catalog by the shop's own id, change or delete them, and say which categories they are in.",
    "catalog_categories",
)
CATALOG_VARIANTS = _action(
    *("catalog_variants", VARIANTS, "bulk_create_catalog_variants"),
    "Make variants of the catalog's items by the shop's own id, change or delete them.",
    "catalog_items",
)
