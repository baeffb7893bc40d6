"""Times of the rows of a procedural account: with days and nights, quiet weeks, and bursts within one second."""

from __future__ import annotations

import bisect
import itertools
import math
import random

_HOUR = 3600
_WEEK = 7 * 24
_QUIET, _QUIET_WEIGHT = 0.1, 0.02
_BURST, _BURST_WEIGHT = 1 / 48, 8.0
# Klaviyo's own sends put no more rows than this into a second, and some pages must end inside a second.
MAX_PER_SECOND = 800


class Timeline:
    """The second of every row, by its rank in the order of time. Only one number an hour is held in memory.

    Args:
        rng: decides which weeks are quiet and which hours have a burst.
        start: epoch seconds of the first hour.
        hours: how many hours there are.
        count: how many rows there are.
    """

    def __init__(self, rng: random.Random, start: int, hours: int, count: int) -> None:
        self._start = start
        self._count = count
        weights, self._bursts = _weights(rng, hours)
        total = sum(weights)
        # The first rank of each hour, and one past the last: sums of rationals may fall short of the count.
        self._firsts = [0, *(int(count * sum_ / total) for sum_ in itertools.accumulate(weights))]
        self._firsts[-1] = count

    def __len__(self) -> int:
        return self._count

    def second_at(self, rank: int) -> int:
        """The second (since 1970) of a rank that exists."""
        hour = self.hour_at(rank)
        first = self._firsts[hour]
        size, position = self._firsts[hour + 1] - first, rank - first
        if self._bursts[hour]:
            middle = size // 2
            if middle < position < middle + min(size // 3, MAX_PER_SECOND):
                position = middle
        return self._start + hour * _HOUR + _HOUR * position // size

    def seconds(self, first: int, last: int) -> list[int]:
        """The seconds of the ranks from ``first`` on and before ``last``."""
        seconds: list[int] = []
        while first < last:
            hour = self.hour_at(first)
            low, high = self._firsts[hour], self._firsts[hour + 1]
            size, start, stop = high - low, self._start + hour * _HOUR, min(high, last)
            if self._bursts[hour]:
                seconds += map(self.second_at, range(first, stop))
            else:
                seconds += [start + _HOUR * position // size for position in range(first - low, stop - low)]
            first = stop
        return seconds

    def hour_at(self, rank: int) -> int:
        """The number of the hour of a rank that exists."""
        return bisect.bisect_right(self._firsts, rank) - 1

    def count_before_hour(self, hour: int) -> int:
        """How many ranks are earlier than the hour of a number; all of them for one after the last."""
        return self._firsts[min(hour, len(self._firsts) - 1)]

    def count_before(self, second: int) -> int:
        """How many ranks are earlier than a second."""
        return bisect.bisect_left(range(self._count), second, key=self.second_at)


def _weights(rng: random.Random, hours: int) -> tuple[list[float], bytearray]:
    weights, bursts = [], bytearray(hours)
    quiet = False
    for hour in range(hours):
        if hour % _WEEK == 0:
            quiet = rng.random() < _QUIET
        bursts[hour] = rng.random() < _BURST
        weight = 1 + 0.8 * math.sin((hour % 24 - 8) / 24 * 2 * math.pi)
        weights.append(weight * (_QUIET_WEIGHT if quiet else 1) * (_BURST_WEIGHT if bursts[hour] else 1))
    return weights, bursts
