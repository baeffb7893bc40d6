"""Numbers where a field is a text: ids, phone numbers and postal codes come as such."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from target_klaviyo.intake.route_settings import parse_routes
from target_klaviyo.model.records import SourceRecord
from target_klaviyo.model.texts import parse_number, to_text


@example(10**399)
@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_the_text_of_a_number_is_that_number(number: float) -> None:
    """Whole numbers have no point, so that 7 and 7.0 are one id; no digit is lost."""
    text = to_text(number)
    assert isinstance(text, str)
    assert parse_number(text) == number
    assert to_text(text) == text
    assert text.lstrip("-").isdigit() is (number == int(number))


@given(st.booleans() | st.none() | st.text() | st.lists(st.integers()) | st.sampled_from([float("nan"), float("inf")]))
def test_what_is_no_finite_number_stays(value: Any) -> None:
    """It is judged later, by the contract of its action."""
    assert to_text(value) is value


@pytest.mark.parametrize(
    ("action", "record"),
    [
        ("track_event", {"metric": "Met", "profile": {"external_id": 12.5}}),
        ("track_event", {"metric": "Met", "external_id": 12.5}),
        ("track", {"event": "Met", "customer_properties": {"$id": 12.5}}),
        ("identify", {"properties": {"external_id": 12.5}}),
        ("identify", {"id": 12.5}),
    ],
)
def test_an_id_is_the_same_wherever_it_stands(action: str, record: dict[str, Any]) -> None:
    """In a column, and in the objects that other tools put it into."""
    _, row = parse_routes({"s": {"action": action}}, None)["s"].row(SourceRecord("s", record), record)
    profile = row.payload.get("profile") or row.payload
    assert profile["attributes"]["external_id"] == "12.5"
