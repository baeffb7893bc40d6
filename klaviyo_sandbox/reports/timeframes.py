"""The time of a report: whole hours of the account's own time zone, cut into intervals. Pure.

Klaviyo ignores the offset of a custom time frame, and includes the hour in which it ends. What its keys stand for is
written down nowhere: here ``last_7_days`` and its like end today, ``last_3_months`` and its like with the month before.
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
# More of them are not worked out at once.
MOST_INTERVALS = 10_000
_DAYS = re.compile(r"last_(\d+)_days")
_MONTHS = re.compile(r"last_(\d+)_months")


class NoTimeframe(Exception):
    """The time frame cannot be; the message says why."""


@dataclass(frozen=True)
class Frame:
    """From ``first`` on and before ``stop``, on the account's clock on the wall.

    Raises:
        NoTimeframe: there is no time between them, or it is of no year that an account has seen.
    """

    first: datetime
    stop: datetime

    def __post_init__(self) -> None:
        if self.stop <= self.first:
            raise NoTimeframe("The time frame ends before it starts.")
        if not {self.first.year, self.stop.year} <= {*_YEARS}:
            raise NoTimeframe(f"The time frame must be between {_YEARS[0]} and {_YEARS[-1]}.")

    def bounds(self, zone: ZoneInfo) -> tuple[datetime, datetime]:
        """The same as points in time."""
        return self.first.replace(tzinfo=zone).astimezone(UTC), self.stop.replace(tzinfo=zone).astimezone(UTC)


@dataclass(frozen=True)
class Intervals:
    """A frame cut up: where each interval begins, as a point in time and as the clock on the wall shows it."""

    starts: tuple[datetime, ...]
    labels: tuple[datetime, ...]

    def of(self, when: datetime) -> int:
        """The interval that a point of time in the frame is in."""
        return bisect.bisect_right(self.starts, when) - 1


def frame(given: Mapping[str, str], today: date, max_years: int) -> Frame:
    """What a ``timeframe`` stands for.

    Raises:
        NoTimeframe: it is no time, ends before it starts, or is longer than Klaviyo takes.
    """
    if "key" in given:
        first, last = _named(given["key"], today)
        return Frame(datetime.combine(first, time()), datetime.combine(last + _DAY, time()))
    try:
        start, end = (datetime.fromisoformat(given[name]).replace(tzinfo=None) for name in ("start", "end"))
        found = Frame(_hour(start), _hour(end) + _HOUR)
        longest = _years_later(found.first, max_years)
    except (ValueError, OverflowError) as error:
        raise NoTimeframe("start and end must be points in time.") from error
    if found.stop > longest:
        raise NoTimeframe(f"The time frame is longer than {max_years} year.")
    return found


def check_length(found: Frame, interval: str, max_days: Mapping[str, int]) -> None:
    """Refuse a frame that is too long for an interval.

    Raises:
        NoTimeframe: it is.
    """
    most = max_days.get(interval)
    if most is not None and found.stop - found.first > most * _DAY:
        raise NoTimeframe(f"The time frame is longer than the {most} days that {interval} takes.")


def intervals(found: Frame, interval: str, zone: ZoneInfo) -> Intervals:
    """The intervals (``hour``, ``day``, ``week`` or ``month``) of a frame; the first and last may be cut.

    Raises:
        NoTimeframe: they are too many.
    """
    if (found.stop - found.first) / (_HOUR if interval == "hour" else _DAY) > MOST_INTERVALS:
        raise NoTimeframe(f"The time frame holds more than {MOST_INTERVALS} intervals.")
    start, stop = found.bounds(zone)
    if interval == "hour":
        moments = tuple(start + number * _HOUR for number in range(-((start - stop) // _HOUR)))
        return Intervals(moments, tuple(moment.astimezone(zone).replace(tzinfo=None) for moment in moments))
    labels = tuple(_dates(found, interval))
    starts = tuple(max(start, label.replace(tzinfo=zone).astimezone(UTC)) for label in labels)
    return Intervals(starts, labels)


def _dates(found: Frame, interval: str) -> Iterator[datetime]:
    day = found.first.date()
    if interval == "week":
        day -= day.weekday() * _DAY
    elif interval == "month":
        day = day.replace(day=1)
    while datetime.combine(day, time()) < found.stop:
        yield datetime.combine(day, time())
        day = _month_later(day) if interval == "month" else day + (7 if interval == "week" else 1) * _DAY


def _named(key: str, today: date) -> tuple[date, date]:
    """The first and last day of a time frame that has a name."""
    monday, month = today - today.weekday() * _DAY, today.replace(day=1)
    january = month.replace(month=1)
    if found := _DAYS.fullmatch(key):
        return today - (int(found[1]) - 1) * _DAY, today
    if found := _MONTHS.fullmatch(key):
        return _months_before(month, int(found[1])), month - _DAY
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


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _month_later(day: date) -> date:
    return (day + 31 * _DAY).replace(day=1)


def _months_before(month: date, count: int) -> date:
    for _ in range(count):
        month = (month - _DAY).replace(day=1)
    return month


def _years_later(moment: datetime, years: int) -> datetime:
    try:
        return moment.replace(year=moment.year + years)
    except ValueError:
        return moment.replace(year=moment.year + years, month=3, day=1)
