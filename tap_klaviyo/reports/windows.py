"""Plans the windows of days that a report is read for: a call for each. Pure.

A report is read by finished days of the account's own time zone: a row of a day that is not over would be wrong
tomorrow. Days come in units (a day, a week from Monday, a month) that are finished together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from tap_klaviyo.reports.declaration import Report, Unit
from tap_klaviyo.reports.timeframes import add_years, finished_days

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Window:
    """The days of one call, the first and the last included."""

    first: date
    last: date


@dataclass(frozen=True)
class WindowPlan:
    """What a run reads of a report.

    Attributes:
        windows: a call each (more where an answer has several pages), oldest first.
        clipped_start: the day that should have been the first, where it is more than a year ago.
    """

    windows: tuple[Window, ...]
    clipped_start: date | None = None


def plan_windows(
    report: Report, *, today: date, start: date | None, settled: date | None, bookmark: date | None = None
) -> WindowPlan:
    """Plan the calls of a run.

    Args:
        report: what is read.
        today: the day that is not over yet, in the account's time zone.
        start: the first day that is wanted, None for the earliest there is.
        settled: the last day that need not be read again; None when nothing was read yet.
        bookmark: the last day that was read, for a STATE without ``settled``.
    """
    last = last_finished_day(today, report.unit)
    if settled is None and bookmark is not None:
        settled = bookmark - report.reread_days * _DAY
    # A day that was settled may not be, if reread_days was smaller then.
    next_day = None if settled is None else min(settled, last - report.reread_days * _DAY) + _DAY
    oldest = _first_unit_of_year(last, report.unit)
    wanted = max(filter(None, (start, next_day)), default=None)
    first = unit_start(wanted, report.unit) if wanted else oldest
    if first >= oldest or report.query.max_years is None:
        return WindowPlan(tuple(_windows(report, first, last)))
    return WindowPlan(tuple(_windows(report, oldest, last)), clipped_start=first)


def plan_total(report: Report, today: date) -> tuple[Window, ...]:
    """The one call of a whole time frame, as far as its days are finished; none where none is."""
    days = None if report.timeframe is None else finished_days(report.timeframe, today)
    return () if days is None else (Window(*days),)


def settled_day(report: Report, read: date, today: date) -> date:
    """The last day that need not be read again, once everything up to a day was read."""
    return min(read, last_finished_day(today, report.unit) - report.reread_days * _DAY)


def last_finished_day(today: date, unit: Unit) -> date:
    """The last day of the last unit that is over."""
    return unit_start(today, unit) - _DAY


def unit_start(day: date, unit: Unit) -> date:
    """The first day of the unit that a day is in; weeks begin on Monday."""
    if unit == "month":
        return day.replace(day=1)
    return day - day.weekday() * _DAY if unit == "week" else day


def next_unit_start(day: date, unit: Unit) -> date:
    """The first day of the next unit."""
    return unit_start(unit_start(day, unit) + {"day": 1, "week": 7, "month": 31}[unit] * _DAY, unit)


def _windows(report: Report, first: date, last: date) -> Iterator[Window]:
    """Windows that hold each of these days once, in order; each has as many whole units as one answer may have."""
    while first <= last:
        stop = next_unit_start(first, report.unit)
        while report.shape != "values" and stop <= last and _fits(report, first, next_unit_start(stop, report.unit)):
            stop = next_unit_start(stop, report.unit)
        yield Window(first, stop - _DAY)
        first = stop


def _fits(report: Report, first: date, stop: date) -> bool:
    days = _max_days(report).get(report.interval)
    return (days is None or (stop - first).days <= days) and stop <= add_years(first, 1)


def _max_days(report: Report) -> Mapping[str, int]:
    """Interval -> how many days one answer may have."""
    # Klaviyo's document names no limits for aggregates; those of other reports keep their answers small.
    if report.shape != "aggregates":
        return report.query.max_days
    return {"hour": 7, "day": 60}


def _first_unit_of_year(last: date, unit: Unit) -> date:
    """The first day of the first unit that is wholly in the year that ends with a day."""
    day = add_years(last, -1) + _DAY
    return day if unit_start(day, unit) == day else next_unit_start(day, unit)
