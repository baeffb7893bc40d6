"""Memory that a process and those it starts both see: lines are put there instead of being sent through a pipe.

Sent, two and a half million bytes a page are copied three times and paid for page by page to the system; that is a
tenth of what an event costs.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass

from tap_klaviyo.rows.record_lines import Lines

# Bytes: a page of a thousand events is two and a half million. More than that is sent.
SLOT = 6 << 20


@dataclass(frozen=True)
class Placed:
    """Lines on a board: they begin and end at these bytes of it."""

    start: int
    stop: int
    count: int


class Board:
    """Slots of ``SLOT`` bytes, each for one page. Slots that nobody wrote to take no memory.

    Args:
        descriptor: the open file that the memory is.
        slots: how many there are.
    """

    def __init__(self, descriptor: int, slots: int) -> None:
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, SLOT * slots)
        # The slot that was freed last is taken first: its memory is there already.
        self._free = list(range(slots))

    @classmethod
    def made(cls, slots: int) -> Board | None:
        """A new board; None where the system has no such memory."""
        if not hasattr(os, "memfd_create"):
            return None
        descriptor = os.memfd_create("tap-klaviyo lines")
        os.ftruncate(descriptor, SLOT * slots)
        return cls(descriptor, slots)

    @classmethod
    def opened(cls, descriptor: int) -> Board:
        """The board of whoever started this process."""
        return cls(descriptor, os.fstat(descriptor).st_size // SLOT)

    def close(self) -> None:
        """Open no more; what was read of it stays readable while it is held."""
        os.close(self.descriptor)

    def take(self) -> int:
        """A slot that is free."""
        return self._free.pop()

    def give_back(self, slot: int) -> None:
        """What is in the slot was read."""
        self._free.append(slot)

    def put(self, slot: int, lines: Mapping[str, Lines]) -> dict[str, Placed] | None:
        """Write the lines of each table; None when they are too many for a slot."""
        if sum(len(one.data) for one in lines.values()) > SLOT:
            return None
        placed, at = {}, slot * SLOT
        for name, one in lines.items():
            stop = at + len(one.data)
            self._memory[at:stop] = bytes(one.data)
            placed[name] = Placed(at, stop, one.count)
            at = stop
        return placed

    def read(self, placed: Mapping[str, Placed]) -> dict[str, Lines]:
        """What ``put`` wrote; its data changes when the slot is written to again."""
        whole = memoryview(self._memory)
        return {name: Lines(whole[one.start : one.stop], one.count) for name, one in placed.items()}
