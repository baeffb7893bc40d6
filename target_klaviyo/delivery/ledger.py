"""Which records have their outcome, in the order in which they came: a STATE is a receipt for all before it. Pure.

A STATE may hold the place in the feed of a mirrored stream. Whoever goes on from there sends a part of an audience, and
a part proves nothing about who is gone: such a STATE waits, or goes out without that place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from target_klaviyo.delivery.responses import worst
from target_klaviyo.model.records import Origin, Outcome


@dataclass(frozen=True)
class _State:
    value: Mapping[str, Any]
    mirrored: bool


class Ledger:
    """Records and states in the order in which they came. Not thread-safe.

    Attributes:
        held: the latest state that came after a mirrored stream had begun and is due, or None. It is not ``due``'s.
    """

    def __init__(self) -> None:
        self._line: deque[Origin | _State] = deque()
        self.held: Mapping[str, Any] | None = None

    def arrived(self, origin: Origin) -> None:
        """A record came, and ``origin.left`` says how many outcomes it waits for."""
        self._line.append(origin)

    def state(self, value: Mapping[str, Any], *, mirrored: bool = False) -> None:
        """A STATE came, after a mirrored stream had begun or before. It supersedes one that nothing came after."""
        last = self._line[-1] if self._line else None
        if isinstance(last, _State) and last.mirrored == mirrored:
            self._line.pop()
        self._line.append(_State(value, mirrored))

    @staticmethod
    def settle(origin: Origin, outcome: Outcome) -> bool:
        """Note what became of one part of a record; whether it was the last. The worst outcome is the record's."""
        origin.left -= 1
        origin.outcome = outcome if origin.outcome is None else worst((origin.outcome, outcome))
        return origin.left == 0

    @property
    def left(self) -> int:
        """How many records have no outcome yet."""
        return sum(1 for entry in self._line if isinstance(entry, Origin) and entry.left)

    def due(self) -> Mapping[str, Any] | None:
        """The latest state before which everything has its outcome, once; None when there is no new one."""
        found = None
        while self._line:
            first = self._line[0]
            if isinstance(first, _State):
                if first.mirrored:
                    self.held = first.value
                else:
                    found = first.value
            elif first.left:
                break
            self._line.popleft()
        return found


# What a STATE holds beside the bookmarks, of which we know that it is no place in a feed.
_KNOWN = frozenset({"bookmarks", "currently_syncing"})


def without(state: Mapping[str, Any], streams: Collection[str]) -> Mapping[str, Any] | None:
    """A STATE without the places in these streams' feeds: whoever goes on from it reads those from their beginning.

    None where it does not plainly say where those are: a tap may know a stream by another name in there.
    """
    bookmarks = state.get("bookmarks")
    if not state.keys() <= _KNOWN or not isinstance(bookmarks, Mapping) or not bookmarks.keys() >= set(streams):
        return None
    return {**state, "bookmarks": {name: entry for name, entry in bookmarks.items() if name not in streams}}
