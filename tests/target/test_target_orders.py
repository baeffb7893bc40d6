"""Orders: what one record becomes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from target_klaviyo.intake.route_settings import parse_routes
from target_klaviyo.model.records import RejectedRecord, SourceRecord

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ORDER = {
    "email": "ada@example.com",
    "order_id": 1001,
    "ordered_at": "2026-05-01T10:00:00Z",
    "total": 35.5,
    "currency": "EUR",
    "coupon": "SPRING",
    "items": [
        {"sku": "A", "name": "Lamp", "price": 10, "quantity": 2},
        {"sku": "B", "name": "Bulb", "price": "5.5"},
        {"sku": "A", "name": "Lamp", "price": 10},
    ],
}


def events(record: Mapping[str, Any], **entry: Any) -> list[dict[str, Any]]:
    route = parse_routes({"orders": entry}, None, lambda: NOW)["orders"]
    return list(route.row(SourceRecord("orders", record), record)[1].payload["events"])


def metric(event: Mapping[str, Any]) -> str:
    return str(event["metric"]["data"]["attributes"]["name"])


def test_an_order_is_one_event_and_one_for_each_line() -> None:
    """The order has its total, each line its own value, and all the time and currency of the order."""
    made = events(ORDER)
    assert [metric(event) for event in made] == ["Placed Order", *["Ordered Product"] * 3]
    assert [event["value"] for event in made] == [35.5, 20, 5.5, 10]
    assert {event["value_currency"] for event in made} == {"EUR"}
    assert {event["time"] for event in made} == {"2026-05-01T10:00:00+00:00"}


def test_ids_follow_from_the_order_and_the_line() -> None:
    """A second run makes the same ids; two lines of one product have different ones; other lines change none."""
    ids = [event["unique_id"] for event in events(ORDER)]
    assert ids == ["1001", "1001:A:1", "1001:B:1", "1001:A:2"]
    longer = {**ORDER, "items": [{"sku": "C"}, *ORDER["items"]]}
    assert set(ids) < {event["unique_id"] for event in events(longer)}


def test_a_line_has_the_orders_properties_and_its_own() -> None:
    """What the line says goes before what the order says; the order alone has the lines."""
    made = events({**ORDER, "name": "order"})
    assert made[1]["properties"] == {
        "order_id": "1001",
        "coupon": "SPRING",
        "sku": "A",
        "name": "Lamp",
        "price": 10,
        "quantity": 2,
        "pushed_by": "target-klaviyo",
    }
    assert made[0]["properties"]["products"] == ORDER["items"]


@pytest.mark.parametrize(("status", "name"), [("refunded", "Refunded Order"), ("cancelled", "Cancelled Order")])
def test_a_change_of_an_order_has_an_id_of_its_own(status: str, name: str) -> None:
    """An order may be refunded twice; each names the order, and counts no line again."""
    mapping = {"status": {"value": status}}
    first, second = (events({**ORDER, "refund_id": number}, mapping=mapping) for number in ("r1", "r2"))
    assert [metric(event) for event in (*first, *second)] == [name, name]
    assert first[0]["unique_id"] == f"1001:{status}:r1"
    assert second[0]["unique_id"] == f"1001:{status}:r2"
    assert first[0]["properties"]["$original_order_identifier"] == "1001"


def test_a_change_that_nothing_tells_from_the_next_is_refused() -> None:
    """Without an id and without a time a second refund would be taken for the first."""
    record = {name: value for name, value in ORDER.items() if name != "ordered_at"}
    with pytest.raises(RejectedRecord, match="change_id"):
        events(record, mapping={"status": {"value": "refunded"}})


def test_the_names_of_the_events_are_options() -> None:
    """Accounts that came from elsewhere have other names."""
    made = events(ORDER, metric="Order Completed", product_metric="Item Bought")
    assert {metric(event) for event in made} == {"Order Completed", "Item Bought"}


@pytest.mark.parametrize("record", [{**ORDER, "order_id": None}, {**ORDER, "items": "three"}, {**ORDER, "items": [3]}])
def test_a_record_that_is_no_order_is_refused(record: Mapping[str, Any]) -> None:
    """It needs an id, and lines that are objects."""
    with pytest.raises(RejectedRecord):
        events(record, on_bad_value="reject")
