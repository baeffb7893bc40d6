"""What a column's texts are: guessed where they say it, asked where two readings are possible."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klaviyo_audience.guesses import ColumnGuess, Guess, read_text


def guess(*values: Any, has_types: bool = False) -> Guess:
    column = ColumnGuess(guesses_text=not has_types)
    for value in values:
        column.add(value)
    return column.guess()


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "0", "-12"], "integer"),
        (["1.5", "2"], "number"),
        (["1.234,50", "99,90", "7"], "number:1.234,50"),
        (["1,234.50", "99.90"], "number:1,234.50"),
        (["1 234,50", "3,5"], "number:1 234,50"),
        (["1'234.50", "3.5"], "number:1'234.50"),
        (["yes", "No", "YES"], "boolean"),
        (["true", "false"], "boolean"),
        (["y", "n"], "boolean"),
        (["2026-01-31", "2025-12-01"], "date"),
        (["31.01.2026", "01.02.2026"], "date:%d.%m.%Y"),
        (["01/31/2026", "02/01/2026"], "date:%m/%d/%Y"),
        (["31/01/26", "01/02/26"], "date:%d/%m/%y"),
        (["2026/01/31"], "date:%Y/%m/%d"),
        (["31 Jan 2026", "1 Feb 2026"], "date:%d %b %Y"),
        (["2026-01-31 10:00", "2026-02-01"], "datetime"),
        (["2026-01-31T10:00:00Z"], "datetime"),
        (["31.01.2026 10:00"], "datetime:%d.%m.%Y %H:%M"),
        # Ids and codes, not numbers.
        (["0012", "0013"], "string"),
        (["12345678901234567"], "string"),
        (["+4915112345678"], "string"),
        (["Oslo", "Rome"], "string"),
        (["31.02.2026"], "string"),
        (["1/2"], "string"),
        ([], "string"),
    ],
)
def test_what_a_column_is(values: list[str], kind: str) -> None:
    """Only one reading takes all of its values."""
    found = guess(*values)
    assert (found.kind.text, found.misfits, list(found.readings)) == (kind, 0, [])


@pytest.mark.parametrize(
    ("values", "readings", "sample"),
    [
        (["01.02.2026", "03.03.2026"], ["date:%d.%m.%Y", "date:%m.%d.%Y"], "01.02.2026"),
        (["02/03/26"], ["date:%d/%m/%y", "date:%m/%d/%y"], "02/03/26"),
        (["01.02.2026 10:00"], ["datetime:%d.%m.%Y %H:%M", "datetime:%m.%d.%Y %H:%M"], "01.02.2026 10:00"),
        (["1.234", "5"], ["number", "number:1.234,50"], "1.234"),
        (["1,234"], ["number:1,234.50", "number:1.234,50"], "1,234"),
        # Some rows say one thing, some the other.
        ([*["01/02/2026"] * 40, "31/01/2026", "01/31/2026"], ["date:%d/%m/%Y", "date:%m/%d/%Y"], "01/02/2026"),
    ],
)
def test_what_can_be_read_in_two_ways_is_asked(values: list[str], readings: list[str], sample: str) -> None:
    """No row decides it, and a guess would be wrong for half of the world: until somebody says it, it is a text."""
    found = guess(*values)
    assert found.kind.text == "string"
    assert [kind.text for kind, _ in found.readings] == readings
    assert found.sample == sample


def test_a_row_that_decides_it_is_enough() -> None:
    """Of fifty dates one is the 31st, wherever it stands."""
    assert guess(*["01.02.2026"] * 50, "31.01.2026").kind.text == "date:%d.%m.%Y"
    assert guess("12.5", *["1.234"] * 50).kind.text == "number"


def test_where_both_readings_say_the_same_nothing_is_asked() -> None:
    """The second of February is that in each of them."""
    assert guess("02/02/2026", "03/03/2026").readings == ()


def test_a_few_that_do_not_fit_are_told() -> None:
    """One of ten may be something else; a column of codes is no column of numbers for that."""
    found = guess(*["yes"] * 20, "maybe")
    assert (found.kind.text, found.values, found.misfits, found.misfit) == ("boolean", 21, 1, "maybe")
    assert guess(*["1.5"] * 20, "free").misfits == 1
    assert guess(*["17"] * 20, "A17").kind.text == "string"
    assert guess("yes", "maybe").kind.text == "string"
    assert guess(*["yes"] * 8, *["maybe"] * 2).kind.text == "string"


@pytest.mark.parametrize("nothing", ["N/A", "none", "NULL", "nan"])
def test_words_for_nothing_are_no_values(nothing: str) -> None:
    """They say nothing about the type, as in every id."""
    found = guess("31.01.2026", nothing, "1.2.2026")
    assert (found.kind.text, found.misfits) == ("date:%d.%m.%Y", 0)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "integer"),
        ([1, 2.5], "number"),
        ([True, False], "boolean"),
        ([date(2026, 1, 31), "2026-02-01"], "date"),
        ([date(2026, 1, 31), datetime.fromisoformat("2026-01-31T10:00")], "datetime"),
        ([1.5, "1.234,50"], "number:1.234,50"),
    ],
)
def test_cells_of_a_workbook_have_types(values: list[Any], kind: str) -> None:
    """A text among them counts as in a text file."""
    assert guess(*values).kind.text == kind


@pytest.mark.parametrize("text", ["17", "2026-01-31", "yes"])
def test_texts_of_a_source_with_types_are_texts(text: str) -> None:
    """Whoever made the table has said so."""
    assert guess(text, has_types=True).kind.text == "string"


@given(st.dates(min_value=date(1970, 1, 1), max_value=date(2068, 12, 31)), st.sampled_from("./-"))
def test_the_right_reading_of_a_date_is_among_them(day: date, mark: str) -> None:
    """However a day is written, the readings say it, and `strptime` agrees with each."""
    for order in (f"%d{mark}%m{mark}%Y", f"%m{mark}%d{mark}%y", "%Y-%m-%d"):
        readings = read_text(day.strftime(order))
        assert day in readings.values()
        for kind, value in readings.items():
            if kind.format:
                assert datetime.strptime(day.strftime(order), kind.format).date() == value  # noqa: DTZ007


@given(st.integers(min_value=-(10**9), max_value=10**9), st.sampled_from([",.", ".,", " ,"]))
def test_the_right_reading_of_a_number_is_among_them(cents: int, marks: str) -> None:
    """With marks between thousands and before decimals."""
    thousands, decimal = marks
    text = f"{cents / 100:,.2f}".replace(",", "t").replace(".", decimal).replace("t", thousands)
    assert cents / 100 in read_text(text).values()


@given(st.text(max_size=50))
def test_two_equal_cells_are_of_one_kind(text: str) -> None:
    """Whatever stands in them: what fits the guess is not counted as a misfit, and nothing breaks it."""
    assert guess(text, text).misfits == 0
