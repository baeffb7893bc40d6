"""A sorted sequence of keys that nobody holds, with some of them left out and others put between."""

from __future__ import annotations

import bisect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

from klaviyo_sandbox.account.rows import SortKey


@dataclass(frozen=True)
class Stretch:
    """Neighbouring places, from ``start`` on and before ``stop``, that are neighbours below, too.

    Attributes:
        below: the place of the first of them in the sequence below; None for one key that is not of that sequence.
    """

    start: int
    stop: int
    below: int | None


class Keys(Sequence[SortKey], ABC):
    """A sequence of keys that are worked out one by one."""

    @abstractmethod
    def at(self, place: int) -> SortKey:
        """The key at a place that exists."""

    @overload
    def __getitem__(self, place: int) -> SortKey: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[SortKey]: ...
    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self.at(found) for found in range(*place.indices(len(self)))]
        return self.at(range(len(self))[place])


class Merged(Keys):
    """The keys of ``below``, without those that were left out, and with those that were added.

    Every look takes some logarithms of their numbers; ``below`` must not change.
    """

    def __init__(self, below: Sequence[SortKey]) -> None:
        self._below = below
        self._holes: list[int] = []
        # With each key the place below that it stands before.
        self._added: list[tuple[int, SortKey]] = []
        # A search looks at many places, most of them within one stretch.
        self._latest = Stretch(0, 0, None)

    def leave_out(self, key: SortKey) -> None:
        """Skip a key of the sequence below, which was not skipped before."""
        self._latest = Stretch(0, 0, None)
        bisect.insort(self._holes, bisect.bisect_left(self._below, key))

    def add(self, key: SortKey) -> None:
        self._latest = Stretch(0, 0, None)
        bisect.insort(self._added, (bisect.bisect_left(self._below, key), key))

    def remove(self, key: SortKey) -> None:
        """Take back a key that was added."""
        self._latest = Stretch(0, 0, None)
        del self._added[bisect.bisect_left(self._added, key, key=_key_of)]

    def stretch(self, place: int) -> Stretch:
        """What is around a place that exists."""
        if not self._latest.start <= place < self._latest.stop:
            self._latest = self._found(place)
        return self._latest

    def _found(self, place: int) -> Stretch:
        number = self._added_before(place)
        following = self._place(number) if number < len(self._added) else len(self)
        if following == place:
            return Stretch(place, place + 1, None)
        visible = place - number
        skipped = bisect.bisect_right(range(len(self._holes)), visible, key=self._visible_before)
        at = visible + skipped
        first = self._holes[skipped - 1] + 1 if skipped else 0
        last = self._holes[skipped] if skipped < len(self._holes) else len(self._below)
        start = max(self._place(number - 1) + 1 if number else 0, place - (at - first))
        return Stretch(start, min(following, place + last - at), at - (place - start))

    def __len__(self) -> int:
        return len(self._below) - len(self._holes) + len(self._added)

    def at(self, place: int) -> SortKey:
        found = self.stretch(place)
        if found.below is None:
            return self._added[self._added_before(place)][1]
        return self._below[found.below + place - found.start]

    def _added_before(self, place: int) -> int:
        return bisect.bisect_left(range(len(self._added)), place, key=self._place)

    def _place(self, number: int) -> int:
        """Where the added key of this number stands."""
        below = self._added[number][0]
        return below - bisect.bisect_left(self._holes, below) + number

    def _visible_before(self, number: int) -> int:
        """How many keys of the sequence below are before the hole of this number, and to be seen."""
        return self._holes[number] - number


def _key_of(added: tuple[int, SortKey]) -> SortKey:
    return added[1]
