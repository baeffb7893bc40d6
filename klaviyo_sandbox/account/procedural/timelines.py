"""When the rows of a procedural account are: days and nights, quiet weeks, and rushes that share one second."""

from __future__ import annotations

import bisect
import itertools
import math
import random

_HOUR = 3600
_WEEK = 7 * 24
_QUIET, _QUIET_WEIGHT = 0.1, 0.02
_RUSH, _RUSH_WEIGHT = 1 / 48, 8.0
# Klaviyo's own sends put no more than this into a second, and a page must still have to break inside one.
MOST_AT_ONCE = 800


class Timeline:
    """The second of every rank; later ranks are never earlier. Nothing is kept but one number an hour.

    Args:
        rng: decides which weeks are quiet and which hours have a rush.
        start: epoch seconds of the first hour.
        hours: how many there are.
        count: how many ranks.
    """

    def __init__(self, rng: random.Random, start: int, hours: int, count: int) -> None:
        self._start = start
        self._count = count
        weights, self._rushes = _weights(rng, hours)
        total = sum(weights)
        # The first rank of each hour, and one past the last: sums of rationals may fall short of the count.
        self._firsts = [0, *(int(count * sum_ / total) for sum_ in itertools.accumulate(weights))]
        self._firsts[-1] = count

    def __len__(self) -> int:
        return self._count

    def at(self, rank: int) -> int:
        """The second (since 1970) of a rank that exists."""
        hour = bisect.bisect_right(self._firsts, rank) - 1
        first = self._firsts[hour]
        held, place = self._firsts[hour + 1] - first, rank - first
        if self._rushes[hour]:
            middle = held // 2
            if middle < place < middle + min(held // 3, MOST_AT_ONCE):
                place = middle
        return self._start + hour * _HOUR + _HOUR * place // held

    def between(self, first: int, last: int) -> list[int]:
        """The seconds of the ranks from ``first`` on and before ``last``."""
        found: list[int] = []
        while first < last:
            hour = bisect.bisect_right(self._firsts, first) - 1
            low, high = self._firsts[hour], self._firsts[hour + 1]
            held, start, stop = high - low, self._start + hour * _HOUR, min(high, last)
            if self._rushes[hour]:
                found += map(self.at, range(first, stop))
            else:
                found += [start + _HOUR * place // held for place in range(first - low, stop - low)]
            first = stop
        return found

    def before(self, second: int) -> int:
        """How many ranks are earlier than a second."""
        return bisect.bisect_left(range(self._count), second, key=self.at)


def _weights(rng: random.Random, hours: int) -> tuple[list[float], bytearray]:
    weights, rushes = [], bytearray(hours)
    quiet = False
    for hour in range(hours):
        if hour % _WEEK == 0:
            quiet = rng.random() < _QUIET
        rushes[hour] = rng.random() < _RUSH
        weight = 1 + 0.8 * math.sin((hour % 24 - 8) / 24 * 2 * math.pi)
        weights.append(weight * (_QUIET_WEIGHT if quiet else 1) * (_RUSH_WEIGHT if rushes[hour] else 1))
    return weights, rushes
