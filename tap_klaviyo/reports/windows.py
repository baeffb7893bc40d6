"""Which days a report is read for, and by how many calls. Pure.

A report is read by finished days of the account's own time zone: a row of a day that is not over would be wrong
tomorrow. Days come in units (a day, a week from Monday, a month) that are finished together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from tap_klaviyo.reports.declaration import Report, Unit

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Window:
    """The days of one call, the first and the last included."""

    first: date
    last: date


@dataclass(frozen=True)
class Plan:
    """What a run reads of a report.

    Attributes:
        windows: a call each (more where an answer has several pages), oldest first.
        too_early: the day that should have been the first, where it is more than a year ago.
    """

    windows: tuple[Window, ...]
    too_early: date | None = None


def planned(
    report: Report, *, today: date, start: date | None, settled: date | None, bookmark: date | None = None
) -> Plan:
    """The calls of a run.

    Args:
        report: what is read.
        today: the day that is not over yet, in the account's time zone.
        start: the first day that is wanted, None for as early as there is.
        settled: the last day that need not be read again; None when nothing was read yet.
        bookmark: the last day that was read, where it is not known what is settled.
    """
    last = finished(today, report.unit)
    if settled is None and bookmark is not None:
        settled = bookmark - report.reread_days * _DAY
    # What was settled for a shorter time of rereading is not for a longer one.
    going_on = None if settled is None else min(settled, last - report.reread_days * _DAY) + _DAY
    oldest = _first_of_the_year_to(last, report.unit)
    wanted = max(filter(None, (start, going_on)), default=None)
    first = begin_of(wanted, report.unit) if wanted else oldest
    if first >= oldest or report.query.max_years is None:
        return Plan(tuple(_windows(report, first, last)))
    return Plan(tuple(_windows(report, oldest, last)), too_early=first)


def settled_by(report: Report, read: date, today: date) -> date:
    """The last day that need not be read again, once everything up to a day was read."""
    return min(read, finished(today, report.unit) - report.reread_days * _DAY)


def finished(today: date, unit: Unit) -> date:
    """The last day of the last unit that is over."""
    return begin_of(today, unit) - _DAY


def begin_of(day: date, unit: Unit) -> date:
    """The first day of the unit that a day is in; weeks begin on Monday."""
    if unit == "month":
        return day.replace(day=1)
    return day - day.weekday() * _DAY if unit == "week" else day


def after(day: date, unit: Unit) -> date:
    """The first day of the next unit."""
    return begin_of(begin_of(day, unit) + {"day": 1, "week": 7, "month": 31}[unit] * _DAY, unit)


def _windows(report: Report, first: date, last: date) -> Iterator[Window]:
    """The days between in order, each once, as many whole units at a time as Klaviyo tells in one answer."""
    while first <= last:
        stop = after(first, report.unit)
        while report.shape != "values" and stop <= last and _fits(report, first, after(stop, report.unit)):
            stop = after(stop, report.unit)
        yield Window(first, stop - _DAY)
        first = stop


def _fits(report: Report, first: date, stop: date) -> bool:
    days = _longest(report).get(report.interval)
    return (days is None or (stop - first).days <= days) and stop <= _one_year_after(first)


def _longest(report: Report) -> Mapping[str, int]:
    """Of aggregates the specification names no bounds; the same keep their answers small."""
    if report.shape != "aggregates":
        return report.query.max_days
    return {"hour": 7, "day": 60}


def _first_of_the_year_to(last: date, unit: Unit) -> date:
    """The first day of the first unit that is wholly in the year to a day."""
    day = _moved(last, -1) + _DAY
    return day if begin_of(day, unit) == day else after(day, unit)


def _one_year_after(day: date) -> date:
    return _moved(day, 1)


def _moved(day: date, years: int) -> date:
    try:
        return day.replace(year=day.year + years)
    except ValueError:  # the 29th of February
        return day.replace(year=day.year + years, day=28)
