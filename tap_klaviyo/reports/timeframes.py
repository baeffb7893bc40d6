"""Whole time frames of reports: what the setting may name, and which finished days it means today. Pure.

Klaviyo does not document which days its names stand for, nor does an answer say. So days are asked for, never a name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from klaviyo_client.errors import SettingsError

_DAY = timedelta(days=1)
# The one name of Klaviyo's that has no finished day.
_TODAY = "today"
_DAYS = re.compile(r"last_(\d+)_days")
_MONTHS = re.compile(r"last_(\d+)_months")


@dataclass(frozen=True)
class TimeFrame:
    """A name of Klaviyo's, such as ``last_30_days``, or a range of days, the first and the last included."""

    name: str | None = None
    first: date | None = None
    last: date | None = None


def parse_timeframe(report: str, given: str | Mapping[str, Any], names: Sequence[str], max_years: int) -> TimeFrame:
    """The time frame that an entry gives.

    Args:
        report: the entry's name.
        given: a name, or a range with ``start`` and ``end``.
        names: those that Klaviyo has.
        max_years: how long a time frame may be.

    Raises:
        SettingsError: Klaviyo does not have it.
    """
    if isinstance(given, str):
        if given == _TODAY:
            raise SettingsError(f"reports: timeframe of {report} is today, and today is not over yet; yesterday is")
        if given not in names:
            raise SettingsError(f"reports: {report} has timeframe {given}; it can be {offered(names)}")
        return TimeFrame(given)
    if given.keys() != {"start", "end"}:
        raise SettingsError(f"reports: timeframe of {report} must have start and end, or be {offered(names)}")
    first, last = (parse_day(f"{edge} of timeframe of {report}", given[edge]) for edge in ("start", "end"))
    if last < first:
        raise SettingsError(f"reports: timeframe of {report} must not end before it starts")
    if last >= add_years(first, max_years):
        raise SettingsError(f"reports: timeframe of {report} is longer than {max_years} year, the most that there is")
    return TimeFrame(first=first, last=last)


def offered(names: Sequence[str]) -> str:
    """What a time frame can be, as a text."""
    return f"{', '.join(name for name in names if name != _TODAY)}, or start and end"


def parse_day(what: str, text: Any) -> date:
    """A day of the settings.

    Raises:
        SettingsError: it is none.
    """
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"reports: {what} must be a day such as 2026-01-31, not {text!r}") from error


def finished_days(frame: TimeFrame, today: date) -> tuple[date, date] | None:
    """The first and the last finished day of a time frame; None where none is finished.

    Raises:
        ValueError: its name is not known here.
    """
    first, last = _days(frame, today)
    last = min(last, today - _DAY)
    return (first, last) if first <= last else None


def add_years(day: date, years: int) -> date:
    """The same day of another year; of the 29th of February the 28th where there is none."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return day.replace(year=day.year + years, day=28)


def _days(frame: TimeFrame, today: date) -> tuple[date, date]:
    """The first and the last day, finished or not; weeks begin on Monday."""
    if frame.first is not None and frame.last is not None:
        return frame.first, frame.last
    name, yesterday = frame.name or "", today - _DAY
    if days := _DAYS.fullmatch(name):
        return today - int(days[1]) * _DAY, yesterday
    monday, month, year = today - today.weekday() * _DAY, today.replace(day=1), today.replace(month=1, day=1)
    if months := _MONTHS.fullmatch(name):
        return _months_before(month, int(months[1])), month - _DAY
    named = {
        "yesterday": (yesterday, yesterday),
        "this_week": (monday, yesterday),
        "last_week": (monday - 7 * _DAY, monday - _DAY),
        "this_month": (month, yesterday),
        "last_month": (_months_before(month, 1), month - _DAY),
        "this_year": (year, yesterday),
        "last_year": (add_years(year, -1), year - _DAY),
    }
    if name not in named:
        raise ValueError(f"no days are known of {name}")
    return named[name]


def _months_before(month: date, count: int) -> date:
    """The first day of the month so many before, from a first day."""
    for _ in range(count):
        month = (month - _DAY).replace(day=1)
    return month
