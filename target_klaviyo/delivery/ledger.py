"""The ledger of a run: which records have their outcome, in the order in which they came. Pure.

A STATE is a receipt for all records before it, so it is due when all of them have their outcome.

A STATE may hold the place in the feed of a mirrored stream. Whoever goes on from there sends a part of an audience, and
a part proves nothing about who is gone: such a STATE waits, or goes out without that place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from target_klaviyo.delivery.responses import worst_outcome
from target_klaviyo.model.records import Outcome, SourceRecord


@dataclass(frozen=True)
class _State:
    value: Mapping[str, Any]
    mirrored: bool


class Ledger:
    """Records and states in the order in which they came. Not thread-safe.

    Attributes:
        held_state: the latest state that came after a mirrored stream had begun and is due, or None. ``take_due_state``
            does not give it.
    """

    def __init__(self) -> None:
        self._entries: deque[SourceRecord | _State] = deque()
        self.held_state: Mapping[str, Any] | None = None

    def add_record(self, source: SourceRecord) -> None:
        """A record came, and ``source.pending`` says how many outcomes it waits for."""
        self._entries.append(source)

    def add_state(self, value: Mapping[str, Any], *, mirrored: bool = False) -> None:
        """A STATE came, after a mirrored stream had begun or before. It supersedes one that nothing came after."""
        last = self._entries[-1] if self._entries else None
        if isinstance(last, _State) and last.mirrored == mirrored:
            self._entries.pop()
        self._entries.append(_State(value, mirrored))

    @staticmethod
    def add_outcome(source: SourceRecord, outcome: Outcome) -> bool:
        """Note what became of one step of a record; whether it was the last. The worst outcome is the record's."""
        source.pending -= 1
        source.outcome = outcome if source.outcome is None else worst_outcome((source.outcome, outcome))
        return source.pending == 0

    @property
    def pending(self) -> int:
        """How many records have no outcome yet."""
        return sum(1 for entry in self._entries if isinstance(entry, SourceRecord) and entry.pending)

    def take_due_state(self) -> Mapping[str, Any] | None:
        """The latest state before which everything has its outcome, once; None when there is no new one."""
        due = None
        while self._entries:
            first = self._entries[0]
            if isinstance(first, _State):
                if first.mirrored:
                    self.held_state = first.value
                else:
                    due = first.value
            elif first.pending:
                break
            self._entries.popleft()
        return due


# What a STATE holds beside the bookmarks, of which we know that it is no place in a feed.
_KNOWN = frozenset({"bookmarks", "currently_syncing"})


def without_streams(state: Mapping[str, Any], streams: Collection[str]) -> Mapping[str, Any] | None:
    """A STATE without the places in these streams' feeds: whoever goes on from it reads those from their beginning.

    None where it does not plainly say where those are: a tap may know a stream by another name in there.
    """
    bookmarks = state.get("bookmarks")
    if not state.keys() <= _KNOWN or not isinstance(bookmarks, Mapping) or not bookmarks.keys() >= set(streams):
        return None
    return {**state, "bookmarks": {name: entry for name, entry in bookmarks.items() if name not in streams}}
