"""Shared memory for pages and their lines, so that these need not go through a pipe.

Through a pipe, the two and a half million bytes of a page are copied three times, and the system allocates them page by
page each time; that is a tenth of what an event costs.
"""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from tap_klaviyo.rows.record_lines import Lines

# A page of a thousand events is two and a half million bytes. Pages with more than a slot holds go through the pipe.
SLOT_BYTES = 6 << 20


@dataclass(frozen=True)
class Span:
    """Where lines are in the memory: from byte ``start`` to before byte ``stop``; and how many they are."""

    start: int
    stop: int
    count: int


class SharedLines:
    """Memory of slots of ``SLOT_BYTES``, each for one page, then for its lines. What nobody wrote to takes no memory.

    Args:
        descriptor: the open file that the memory is.
        slots: how many slots it has.
    """

    def __init__(self, descriptor: int, slots: int) -> None:
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, SLOT_BYTES * slots)
        # The slot that was released last is acquired first: its memory is allocated already.
        self._free = list(range(slots))
        self._free_lock = threading.Lock()

    @classmethod
    def create(cls, slots: int) -> SharedLines | None:
        """New memory; None where the system has none of this kind."""
        if not hasattr(os, "memfd_create"):
            return None
        descriptor = os.memfd_create("tap-klaviyo lines")
        os.ftruncate(descriptor, SLOT_BYTES * slots)
        return cls(descriptor, slots)

    @classmethod
    def attach(cls, descriptor: int) -> SharedLines:
        """The memory that the process which started this one created."""
        return cls(descriptor, os.fstat(descriptor).st_size // SLOT_BYTES)

    def close(self) -> None:
        """Close the file; lines that were read stay readable while they are held."""
        os.close(self.descriptor)

    def acquire(self) -> int:
        """Take a free slot."""
        with self._free_lock:
            return self._free.pop()

    def release(self, slot: int) -> None:
        """Free a slot whose lines are no longer needed."""
        with self._free_lock:
            self._free.append(slot)

    def write_document(self, slot: int, document: bytes) -> Span | None:
        """Write a page's document, to be read before its lines are written; None when a slot cannot hold it."""
        if len(document) > SLOT_BYTES:
            return None
        start = slot * SLOT_BYTES
        self._memory[start : start + len(document)] = document
        return Span(start, start + len(document), 1)

    def read_document(self, span: Span) -> bytes:
        """The document that ``write_document`` wrote."""
        return self._memory[span.start : span.stop]

    def write(self, slot: int, lines: Mapping[str, Lines]) -> dict[str, Span] | None:
        """Write the lines of each table; None, and nothing is written, when a slot cannot hold them."""
        if sum(table_lines.size for table_lines in lines.values()) > SLOT_BYTES:
            return None
        spans, start = {}, slot * SLOT_BYTES
        for name, table_lines in lines.items():
            first = start
            for part in table_lines.parts:
                self._memory[start : start + len(part)] = part
                start += len(part)
            spans[name] = Span(first, start, table_lines.count)
        return spans

    def read(self, spans: Mapping[str, Span]) -> dict[str, Lines]:
        """The lines that ``write`` wrote; their data changes when the slot is written to again."""
        memory = memoryview(self._memory)
        return {name: Lines((memory[span.start : span.stop],), span.count) for name, span in spans.items()}
