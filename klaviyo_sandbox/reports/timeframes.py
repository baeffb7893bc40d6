"""The time frame of a report: whole hours of the account's own time zone, cut into intervals. Pure.

Klaviyo ignores the offset of a custom time frame, and includes the hour in which it ends. It does not document what
its keys stand for. Here ``last_7_days`` and its like end today, ``last_3_months`` and its like with the month before.
Weeks begin on Monday.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
# No account has data of other years, and the ends of the calendar are in no time zone.
_YEARS = range(1970, 2101)
# More intervals are not computed at once.
MAX_INTERVALS = 10_000
_DAYS = re.compile(r"last_(\d+)_days")
_MONTHS = re.compile(r"last_(\d+)_months")


class InvalidTimeframe(Exception):
    """The time frame is not allowed; the message says why."""


@dataclass(frozen=True)
class TimeFrame:
    """From ``first`` on and before ``stop``, both in the account's wall-clock time.

    Raises:
        InvalidTimeframe: there is no time between them, or a year is outside those that an account can have data of.
    """

    first: datetime
    stop: datetime

    def __post_init__(self) -> None:
        if self.stop <= self.first:
            raise InvalidTimeframe("The time frame ends before it starts.")
        if not {self.first.year, self.stop.year} <= {*_YEARS}:
            raise InvalidTimeframe(f"The time frame must be between {_YEARS[0]} and {_YEARS[-1]}.")

    def bounds(self, zone: ZoneInfo) -> tuple[datetime, datetime]:
        """``first`` and ``stop`` as points in time (UTC)."""
        return self.first.replace(tzinfo=zone).astimezone(UTC), self.stop.replace(tzinfo=zone).astimezone(UTC)


@dataclass(frozen=True)
class Intervals:
    """A time frame cut into intervals.

    Attributes:
        starts: where each interval begins, as a point in time.
        labels: where each interval begins, as the account's wall clock shows it.
    """

    starts: tuple[datetime, ...]
    labels: tuple[datetime, ...]

    def index_of(self, when: datetime) -> int:
        """The index of the interval that holds a point in time of the frame."""
        return bisect.bisect_right(self.starts, when) - 1


def parse_timeframe(timeframe: Mapping[str, str], today: date, max_years: int) -> TimeFrame:
    """The time frame that the attribute ``timeframe`` of a body stands for.

    Raises:
        InvalidTimeframe: it cannot be read, ends before it starts, or is longer than Klaviyo takes.
    """
    if "key" in timeframe:
        first, last = _days_of_key(timeframe["key"], today)
        return TimeFrame(datetime.combine(first, time()), datetime.combine(last + _DAY, time()))
    try:
        start, end = (datetime.fromisoformat(timeframe[name]).replace(tzinfo=None) for name in ("start", "end"))
        frame = TimeFrame(_start_of_hour(start), _start_of_hour(end) + _HOUR)
        latest_stop = _years_later(frame.first, max_years)
    except (ValueError, OverflowError) as error:
        raise InvalidTimeframe("start and end must be points in time.") from error
    if frame.stop > latest_stop:
        raise InvalidTimeframe(f"The time frame is longer than {max_years} year.")
    return frame


def check_length(frame: TimeFrame, interval: str, max_days: Mapping[str, int]) -> None:
    """Refuse a time frame that is too long for an interval.

    Raises:
        InvalidTimeframe: it is.
    """
    days = max_days.get(interval)
    if days is not None and frame.stop - frame.first > days * _DAY:
        raise InvalidTimeframe(f"The time frame is longer than the {days} days that {interval} takes.")


def cut_into_intervals(frame: TimeFrame, interval: str, zone: ZoneInfo) -> Intervals:
    """The intervals (``hour``, ``day``, ``week`` or ``month``) of a time frame; the first and last may be cut.

    Raises:
        InvalidTimeframe: they are too many.
    """
    if (frame.stop - frame.first) / (_HOUR if interval == "hour" else _DAY) > MAX_INTERVALS:
        raise InvalidTimeframe(f"The time frame holds more than {MAX_INTERVALS} intervals.")
    start, stop = frame.bounds(zone)
    if interval == "hour":
        # Rounded up, because some clocks change by half an hour.
        hours = -((start - stop) // _HOUR)
        starts = tuple(start + number * _HOUR for number in range(hours))
        return Intervals(starts, tuple(when.astimezone(zone).replace(tzinfo=None) for when in starts))
    labels = tuple(_interval_labels(frame, interval))
    starts = tuple(max(start, label.replace(tzinfo=zone).astimezone(UTC)) for label in labels)
    return Intervals(starts, labels)


def _interval_labels(frame: TimeFrame, interval: str) -> Iterator[datetime]:
    """The midnights at which the intervals (days, weeks or months) of a frame begin."""
    day = frame.first.date()
    if interval == "week":
        day -= day.weekday() * _DAY
    elif interval == "month":
        day = day.replace(day=1)
    while datetime.combine(day, time()) < frame.stop:
        yield datetime.combine(day, time())
        day = _month_later(day) if interval == "month" else day + (7 if interval == "week" else 1) * _DAY


def _days_of_key(key: str, today: date) -> tuple[date, date]:
    """The first and last day of a time frame that is given by a key, such as ``last_7_days``."""
    monday, month = today - today.weekday() * _DAY, today.replace(day=1)
    january = month.replace(month=1)
    if days := _DAYS.fullmatch(key):
        return today - (int(days[1]) - 1) * _DAY, today
    if months := _MONTHS.fullmatch(key):
        return _months_before(month, int(months[1])), month - _DAY
    return {
        "today": (today, today),
        "yesterday": (today - _DAY, today - _DAY),
        "this_week": (monday, today),
        "last_week": (monday - 7 * _DAY, monday - _DAY),
        "this_month": (month, today),
        "last_month": (_months_before(month, 1), month - _DAY),
        "this_year": (january, today),
        "last_year": (january.replace(year=today.year - 1), january - _DAY),
    }[key]


def _start_of_hour(when: datetime) -> datetime:
    return when.replace(minute=0, second=0, microsecond=0)


def _month_later(day: date) -> date:
    return (day + 31 * _DAY).replace(day=1)


def _months_before(month: date, count: int) -> date:
    for _ in range(count):
        month = (month - _DAY).replace(day=1)
    return month


def _years_later(when: datetime, years: int) -> datetime:
    try:
        return when.replace(year=when.year + years)
    except ValueError:
        return when.replace(year=when.year + years, month=3, day=1)
