"""What is guessed of a column, the target can read: a guess that it reads otherwise would lose values."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klaviyo_audience.entry import TYPES
from klaviyo_audience.guesses import read_text
from target_klaviyo.model import value_types

_DATES = st.dates(min_value=date(1970, 1, 1), max_value=date(2068, 12, 31))
_FORMATS = ("%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d-%m-%y", "%Y/%m/%d", "%d %b %Y", "%b %d, %Y", "%d.%m.%Y %H:%M")


def check(text: str) -> None:
    """Each reading of a text is what the target makes of it by the type of that reading."""
    for kind, meant in read_text(text).items():
        found = value_types.parse_type(kind.option).read(text)
        if kind.type in ("date", "datetime"):
            found = datetime.fromisoformat(found).date()
        assert found == meant, (text, kind)


@given(_DATES, st.sampled_from(_FORMATS))
def test_dates(day: date, form: str) -> None:
    """In every format that is guessed."""
    check(day.strftime(form))


@given(st.integers(min_value=-(10**9), max_value=10**9), st.sampled_from([",.", ".,", " ,", " .", "'.", "\u00a0,"]))
def test_numbers(cents: int, marks: str) -> None:
    """With every pair of marks."""
    thousands, decimal = marks
    check(f"{cents / 100:,.2f}".replace(",", "t").replace(".", decimal).replace("t", thousands))
    check(str(cents))


@pytest.mark.parametrize("text", ["yes", "No", "TRUE", "f", "y", "off", "1,234", "1.234", "2026-01-31T10:00:00Z", "5"])
def test_others(text: str) -> None:
    """Words, and what has two readings."""
    assert read_text(text)
    check(text)


def test_every_type_can_be_said() -> None:
    """`--types` takes what the target's option takes."""
    assert sorted(TYPES) == sorted(value_types.TYPES)
    formats: dict[str, Any] = {"date": "%d.%m.%Y", "datetime": "%d.%m.%Y %H:%M", "number": "1.234,50"}
    for name, form in formats.items():
        value_types.parse_type({"type": name, "format": form})
