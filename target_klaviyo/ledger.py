"""Which records have their outcome, in the order in which they came: a STATE is a receipt for all before it. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from target_klaviyo.model import Origin, Outcome
from target_klaviyo.outcomes import worst


@dataclass(frozen=True)
class _State:
    value: Mapping[str, Any]


class Ledger:
    """Records and states in the order in which they came. Not thread-safe."""

    def __init__(self) -> None:
        self._line: deque[Origin | _State] = deque()

    def arrived(self, origin: Origin) -> None:
        """A record came, and ``origin.left`` says how many outcomes it waits for."""
        self._line.append(origin)

    def state(self, value: Mapping[str, Any]) -> None:
        """A STATE came. One that nothing came between supersedes the one before it."""
        if self._line and isinstance(self._line[-1], _State):
            self._line.pop()
        self._line.append(_State(value))

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
                found = first.value
            elif first.left:
                break
            self._line.popleft()
        return found
