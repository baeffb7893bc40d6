"""Writes messages to stdout."""

from __future__ import annotations

import sys
from collections.abc import Callable

from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.singerlib import Message


class WholeWriter(MsgSpecWriter):
    """Writes whole messages: whoever is told to stop meanwhile stops after them.

    Attributes:
        writing: whether one is being written.
        afterwards: what to do when it is.
        muted: whether messages are not wanted, as when the connection is tested.
    """

    writing = False
    afterwards: Callable[[], None] | None = None
    muted = False

    def write_message(self, message: Message) -> None:
        self.write_lines(self.format_message(message))

    def write_lines(self, lines: bytes | bytearray | memoryview) -> None:
        """Write lines of messages, each with its end."""
        if self.muted:
            return
        self.writing = True
        try:
            left = memoryview(lines)
            while left:
                # Without a buffer (PYTHONUNBUFFERED) a signal ends a write in the middle.
                left = left[sys.stdout.buffer.write(left) :]
            sys.stdout.flush()
        finally:
            self.writing = False
        then, self.afterwards = self.afterwards, None
        if then is not None:
            then()
