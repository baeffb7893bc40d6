"""Writes messages to stdout, each whole."""

from __future__ import annotations

import sys
from collections.abc import Callable

from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.singerlib import Message


class AtomicWriter(MsgSpecWriter):
    """Writes whole messages: a signal that comes meanwhile can wait until the current one is written.

    Attributes:
        is_writing: whether a message is being written.
        after_write: what to do once it is written.
        is_muted: whether messages are not wanted, as when the connection is tested.
    """

    is_writing = False
    after_write: Callable[[], None] | None = None
    is_muted = False

    def write_message(self, message: Message) -> None:
        self.write_lines(self.format_message(message))

    def write_lines(self, lines: bytes | bytearray | memoryview) -> None:
        """Write lines of messages, each with its end."""
        if self.is_muted:
            return
        self.is_writing = True
        try:
            rest = memoryview(lines)
            while rest:
                # Without a buffer (PYTHONUNBUFFERED) a signal ends a write in the middle.
                rest = rest[sys.stdout.buffer.write(rest) :]
            sys.stdout.flush()
        finally:
            self.is_writing = False
        after_write, self.after_write = self.after_write, None
        if after_write is not None:
            after_write()
