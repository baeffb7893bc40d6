"""Coupons, and the codes that people get of them."""

from __future__ import annotations

from typing import Any

from target_klaviyo.delivery.action import Action
from target_klaviyo.endpoints import coupons
from target_klaviyo.model.records import Context, OutcomeKind, Record, RejectedRecord
from target_klaviyo.model.times import parse_time

# What a code may be to be made: free, or about to be.
_FREE = ("UNASSIGNED", "PROCESSING")


def _coupon(fields: Record, context: Context) -> dict[str, Any]:  # noqa: ARG001 - every action's signature
    """The coupon by its id, which is that of the shop, and its attributes."""
    coupon_id = _id_in(fields, "external_id")
    return {"id": coupon_id, "attributes": {**fields, "external_id": coupon_id}}


def _code(fields: Record, context: Context) -> dict[str, Any]:  # noqa: ARG001 - every action's signature
    """The code by its id, as Klaviyo makes it of the coupon's and the code, and as a JSON:API resource.

    Raises:
        RejectedRecord: somebody has the code already, or it cannot be used any more.
    """
    if fields.get("status", _FREE[0]) not in _FREE:
        reason = "codes that are given to somebody, used or withdrawn are left out: nobody is to get them again"
        raise RejectedRecord("code_not_free", reason, pointer="/status", kind=OutcomeKind.LEFT_OUT)
    coupon_id, unique_code = _id_in(fields, "coupon_id"), _id_in(fields, "unique_code")
    attributes = {"unique_code": unique_code}
    if "expires_at" in fields:
        attributes["expires_at"] = parse_time(fields["expires_at"], "expires_at").isoformat()
    coupon = {"data": {"type": "coupon", "id": coupon_id}}
    resource = {"type": "coupon-code", "attributes": attributes, "relationships": {"coupon": coupon}}
    return {"id": f"{coupon_id}-{unique_code}", "resource": resource}


def _id_in(fields: Record, name: str) -> str:
    """A field that tells one from others, without surrounding space.

    Raises:
        RejectedRecord: it is blank.
    """
    text = str(fields[name]).strip()
    if not text:
        raise RejectedRecord("invalid_field", f"{name} is blank", pointer=f"/{name}")
    return text


COUPON = Action(
    name="coupon",
    summary="Create coupons, or change those that there are.",
    operation=coupons.CREATE,
    other_operations=coupons.CALLS,
    resource=_coupon,
    deliver=coupons.deliver,
    adds=frozenset(),
    is_about_people=False,
)

COUPON_CODES = Action(
    name="coupon_codes",
    summary="Create the codes of coupons; those that there are stay, and end when the record says.",
    operation=coupons.CREATE_CODES,
    other_operations=coupons.CODE_CALLS,
    resource=_code,
    deliver=coupons.deliver_codes,
    adds=frozenset(),
    is_about_people=False,
    after=lambda _payload: (COUPON.name,),
)
