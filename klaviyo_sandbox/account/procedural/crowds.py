"""Who the events of a procedural account are about: some hundred people each few thousand events, and back again.

The people of a group of events are a range of a shuffle of all that there are by then. A shuffle is a multiplication,
so it can be undone: whether a group has events of somebody is found without drawing its people.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# How many people a group of events is about at most.
MAX_PEOPLE = 256
_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Crowd:
    """The people of one group.

    Attributes:
        count: how many profiles there are by then; at least one.
        start: number of the first person.
        step: from the number of one person to that of the next, modulo the count; it has no factor in common with it.
    """

    count: int
    start: int
    step: int

    def people(self) -> Sequence[int]:
        """Numbers of the profiles, each once."""
        return [(self.start + index * self.step) % self.count for index in range(min(MAX_PEOPLE, self.count))]

    def __contains__(self, number: int) -> bool:
        if number >= self.count:
            return False
        return (number - self.start) * pow(self.step, -1, self.count) % self.count < MAX_PEOPLE


def draw_crowd(salt: int, group: int, count: int) -> Crowd:
    """The people of a group of events; the same salt, group and count give the same ones."""
    step = 1 + _scatter(salt + 2 * group + 1) % count
    while math.gcd(step, count) != 1:
        step += 1
    return Crowd(count, _scatter(salt + 2 * group) % count, step)


def _scatter(number: int) -> int:
    """A number below 2 to the 64th that looks like chance (the finalizer of SplitMix64); a generator costs more."""
    number = number * 0x9E3779B97F4A7C15 & _MASK
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    number = (number ^ number >> 27) * 0x94D049BB133111EB & _MASK
    return number ^ number >> 31
