"""Which days a report is read for."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_klaviyo.reports.call_log import add_call, ages
from tap_klaviyo.reports.declaration import OPERATIONS, Report, parse_reports
from tap_klaviyo.reports.windows import (
    Window,
    last_finished_day,
    next_unit_start,
    plan_total,
    plan_windows,
    settled_day,
    unit_start,
)

DAY = timedelta(days=1)
TODAY = date(2026, 3, 18)  # a Wednesday
LONGEST = {"hourly": 7, "daily": 60, "monthly": 364, "hour": 7, "day": 60}
INTERVALS = {
    "values": ("daily", "weekly", "monthly"),
    "series": ("hourly", "daily", "weekly", "monthly"),
    "aggregates": ("hour", "day", "week", "month"),
}


def report(kind: str = "flow_series", **entry: Any) -> Report:
    entry = {"report": kind, **entry}
    if kind == "metric_aggregates":
        entry["metric"] = "Placed Order"
    (made,) = parse_reports([entry])
    return made


REPORTS = [
    report(kind, interval=interval)
    for kind in OPERATIONS
    for interval in INTERVALS["aggregates" if kind == "metric_aggregates" else kind.rpartition("_")[2]]
]


def days(windows: tuple[Window, ...]) -> list[date]:
    return [w.first + n * DAY for w in windows for n in range((w.last - w.first).days + 1)]


@given(
    one=st.sampled_from(REPORTS),
    today=st.dates(date(2020, 1, 1), date(2032, 12, 31)),
    ago=st.one_of(st.none(), st.integers(0, 800)),
)
def test_a_first_run_reads_every_finished_day_once(one: Report, today: date, ago: int | None) -> None:
    """In order, no day twice and none left out, to the last finished one, from the unit of the first or a year ago."""
    start = None if ago is None else today - ago * DAY
    plan = plan_windows(one, today=today, start=start, settled=None)
    found, last = days(plan.windows), last_finished_day(today, one.unit)

    assert found == sorted(set(found))
    if found:
        assert (found[0], found[-1]) == (found[-1] - (len(found) - 1) * DAY, last)
        assert unit_start(found[0], one.unit) == found[0]
    bounded = one.shape != "aggregates"
    if start is not None and not (bounded and plan.clipped_start):
        assert found[:1] == ([unit_start(start, one.unit)] if unit_start(start, one.unit) <= last else [])
    if bounded:
        assert len(found) <= 366
        assert (plan.clipped_start is not None) == (
            start is not None and len(found) > 300 and unit_start(start, one.unit) < found[0]
        )


@given(one=st.sampled_from(REPORTS), today=st.dates(date(2020, 1, 1), date(2032, 12, 31)))
def test_no_call_asks_for_more_than_klaviyo_tells(one: Report, today: date) -> None:
    """Whole units within the longest time frame of the interval, and within a year; of values a unit a call."""
    for window in plan_windows(one, today=today, start=None, settled=None).windows:
        assert unit_start(window.first, one.unit) == window.first
        assert next_unit_start(window.last, one.unit) == window.last + DAY
        assert (window.last - window.first).days + 1 <= LONGEST.get(one.interval, 366)
        if one.shape == "values":
            assert next_unit_start(window.first, one.unit) == window.last + DAY


@given(
    one=st.sampled_from(REPORTS),
    begun=st.dates(date(2024, 1, 1), date(2025, 12, 31)),
    gaps=st.lists(st.integers(0, 45), min_size=1, max_size=8),
    budgets=st.lists(st.integers(0, 40), min_size=8, max_size=8),
)
def test_whatever_is_interrupted_is_whole_in_the_end(
    one: Report, begun: date, gaps: list[int], budgets: list[int]
) -> None:
    """Runs that the budget cuts off, and a last one: each day was read when it was old enough, or lately."""
    settled: date | None = None
    read: dict[date, date] = {}  # day -> the day on which it was read last
    today = begun
    for gap, budget in zip([*gaps, 0], [*budgets[: len(gaps)], 10_000], strict=True):
        today += gap * DAY
        for window in plan_windows(one, today=today, start=None, settled=settled).windows[:budget]:
            read |= dict.fromkeys(days((window,)), today)
            settled = settled_day(one, window.last, today)

    last = last_finished_day(today, one.unit)
    # Of days of more than a year ago Klaviyo tells no more.
    known = max(min(read), last - 350 * DAY)
    assert all(known + n * DAY in read for n in range((last - known).days + 1))
    lately = [last - n * DAY for n in range(one.reread_days)]
    assert all(read.get(day) == today for day in lately)
    assert all(
        read[day] == today or day <= last_finished_day(read[day], one.unit) - one.reread_days * DAY for day in read
    )


def test_days_that_move_are_read_again() -> None:
    """The last thirty finished days, and what came since."""
    one = report(reread_days=30)
    yesterday = TODAY - DAY
    settled = settled_day(one, yesterday - DAY, TODAY - DAY)
    (window,) = plan_windows(one, today=TODAY, start=None, settled=settled).windows
    assert window == Window(TODAY - 31 * DAY, yesterday) == Window(settled + DAY, yesterday)


def test_a_backfill_goes_on_where_the_budget_ended() -> None:
    """What was old enough when it was read is not read again, however much is left."""
    one = report("campaign_values")
    reached = date(2025, 10, 1)
    settled = settled_day(one, reached, TODAY)
    assert settled == reached
    windows = plan_windows(one, today=TODAY, start=None, settled=settled).windows
    assert (windows[0].first, windows[-1].last) == (reached + DAY, TODAY - DAY)


def test_a_bookmark_of_another_hand_is_taken_for_a_finished_run() -> None:
    """A STATE without what is settled is read again as far back as days move."""
    one = report("campaign_values", reread_days=5)
    windows = plan_windows(one, today=TODAY, start=None, settled=None, bookmark=TODAY - 2 * DAY).windows
    assert (windows[0].first, windows[-1].last) == (TODAY - 6 * DAY, TODAY - DAY)


def test_a_start_of_long_ago_is_told() -> None:
    """Klaviyo tells of a year; aggregates name no such bound."""
    start = date(2020, 1, 1)
    plan = plan_windows(report(), today=TODAY, start=start, settled=None)
    assert (plan.clipped_start, plan.windows[0].first) == (start, date(2025, 3, 18))
    assert plan_windows(report("metric_aggregates"), today=TODAY, start=start, settled=None).windows[0].first == start


@pytest.mark.parametrize(
    ("interval", "last"),
    [("daily", date(2026, 3, 17)), ("weekly", date(2026, 3, 15)), ("monthly", date(2026, 2, 28))],
)
def test_only_what_is_over_is_read(interval: str, last: date) -> None:
    """Not today, not this week, not this month."""
    assert plan_windows(report(interval=interval), today=TODAY, start=None, settled=None).windows[-1].last == last


def test_calls_are_counted_by_hours_of_a_day() -> None:
    """The latest is added, those of the day before are forgotten, and rubbish is no call."""
    now = datetime(2026, 3, 18, 9, 30, tzinfo=UTC)
    kept = add_call({"2026-03-18T09": 2, "2026-03-17T10": 3, "2026-03-17T07": 4, "soon": 5}, now)
    assert kept == {"2026-03-18T09": 3, "2026-03-17T10": 3}
    assert ages([kept, {"2026-03-18T08": 1}], now) == [0, 0, 0, *[22.5 * 3600] * 3, 1800]


@pytest.mark.parametrize(
    ("kind", "interval", "first", "nightly"),
    [
        ("flow_values", "daily", 365, 31),
        ("flow_values", "weekly", 52, 5),
        ("flow_values", "monthly", 12, 2),
        ("flow_series", "hourly", 53, 5),
        ("flow_series", "daily", 7, 1),
        ("flow_series", "weekly", 1, 1),
        ("flow_series", "monthly", 2, 1),
    ],
)
def test_calls_are_as_many_as_the_page_says(kind: str, interval: str, first: int, nightly: int) -> None:
    """docs/reference/reports.md tells what a first run costs, and one of each night."""
    one = report(kind, interval=interval)
    assert len(plan_windows(one, today=TODAY, start=None, settled=None).windows) == first
    yesterday = TODAY - DAY
    settled = settled_day(one, last_finished_day(yesterday, one.unit), yesterday)
    assert len(plan_windows(one, today=TODAY, start=None, settled=settled).windows) == nightly


TOTALS = {
    # TODAY is Wednesday, the 18th of March 2026.
    "yesterday": ("2026-03-17", "2026-03-17"),
    "this_week": ("2026-03-16", "2026-03-17"),
    "last_week": ("2026-03-09", "2026-03-15"),
    "this_month": ("2026-03-01", "2026-03-17"),
    "last_month": ("2026-02-01", "2026-02-28"),
    "this_year": ("2026-01-01", "2026-03-17"),
    "last_year": ("2025-01-01", "2025-12-31"),
    "last_7_days": ("2026-03-11", "2026-03-17"),
    "last_30_days": ("2026-02-16", "2026-03-17"),
    "last_90_days": ("2025-12-18", "2026-03-17"),
    "last_365_days": ("2025-03-18", "2026-03-17"),
    "last_3_months": ("2025-12-01", "2026-02-28"),
    "last_12_months": ("2025-03-01", "2026-02-28"),
}


def total(timeframe: Any) -> Report:
    return report("campaign_values", interval="total", timeframe=timeframe)


def test_every_time_frame_of_klaviyo_is_finished_days() -> None:
    """Counted back from yesterday, weeks from Monday; each that the specification names but today is known."""
    assert {*TOTALS, "today"} == {*total("last_week").query.timeframes}
    for key, (first, last) in TOTALS.items():
        (window,) = plan_total(total(key), TODAY)
        assert (window.first.isoformat(), window.last.isoformat()) == (first, last), key


@given(key=st.sampled_from([*TOTALS]), today=st.dates(date(2020, 1, 1), date(2032, 12, 31)))
def test_a_time_frame_is_one_call_of_a_year_at_most(key: str, today: date) -> None:
    """On every day of the calendar; nothing of it is not over. Of a week that begins today nothing is finished."""
    windows = plan_total(total(key), today)
    assert len(windows) <= 1
    assert windows or (key.startswith("this_") and (today.day == 1 or today.weekday() == 0))
    for window in windows:
        assert window.first <= window.last < today
        assert (window.last - window.first).days <= 365


def test_a_range_that_is_not_over_ends_yesterday() -> None:
    """The row says so; of one that has not begun there is nothing yet."""
    assert plan_total(total({"start": "2026-01-01", "end": "2026-12-31"}), TODAY) == (
        Window(date(2026, 1, 1), TODAY - DAY),
    )
    past = {"start": "2023-06-01", "end": "2024-05-31"}
    assert plan_total(total(past), TODAY) == (Window(date(2023, 6, 1), date(2024, 5, 31)),)
    assert plan_total(total({"start": "2026-03-18", "end": "2026-12-31"}), TODAY) == ()
