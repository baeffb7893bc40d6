"""What reports are asked, and the rows that are made of their answers."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_tap_report_windows import report

from tap_klaviyo.reports.rows import request_attributes, rows
from tap_klaviyo.reports.windows import Window

NEW_YORK = ZoneInfo("America/New_York")
ZONES = ["America/New_York", "Europe/London", "Europe/Berlin", "Asia/Kolkata", "UTC"]
DAY = timedelta(days=1)
BY = {"flow_id": "F", "flow_message_id": "M", "send_channel": "email"}


def on_the_wall(moment: datetime) -> str:
    return moment.replace(tzinfo=UTC).isoformat()


def as_points(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


def series(numbers: list[float], times: list[str]) -> dict[str, Any]:
    return {"date_times": times, "results": [{"groupings": BY, "statistics": {"opens": numbers}}]}


def test_a_report_is_asked_for_whole_days() -> None:
    """Both ends are included, on the account's clock; the conversion metric goes with it."""
    one = report("flow_series", statistics=["opens"], interval="weekly", filter='equals(flow_id,"F")')
    assert request_attributes(one, Window(date(2026, 1, 5), date(2026, 1, 11)), NEW_YORK, "METRIC") == {
        "statistics": ["opens"],
        "timeframe": {"start": "2026-01-05T00:00:00+00:00", "end": "2026-01-11T23:59:59+00:00"},
        "interval": "weekly",
        "group_by": ["flow_id", "flow_message_id", "send_channel"],
        "conversion_metric_id": "METRIC",
        "filter": 'equals(flow_id,"F")',
    }


def test_an_aggregate_is_asked_for_in_the_accounts_zone() -> None:
    """The end is the day after, which is not included; a zone goes by the name that Klaviyo knows."""
    one = report("metric_aggregates", measurements=["count"], by=["$flow"], filter='equals($flow,"F")')
    found = request_attributes(one, Window(date(2026, 1, 5), date(2026, 1, 6)), ZoneInfo("Europe/Kyiv"), "METRIC")
    assert found["filter"] == [
        "greater-or-equal(datetime,2026-01-05T00:00:00)",
        "less-than(datetime,2026-01-07T00:00:00)",
        'equals($flow,"F")',
    ]
    assert (found["timezone"], found["by"], found["metric_id"]) == ("Europe/Kiev", ["$flow"], "METRIC")


def test_what_is_grouped_by_nothing_has_an_empty_name() -> None:
    """A key holds no null; a statistic that did not come is null."""
    one = report(
        "campaign_values", statistics=["opens", "clicks"], group_by=["campaign_id", "campaign_message_id", "tag_id"]
    )
    answer = {
        "results": [
            {"groupings": {"campaign_id": "C", "campaign_message_id": "M", "tag_id": None}, "statistics": {"opens": 3}}
        ]
    }
    window = Window(date(2026, 1, 5), date(2026, 1, 5))
    assert list(rows(one, window, answer, NEW_YORK, "METRIC")) == [
        {
            "timeframe_start": "2026-01-05",
            "timeframe_end": "2026-01-05",
            "campaign_id": "C",
            "campaign_message_id": "M",
            "tag_id": "",
            "conversion_metric_id": "METRIC",
            "opens": 3,
            "clicks": None,
        }
    ]


def test_dimensions_and_measurements_are_columns() -> None:
    """One row for each combination and day, under names that a warehouse takes."""
    one = report("metric_aggregates", by=["$attributed_flow", "Campaign Name"], measurements=["count", "sum_value"])
    answer = {
        "dates": ["2026-01-05T05:00:00+00:00", "2026-01-06T05:00:00+00:00"],
        "data": [{"dimensions": ["F", "Sale"], "measurements": {"count": [1, 2], "sum_value": [9.5, 0.0]}}],
    }
    found = list(rows(one, Window(date(2026, 1, 5), date(2026, 1, 6)), answer, NEW_YORK, "METRIC"))
    same = {"attributed_flow": "F", "campaign_name": "Sale", "metric_id": "METRIC"}
    assert found == [
        {"date": "2026-01-05", **same, "count": 1, "sum_value": 9.5},
        {"date": "2026-01-06", **same, "count": 2, "sum_value": 0.0},
    ]


@given(
    # The clock of this island changes by half an hour.
    name=st.sampled_from([*ZONES, "Australia/Lord_Howe"]),
    first=st.dates(date(2024, 1, 1), date(2027, 12, 31)),
    count=st.integers(1, 60),
    written=st.sampled_from([on_the_wall, as_points]),
)
def test_days_are_the_accounts_however_they_are_written(
    name: str, first: date, count: int, written: Callable[[datetime], str]
) -> None:
    """A wall's midnight and the point in time of the same name are the same day, also where the clock changes."""
    zone, one = ZoneInfo(name), report("flow_series", statistics=["opens"])
    every = [first + n * DAY for n in range(count)]
    times = [written(datetime(day.year, day.month, day.day, tzinfo=zone)) for day in every]
    found = rows(one, Window(every[0], every[-1]), series(list(range(count)), times), zone, "METRIC")
    assert [(row["date"], row["opens"]) for row in found] == [(day.isoformat(), n) for n, day in enumerate(every)]


@given(
    name=st.sampled_from(ZONES),
    first=st.dates(date(2024, 1, 1), date(2027, 12, 31)),
    count=st.integers(1, 7),
    written=st.sampled_from([on_the_wall, as_points]),
)
def test_hours_are_points_in_time_however_they_are_written(
    name: str, first: date, count: int, written: Callable[[datetime], str]
) -> None:
    """An hour that comes twice has two names, and one that is skipped has none."""
    zone, one = ZoneInfo(name), report("flow_series", statistics=["opens"], interval="hourly")
    begin, last = datetime(first.year, first.month, first.day, tzinfo=zone), first + (count - 1) * DAY
    stop = datetime(last.year, last.month, last.day, tzinfo=zone) + DAY
    moments, moment = [], begin.astimezone(UTC)
    while moment < stop.astimezone(UTC):
        moments.append(moment.astimezone(zone))
        moment += timedelta(hours=1)
    times = [written(moment) for moment in moments]
    found = list(rows(one, Window(first, last), series([0.0] * len(times), times), zone, "METRIC"))
    # Times of two zones that come twice on one of their clocks never equal each other in Python.
    assert [datetime.fromisoformat(row["date_time"]) for row in found] == [moment.astimezone(UTC) for moment in moments]
    assert len({row["date_time"] for row in found}) == len(found)
    assert {row["date"] for row in found} == {(first + n * DAY).isoformat() for n in range(count)}


def test_a_week_that_is_not_wholly_told_makes_no_row() -> None:
    """Should Klaviyo's weeks begin on a Sunday, the ones at both ends are in part elsewhere: the rest is right."""
    one = report("flow_series", statistics=["opens"], interval="weekly")
    sundays = [f"2026-01-{day:02}T00:00:00+00:00" for day in (4, 11, 18, 25)]
    window = Window(date(2026, 1, 5), date(2026, 1, 25))
    assert [row["date"] for row in rows(one, window, series([1, 2, 3, 4], sundays), NEW_YORK, "M")] == [
        "2026-01-11",
        "2026-01-18",
    ]


def test_an_answer_that_is_none_is_found_out() -> None:
    """Numbers that do not reach as far as the dates are no report."""
    one = report("flow_series", statistics=["opens"])
    times = ["2026-01-05T00:00:00+00:00", "2026-01-06T00:00:00+00:00"]
    with pytest.raises(IndexError):
        list(rows(one, Window(date(2026, 1, 5), date(2026, 1, 6)), series([1], times), NEW_YORK, "M"))


@pytest.mark.parametrize(
    ("sent", "number"), [(5, 5), (0.25, 0.25), ("0.25", 0.25), (None, None), (float("nan"), None), (math.inf, None)]
)
def test_a_statistic_is_a_number(sent: Any, number: float | None) -> None:
    """A text of one, too, as in every other column of numbers; a rate of nothing (NaN) is null."""
    window = Window(date(2026, 1, 5), date(2026, 1, 5))
    answers = {
        "flow_series": series([sent], ["2026-01-05T00:00:00+00:00"]),
        "flow_values": {"results": [{"groupings": BY, "statistics": {"opens": sent}}]},
    }
    for name, answer in answers.items():
        [row] = rows(report(name, statistics=["opens"]), window, answer, NEW_YORK, "METRIC")
        assert (row["opens"], type(row["opens"])) == (number, type(number))


@pytest.mark.parametrize("sent", ["many", True, [1], {"value": 1}])
def test_a_statistic_that_is_no_number_is_found_out(sent: Any) -> None:
    """It fits no column of numbers: such an answer is no report."""
    answer = {"results": [{"groupings": BY, "statistics": {"opens": sent}}]}
    window = Window(date(2026, 1, 5), date(2026, 1, 5))
    with pytest.raises(ValueError, match="opens"):
        list(rows(report("flow_values", statistics=["opens"]), window, answer, NEW_YORK, "METRIC"))
