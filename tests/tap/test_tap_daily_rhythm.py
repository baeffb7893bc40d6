"""How dense each hour of the day is, as the tap learns it from pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_klaviyo.reading.daily_rhythm import DailyRhythm

MIDNIGHT = datetime(2026, 6, 1, tzinfo=UTC)
HOUR, DAY, SECOND = timedelta(hours=1), timedelta(days=1), timedelta(seconds=1)

STARTS = st.integers(0, 86_400 * 10).map(lambda seconds: MIDNIGHT + seconds * SECOND)
PAGES = st.lists(st.tuples(STARTS, st.integers(0, 200_000), st.integers(0, 5000)), max_size=30)


def learned(pages: list[tuple[datetime, int, int]]) -> DailyRhythm:
    rhythm = DailyRhythm()
    for start, seconds, rows in pages:
        rhythm.learn(start, start + seconds * SECOND, rows)
    return rhythm


def of_days(days: int, rows_at: list[int]) -> DailyRhythm:
    """What so many days show, hour by hour."""
    hours = range(days * 24)
    return learned([(MIDNIGHT + hour * HOUR, 3600, rows_at[hour % 24]) for hour in hours])


def weight(rhythm: DailyRhythm, hour: int) -> float:
    """How much denser an hour of the day is than the mean."""
    return rhythm.weigh(MIDNIGHT + hour * HOUR, MIDNIGHT + (hour + 1) * HOUR) / 3600


def test_a_second_weighs_one_before_anything_is_known() -> None:
    """Then densities are rows a second."""
    rhythm = DailyRhythm()
    assert rhythm.weigh(MIDNIGHT, MIDNIGHT + 90 * SECOND) == 90
    assert rhythm.seconds_of(MIDNIGHT, 1e6) == pytest.approx(1e6)


@given(pages=PAGES, start=STARTS, seconds=st.integers(0, 400_000_000))
def test_seconds_and_their_weight_belong_together(
    pages: list[tuple[datetime, int, int]], start: datetime, seconds: int
) -> None:
    """Whatever was learned, and from a second to ten years: the time that weighs so much is found again."""
    rhythm = learned(pages)
    weighed = rhythm.weigh(start, start + seconds * SECOND)
    assert rhythm.seconds_of(start, weighed) == pytest.approx(seconds, rel=1e-6, abs=1e-3)


@given(pages=PAGES, start=STARTS)
def test_a_day_weighs_about_its_seconds(pages: list[tuple[datetime, int, int]], start: datetime) -> None:
    """Weights say how the hours of a day differ, not how many rows the account has."""
    assert learned(pages).weigh(start, start + DAY) == pytest.approx(86_400, rel=0.5)


def test_a_week_shows_the_nights() -> None:
    """Hours with a tenth of the rows weigh about a tenth, in whatever account."""
    for rows in (10, 10_000):
        rhythm = of_days(7, [rows] * 8 + [rows * 10] * 16)
        assert weight(rhythm, 12) / weight(rhythm, 4) == pytest.approx(10, rel=0.15)


def test_a_campaign_hardly_counts() -> None:
    """A hundred times the rows in one hour of one day change its weight by less than a half."""
    rhythm = of_days(7, [100] * 24)
    rhythm.learn(MIDNIGHT + 15 * HOUR, MIDNIGHT + 16 * HOUR, 10_000)
    assert 1 < weight(rhythm, 15) / weight(rhythm, 14) < 1.5


def test_a_quiet_week_changes_no_hour() -> None:
    """The hours of a week with a fiftieth of the rows are still as they were to each other."""
    days = [rows for rows in (1000, 20) for _ in range(7)]
    rhythm = learned(
        [
            (MIDNIGHT + (day * 24 + at) * HOUR, 3600, rows * (1 + at // 12))
            for day, rows in enumerate(days)
            for at in range(24)
        ]
    )
    assert weight(rhythm, 18) / weight(rhythm, 6) == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("seconds", [-10, 0, 86_400, 10**8])
def test_a_page_of_a_day_or_of_no_time_shows_nothing_of_hours(seconds: int) -> None:
    """Nor one whose rows came in the wrong order."""
    rhythm = learned([(MIDNIGHT, seconds, 1000)])
    assert [weight(rhythm, hour) for hour in range(24)] == [1.0] * 24
