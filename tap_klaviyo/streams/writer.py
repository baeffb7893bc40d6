"""Writes messages to stdout, each whole; where rows go into files, announces these before what vouches for them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.singerlib import ActivateVersionMessage, Message, RecordMessage, SchemaMessage, StateMessage

from tap_klaviyo.files.rows import FileColumns, FileRows, StreamShape, WrittenRows
from tap_klaviyo.files.run_files import RunFiles
from tap_klaviyo.rows.record_lines import Encoded, Lines, without_nulls


class AtomicWriter(MsgSpecWriter):
    """Writes whole messages: a signal that comes meanwhile can wait until the current one is written.

    Attributes:
        is_writing: whether a message is being written.
        after_write: what to do once it is written.
        is_muted: whether messages are not wanted, as when the connection is tested.
        omit_nulls: whether RECORDs lack the columns that are null.
        files: the files that rows go to; None where they are written as RECORD messages.
    """

    is_writing = False
    after_write: Callable[[], None] | None = None
    is_muted = False
    omit_nulls = False
    files: RunFiles | None = None

    def write_message(self, message: Message) -> None:
        if self.files is None or self.is_muted:
            if self.omit_nulls and isinstance(message, RecordMessage):
                message.record = without_nulls(message.record)
            self.write_lines(self.format_message(message))
            return
        match message:
            case RecordMessage():
                row = FileRows([message.record], message.time_extracted, message.version, is_conformed=False)
                self.files.add_message(message.stream, row)
                return
            case SchemaMessage():
                self.files.declare(StreamShape(message.stream, message.schema, tuple(message.key_properties or ())))
        with self.undisturbed():
            if isinstance(message, StateMessage | ActivateVersionMessage):
                self.files.announce()
            self.write_lines(self.format_message(message))

    def write_encoded(self, stream: str, encoded: Encoded) -> None:
        """Write rows of a stream that were encoded for this writer: as lines of RECORD messages, or into a file."""
        match encoded:
            case Lines():
                self.write_lines(*encoded.parts)
            case FileRows() | FileColumns() if self.files is not None:
                self.files.add(stream, encoded)
            case WrittenRows() if self.files is not None:
                self.files.add_count(stream, encoded.count)
            case _:
                raise TypeError(f"rows of {stream} are encoded for another writer")

    def write_lines(self, *parts: bytes | bytearray | memoryview) -> None:
        """Write lines of messages, each with its end, as a whole."""
        if self.is_muted:
            return
        with self.undisturbed():
            for part in parts:
                rest = memoryview(part)
                while rest:
                    # Without a buffer (PYTHONUNBUFFERED) a signal ends a write in the middle.
                    rest = rest[sys.stdout.buffer.write(rest) :]
            sys.stdout.flush()

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Do something as a whole: what a signal asks for comes after it."""
        if self.is_writing:
            yield
            return
        self.is_writing = True
        try:
            yield
        finally:
            self.is_writing = False
        after_write, self.after_write = self.after_write, None
        if after_write is not None:
            after_write()
