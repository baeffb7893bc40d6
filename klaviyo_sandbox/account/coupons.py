"""Changes of coupons and their codes. Pointers of what is refused begin at the resource."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.spec.errors import Problem, Refusal
from klaviyo_sandbox.spec.times import format_datetime, parse_datetime

COUPON, CODE = "coupon", "coupon-code"
# For so long a code can be used that says nothing else.
_LIFETIME = timedelta(days=365)


def create_coupon(store: Store, attributes: Mapping[str, Any]) -> Row:
    """Make a coupon; its id is that of its integration.

    Raises:
        Refusal: 409, there is one of this id.
    """
    row = {
        "id": attributes["external_id"],
        "external_id": attributes["external_id"],
        "description": attributes.get("description"),
        "monitor_configuration": attributes.get("monitor_configuration"),
        # Nobody who has a code gets a new one unless somebody says so.
        "assigner_configuration": attributes.get("assigner_configuration")
        or {"used": "NEVER_ASSIGN", "unused_expired": "NEVER_ASSIGN"},
    }
    if row["id"] in store.resources[COUPON]:
        raise duplicate(f"A coupon with external_id {row['id']} already exists.", "/attributes/external_id")
    store.resources[COUPON].put(row)
    return row


def create_code(store: Store, resource: Mapping[str, Any]) -> str:
    """Make a code, and give its id.

    Raises:
        Refusal: there is no such coupon, or it has this code already.
    """
    attributes, coupon_id = resource["attributes"], resource["relationships"]["coupon"]["data"]["id"]
    if coupon_id not in store.resources[COUPON]:
        raise missing(f"A coupon with id {coupon_id} does not exist.", "/relationships/coupon/data/id")
    code_id = f"{coupon_id}-{attributes['unique_code']}"
    if code_id in store.resources[CODE]:
        raise duplicate("This coupon already has this code.", "/attributes/unique_code")
    store.resources[CODE].put({
        "id": code_id,
        "unique_code": attributes["unique_code"],
        "expires_at": _expiry(store, attributes),
        "status": "UNASSIGNED",
        "coupon_id": coupon_id,
        "profile_id": None,
    })  # fmt: skip
    return code_id


def update_code(store: Store, row: Row, attributes: Mapping[str, Any]) -> Row:
    """Change a code's status, or when it ends."""
    changed = {"status": attributes["status"]} if attributes.get("status") else {}
    if "expires_at" in attributes:
        changed["expires_at"] = _expiry(store, attributes)
    row = {**row, **changed}
    store.resources[CODE].put(row)
    return row


def _expiry(store: Store, attributes: Mapping[str, Any]) -> str:
    text = attributes.get("expires_at")
    return format_datetime(parse_datetime(text) if text else (store.now() + _LIFETIME).replace(microsecond=0))


def duplicate(detail: str, pointer: str) -> Refusal:
    """The 409 for what is there already."""
    return Refusal([Problem(409, "duplicate", "Conflict.", detail, {"pointer": pointer})])


def missing(detail: str, pointer: str) -> Refusal:
    """The 404 for what a row names, and the account does not have."""
    return Refusal([Problem(404, "not_found", "Not found.", detail, {"pointer": pointer})])
