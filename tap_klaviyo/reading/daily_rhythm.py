"""How dense each hour of the day is, learned from pages. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from math import exp, log

_HOURS, _HOUR, _DAY = 24, 3600.0, 86_400.0
# How far one hour's rows move the weight of that hour of the day, and how many times lighter or heavier they can say it
# is: after some days the weights are right, and one campaign hardly counts.
_STEP, _MOST = 0.5, log(2)
# An hour in which nothing was seen weighs this at least, so that a stretch of time always has an end.
_LEAST = 0.02


class DailyRhythm:
    """Weighs seconds by the hour of the day, in UTC: by how much denser it is than the mean of all hours.

    Rows for each weighted second stay about the same from night to noon, so they say how far so many rows reach.
    """

    def __init__(self) -> None:
        self._weights = [1.0] * _HOURS
        # The logarithm of the rows of a weighted second, the mean of about a day.
        self._level: float | None = None

    def weigh(self, start: datetime, stop: datetime) -> float:
        """The weighted seconds from one moment to another."""
        days, rest = divmod((stop - start).total_seconds(), _DAY)
        return days * _DAY + sum(seconds * self._weights[hour] for hour, seconds in _by_hour(start, rest))

    def seconds_of(self, start: datetime, weighted: float) -> float:
        """How many seconds from a moment on weigh so much."""
        days, rest = divmod(weighted, _DAY)
        passed = days * _DAY
        for hour, seconds in _by_hour(start, _DAY):
            weight = self._weights[hour]
            if seconds * weight >= rest:
                return passed + rest / weight
            rest -= seconds * weight
            passed += seconds
        return passed

    def learn(self, start: datetime, stop: datetime, rows: int) -> None:
        """Take what a page shows: so many rows between these moments. A whole day shows nothing of its hours."""
        seconds = (stop - start).total_seconds()
        if not 1 <= seconds < _DAY:
            return
        seen = log(max(rows, 1) / self.weigh(start, stop))
        level = seen if self._level is None else self._level
        heavier = max(-_MOST, min(_MOST, seen - level))
        for hour, part in _by_hour(start, seconds):
            self._weights[hour] *= exp(heavier * _STEP * part / _HOUR)
        mean = sum(self._weights) / _HOURS
        self._weights = [max(_LEAST, weight / mean) for weight in self._weights]
        self._level = level + (seen - level) * seconds / _DAY + log(mean)


def _by_hour(start: datetime, seconds: float) -> Iterator[tuple[int, float]]:
    """The hours of the day that so many seconds from a moment on fall in, each with its part of them."""
    hour = start.hour
    left = _HOUR - timedelta(minutes=start.minute, seconds=start.second).total_seconds()
    while seconds > 0:
        yield hour, min(seconds, left)
        seconds -= left
        hour, left = (hour + 1) % _HOURS, _HOUR
