"""What JSON values become."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_klaviyo.rows import values
from tap_klaviyo.rows.values import ConversionError

NOTHING_FITS = ("", "x", True, None, [], {}, float("nan"), float("inf"), "nan", "-Infinity", "1e999")


@pytest.mark.parametrize(
    ("convert", "fits", "unfit"),
    [
        (
            values.as_number,
            [(5, 5), (5.5, 5.5), ("19.90", 19.9), ("-1e3", -1000.0), ("0", 0.0), (10**308, 10**308)],
            # A loader that makes a double of it stops there for good.
            (*NOTHING_FITS, 10**400, -(10**309), "9" * 400),
        ),
        (
            values.as_integer,
            [(5, 5), ("7", 7), (3.0, 3), ("3.0", 3), (2**63 - 1, 2**63 - 1), (-(2**63), -(2**63))],
            (*NOTHING_FITS, 3.5, "3.5", 2**63, -(2**63) - 1, 10**400, 1e19, "1e30", "9" * 30),
        ),
        (
            values.as_boolean,
            [(True, True), (False, False), ("true", True), ("False", False), (1, True), (0, False)],
            ("", "yes", 2, None, [], {}),
        ),
        (
            values.as_date,
            [
                *(("2026-01-31", "2026-01-31"), ("20260131", "2026-01-31"), ("2026-01-31 23:30:00", "2026-01-31")),
                ("2026-01-31T23:30:00-08:00", "2026-01-31"),
            ],
            ("", "x", "31.01.2026", "2026-02-30", 20260131, 1767225600.0, True, None, [], {}),
        ),
        (values.as_object, [({}, {}), ({"$a b": [1]}, {"$a b": [1]})], ("{}", [], 1, True, None)),
        (
            values.as_text,
            [
                *(("", ""), ("5", "5"), (5, "5"), (True, "true"), ([1, "ö"], '[1,"ö"]'), ({"a": None}, '{"a":null}')),
                *(([float("nan"), "ö"], '[null,"ö"]'), ({"a": float("inf")}, '{"a":null}')),
            ],
            (float("nan"), float("-inf")),
        ),
    ],
    ids=["number", "integer", "boolean", "date", "object", "text"],
)
def test_values_become_what_their_column_promises(
    convert: values.Convert, fits: list[tuple[object, object]], unfit: tuple[object, ...]
) -> None:
    """Or they are unfit; what JSON cannot hold (NaN, infinity) never gets through as a number."""
    for value, expected in fits:
        made = convert(value)
        assert (made, type(made)) == (expected, type(expected))
    for value in unfit:
        with pytest.raises(ConversionError):
            convert(value)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(-(10**400)) | st.floats(allow_nan=False) | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
)


@given(JSON_VALUES.filter(lambda value: not isinstance(value, str)))
def test_texts_of_other_values_are_what_json_has_of_them(value: object) -> None:
    """However they are made: as ``json.dumps`` writes them; what it does not write is unfit or written otherwise."""
    try:
        expected = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return
    assert values.as_text(value) == expected


MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1))  # noqa: DTZ001 - the zone is drawn beside it
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


# Also two moments of the same second, where one has a fraction and the other none.
PAIRS = st.one_of(
    st.tuples(MOMENTS, MOMENTS),
    st.tuples(MOMENTS.map(lambda moment: moment.replace(microsecond=0)), st.sampled_from((0, 1, 500_000, 999_999))).map(
        lambda drawn: (drawn[0], drawn[0] + timedelta(microseconds=drawn[1]))
    ),
)


@given(pair=PAIRS, offset=OFFSETS, separator=st.sampled_from("T "), same=st.booleans())
def test_times_of_any_form_sort_as_their_moments(
    pair: tuple[datetime, datetime], offset: timezone, separator: str, same: bool
) -> None:
    """Bookmarks are compared as text, so the text must order as the moments do, with and without fractions."""
    one, other = pair[0].replace(tzinfo=offset), pair[1].replace(tzinfo=UTC)
    if same:
        other = other - offset.utcoffset(None)
    texts = [
        values.as_datetime(one.isoformat(separator)),
        values.as_datetime(other.isoformat().replace("+00:00", "Z")),
    ]
    assert (texts[0] < texts[1]) == (one < other)
    assert [datetime.fromisoformat(text) for text in texts] == [one, other]


@pytest.mark.parametrize("value", ["", "yesterday", "2026-13-01", 5, None, [], "0001-01-01T00:00:00+14:00"])
def test_what_is_no_time_is_unfit(value: object) -> None:
    """Also a time whose UTC no calendar has."""
    with pytest.raises(ConversionError):
        values.as_datetime(value)


def test_a_time_without_zone_is_utc() -> None:
    """Klaviyo's own times are UTC."""
    assert values.as_datetime("2026-01-01 12:00:00") == "2026-01-01T12:00:00+00:00"
