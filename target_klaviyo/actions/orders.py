"""Orders: the order itself as one event, then one for each of its lines; refunds and cancellations.

All ids follow from the order's, so that a second run repeats nothing (other tools draw them at random, or from the
clock, and count every order twice after a retry).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from target_klaviyo.actions.events import MAX_ELEMENTS, MAX_PROPERTIES, OPTIONS, event, profile
from target_klaviyo.actions.person_fields import lift_person
from target_klaviyo.delivery.action import Action
from target_klaviyo.delivery.batches import encode_json, split_by_size
from target_klaviyo.endpoints import events
from target_klaviyo.model.identifiers import require_valid_identifiers
from target_klaviyo.model.names import KnownNames
from target_klaviyo.model.records import PRODUCTS_LEFT_OUT, Context, Note, Record, RejectedRecord
from target_klaviyo.model.texts import parse_id, parse_number

# What a line may be known by, the most telling first.
_LINE_IDS = ("line_id", "line_item_id", "variant_id", "product_id", "sku", "id")
# All that is read of a line; what is sent of it keeps its names.
_LINE = KnownNames((*_LINE_IDS, "value", "price", "quantity"))
_METRICS = {"refunded": "refund_metric", "cancelled": "cancel_metric"}
_SHARED = ("time", "value_currency", "backfill")
# So many lines always fit into the order's event; more are measured, to leave room for what else the event holds.
_FEW, _MAX_PRODUCTS_BYTES = 40, 4_000_000


def resource(fields: Record, context: Context) -> dict[str, Any]:
    """{"profile": who ordered, "events": [the order, its lines]}.

    Raises:
        RejectedRecord: nothing tells the order from others, or Klaviyo would not take one of the events.
    """
    if "order_id" not in fields and "unique_id" not in fields:
        raise RejectedRecord(
            "invalid_field", "the record lacks order_id, and has no unique_id in its place", pointer="/"
        )
    kind = fields.get("status", "completed")
    if kind == "completed":
        order_events = [order(fields, context), *lines(fields, context)]
    else:
        order_events = [change(fields, context, kind)]
    return {"profile": profile(fields), "events": order_events}


def _select_fields(
    fields: Record, faults: Mapping[str, RejectedRecord], context: Context
) -> tuple[Record, Note | None]:
    """All fields, and a note where the order's own event cannot hold all of its lines.

    Raises:
        RejectedRecord: an identifier is wrong.
    """
    selected, note = require_valid_identifiers(fields, faults, context)
    products = selected.get("products")
    if note is None and isinstance(products, list) and selected.get("status", "completed") == "completed":
        kept = len(_products_that_fit(products))
        if kept < len(products):
            reason = f"the order's event lists {kept:,} of its {len(products):,} lines; each has an event of its own"
            note = Note(PRODUCTS_LEFT_OUT, "/products", reason)
    return selected, note


def _products_that_fit(products: list[Any]) -> list[Any]:
    """As many of an order's lines as its event can list."""
    if len(products) <= _FEW:
        return products
    first: list[Any] = next(split_by_size(
        products, lambda line: (1, len(encode_json(line)) + 1), max_count=MAX_ELEMENTS, max_bytes=_MAX_PRODUCTS_BYTES
    ))  # fmt: skip
    return first


def order(fields: Record, context: Context) -> dict[str, Any]:
    """The event of the order as a whole."""
    properties = _properties(fields)
    if "products" in fields:
        properties["products"] = _products_that_fit(fields["products"])
    return event({
        **_shared(fields),
        "metric": fields.get("metric") or context.options["metric"],
        "unique_id": fields.get("unique_id") or fields["order_id"],
        "properties": properties,
        **({"value": fields["value"]} if "value" in fields else {}),
    }, context)  # fmt: skip


def change(fields: Record, context: Context, kind: str) -> dict[str, Any]:
    """The event of a refund or a cancellation: an order may have several, so each has an id of its own."""
    properties = _properties(fields)
    if "order_id" in fields:
        properties["$original_order_identifier"] = fields["order_id"]
    if "products" in fields:
        properties["products"] = fields["products"]
    change_id = fields.get("unique_id") or fields.get("change_id")
    event_fields = {
        **_shared(fields),
        "metric": fields.get("metric") or context.options[_METRICS[kind]],
        "properties": properties,
        **({"value": fields["value"]} if "value" in fields else {}),
    }
    if change_id is None and "time" not in fields:
        raise RejectedRecord(
            "no_unique_id", f"a {kind} order needs change_id, unique_id or time, to tell it from the next one"
        )
    if change_id:
        order_id = [fields["order_id"]] if "order_id" in fields else []
        event_fields["unique_id"] = ":".join([*order_id, kind, change_id])
    return event(event_fields, context)


def lines(fields: Record, context: Context) -> Iterator[dict[str, Any]]:
    """One event for each line of the order, with its own properties and those of the order that there is room for."""
    # The order's id comes first: a line may have room for a part of these only.
    first = {name: fields[name] for name in ("order_id",) if name in fields}
    order_properties, order_id = first | _properties(fields), fields.get("order_id") or fields["unique_id"]
    seen: Counter[str] = Counter()
    for line in fields.get("products", ()):
        key = _line_id(line)
        seen[key] += 1
        value = _value(line)
        yield event({
            **_shared(fields),
            "metric": context.options["product_metric"],
            "unique_id": f"{order_id}:{key}:{seen[key]}",
            "properties": _line_properties(order_properties, line),
            **({"value": value} if value is not None else {}),
        }, context)  # fmt: skip


def _line_properties(order_properties: Record, line: Record) -> dict[str, Any]:
    others = [name for name in order_properties if name not in line]
    room = max(0, MAX_PROPERTIES - len(line))
    return {**{name: order_properties[name] for name in others[:room]}, **line}


def _properties(fields: Record) -> dict[str, Any]:
    """The order's properties, and its id among them where it has one."""
    order_id = {"order_id": fields["order_id"]} if "order_id" in fields else {}
    return {**fields.get("properties", {}), **order_id}


def _shared(fields: Record) -> dict[str, Any]:
    return {name: fields[name] for name in _SHARED if name in fields}


def _line_id(line: Mapping[str, Any]) -> str:
    line = _LINE.rename(line)
    ids = (parse_id(line.get(name)) for name in _LINE_IDS)
    return next((str(found) for found in ids if found is not None), "line")


def _value(line: Mapping[str, Any]) -> float | None:
    """What a line comes to: its own value, or price by quantity."""
    line = _LINE.rename(line)
    numbers = {name: _number(line.get(name)) for name in ("value", "price", "quantity")}
    if numbers["value"] is not None:
        return numbers["value"]
    if numbers["price"] is None:
        return None
    return round(numbers["price"] * (1 if numbers["quantity"] is None else numbers["quantity"]), 6)


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        return parse_number(value)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _metric_option(text: str, default: str) -> dict[str, Any]:
    return {"type": "string", "pattern": "\\S", "default": default, "description": f"Name of the event for {text}."}


ORDER_OPTIONS: dict[str, dict[str, Any]] = {
    "metric": _metric_option("an order", "Placed Order"),
    "product_metric": _metric_option("each line of an order", "Ordered Product"),
    "refund_metric": _metric_option("a refund", "Refunded Order"),
    "cancel_metric": _metric_option("a cancellation", "Cancelled Order"),
    "backfill": OPTIONS["backfill"],
}
ORDER_COMPLETED = Action(
    name="order_completed",
    summary="Record an order: one event for it and one for each of its lines; or a refund, or a cancellation.",
    streams=("orders",),
    operation=events.BULK,
    other_operations=events.CALLS,
    resource=resource,
    select_fields=_select_fields,
    deliver=events.deliver,
    profile_of=events.profile_of,
    arrange=lift_person,
    options=ORDER_OPTIONS,
)
