"""A sorted sequence of keys on top of another one: some keys of the base are omitted, others are added between."""

from __future__ import annotations

import bisect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

from klaviyo_sandbox.account.rows import SortKey


@dataclass(frozen=True)
class Run:
    """Neighbouring positions, from ``start`` on and before ``stop``, whose keys are neighbours in the base, too.

    Attributes:
        base: position in the base of the first of them; None for a single key that was added.
    """

    start: int
    stop: int
    base: int | None


class KeySequence(Sequence[SortKey], ABC):
    """A sequence of keys, each computed when it is asked for."""

    @abstractmethod
    def key_at(self, position: int) -> SortKey:
        """The key at a position that exists."""

    @overload
    def __getitem__(self, position: int) -> SortKey: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[SortKey]: ...
    def __getitem__(self, position: Any) -> Any:
        if isinstance(position, slice):
            return [self.key_at(index) for index in range(*position.indices(len(self)))]
        return self.key_at(range(len(self))[position])


class OverlayKeys(KeySequence):
    """The keys of ``base``, without those that were omitted, and with those that were added.

    Each look-up takes some logarithms of their numbers; ``base`` must not change.
    """

    def __init__(self, base: Sequence[SortKey]) -> None:
        self._base = base
        # Positions in the base, ascending.
        self._omitted: list[int] = []
        # (position in the base that the key stands before, key), ascending.
        self._added: list[tuple[int, SortKey]] = []
        # A binary search looks at many positions, most of them within one run.
        self._latest_run = Run(0, 0, None)

    def omit(self, key: SortKey) -> None:
        """Omit a key of the base that is not omitted yet."""
        self._latest_run = Run(0, 0, None)
        bisect.insort(self._omitted, bisect.bisect_left(self._base, key))

    def add(self, key: SortKey) -> None:
        """Add a key that the base does not have."""
        self._latest_run = Run(0, 0, None)
        bisect.insort(self._added, (bisect.bisect_left(self._base, key), key))

    def remove(self, key: SortKey) -> None:
        """Remove a key that was added."""
        self._latest_run = Run(0, 0, None)
        del self._added[bisect.bisect_left(self._added, key, key=_key_of)]

    def run_at(self, position: int) -> Run:
        """The run around a position that exists."""
        if not self._latest_run.start <= position < self._latest_run.stop:
            self._latest_run = self._find_run(position)
        return self._latest_run

    def _find_run(self, position: int) -> Run:
        number = self._added_before(position)
        following = self._position_of_added(number) if number < len(self._added) else len(self)
        if following == position:
            return Run(position, position + 1, None)
        visible = position - number
        skipped = bisect.bisect_right(range(len(self._omitted)), visible, key=self._visible_before)
        base = visible + skipped
        first = self._omitted[skipped - 1] + 1 if skipped else 0
        last = self._omitted[skipped] if skipped < len(self._omitted) else len(self._base)
        start = max(self._position_of_added(number - 1) + 1 if number else 0, position - (base - first))
        return Run(start, min(following, position + last - base), base - (position - start))

    def __len__(self) -> int:
        return len(self._base) - len(self._omitted) + len(self._added)

    def key_at(self, position: int) -> SortKey:
        run = self.run_at(position)
        if run.base is None:
            return self._added[self._added_before(position)][1]
        return self._base[run.base + position - run.start]

    def position_of_base(self, number: int) -> int:
        """Position of a key of the base that is not omitted."""
        added = bisect.bisect_right(self._added, number, key=_base_position_of)
        return number - bisect.bisect_left(self._omitted, number) + added

    def base_range(self, positions: range) -> range:
        """The positions of the base, in the same direction, between the keys at some positions that exist."""
        low, high = min(positions[0], positions[-1]), max(positions[0], positions[-1])
        base = range(bisect.bisect_left(self._base, self[low]), bisect.bisect_right(self._base, self[high]))
        return base[:: positions.step]

    def _added_before(self, position: int) -> int:
        return bisect.bisect_left(range(len(self._added)), position, key=self._position_of_added)

    def _position_of_added(self, number: int) -> int:
        """Position of the added key of this number."""
        base = self._added[number][0]
        return base - bisect.bisect_left(self._omitted, base) + number

    def _visible_before(self, number: int) -> int:
        """How many keys of the base stand before the omitted one of this number and are not omitted."""
        return self._omitted[number] - number


def _base_position_of(added: tuple[int, SortKey]) -> int:
    return added[0]


def _key_of(added: tuple[int, SortKey]) -> SortKey:
    return added[1]
