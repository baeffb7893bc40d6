"""The files that one process is writing, one for each stream, and what becomes of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

from klaviyo_client.errors import KlaviyoError
from tap_klaviyo.files.destination import PARQUET, Destination
from tap_klaviyo.files.jsonl import JsonLinesFile
from tap_klaviyo.files.parquet import ParquetFile
from tap_klaviyo.files.rows import FileColumns, FileRows, StreamShape

# What all open files of a process keep in memory together. With twice as much, a run with two processes needs 30 MB
# more, and writes an event in half a microsecond less.
MAX_KEPT_BYTES = 5 << 20
# What the name of a file ends with that nothing has announced yet.
UNFINISHED = ".unfinished"


class FilesBroken(KlaviyoError):
    """Rows that were read are in no file that is whole. No STATE of this run may vouch for them."""


@contextmanager
def writing_to(folder: str) -> Iterator[None]:
    """Turns what goes wrong with a file into FilesBroken."""
    try:
        yield
    except OSError as error:
        raise FilesBroken(f"rows cannot be written into {folder}: {error.strerror or error}") from error


class RowFile(Protocol):
    """A file that is being written."""

    @property
    def kept_bytes(self) -> int:
        """How much of its rows is still in memory."""

    @property
    def misfits(self) -> Mapping[str, int]:
        """How many values of each column fitted none and became null."""

    def add(self, rows: FileRows | FileColumns) -> None:
        """Add rows."""

    def flush(self) -> None:
        """Write what is kept."""

    def finish(self) -> None:
        """Write all that is still kept, and the end of the file."""


@dataclass(frozen=True)
class FinishedFile:
    """A file that is whole and on disk, under a name that says nothing of it yet.

    Attributes:
        stream: of which stream its rows are.
        path: where it is.
        count: how many rows it has.
        misfits: how many values of each column fitted none and became null.
    """

    stream: str
    path: str
    count: int
    misfits: Mapping[str, int] = field(default_factory=dict)


@dataclass
class _OpenFile:
    path: Path
    file: IO[bytes]
    rows: RowFile
    count: int = 0


class OpenFiles:
    """The files that this process is writing.

    Args:
        destination: where they go, and what they are.
    """

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._open: dict[str, _OpenFile] = {}
        self._opened = 0
        # Why rows that were added are in no whole file; "" while all are.
        self._why_broken = ""

    def add(self, shape: StreamShape, rows: FileRows | FileColumns) -> None:
        """Add rows of a stream to its file, which is begun if there is none.

        Raises:
            FilesBroken: they cannot be written.
        """
        if not rows.count:
            return
        with self._breaking():
            if shape.stream not in self._open:
                self._open[shape.stream] = self._begin(shape, rows)
            entry = self._open[shape.stream]
            entry.rows.add(rows)
            entry.count += rows.count
            if sum(entry.rows.kept_bytes for entry in self._open.values()) > MAX_KEPT_BYTES:
                max(self._open.values(), key=lambda entry: entry.rows.kept_bytes).rows.flush()

    def finish(self) -> list[FinishedFile]:
        """Finish all files; those to come are new ones.

        Raises:
            FilesBroken: one of them cannot be written; then no rows of this process can be vouched for any more.
        """
        finished = []
        with self._breaking():
            for stream, entry in self._open.items():
                entry.rows.finish()
                entry.file.flush()
                os.fsync(entry.file.fileno())
                entry.file.close()
                finished.append(FinishedFile(stream, str(entry.path), entry.count, dict(entry.rows.misfits)))
            self._open = {}
        return finished

    def discard(self) -> None:
        """Remove the files that are not finished."""
        for entry in self._open.values():
            with contextlib.suppress(OSError):
                entry.file.close()
            with contextlib.suppress(OSError):
                entry.path.unlink()
        self._open = {}

    @contextmanager
    def _breaking(self) -> Iterator[None]:
        """Whatever goes wrong here, no file of this process is whole any more."""
        if self._why_broken:
            raise FilesBroken(self._why_broken)
        self._why_broken = "a file of rows could not be written"
        try:
            with writing_to(self._destination.folder):
                yield
        except FilesBroken as error:
            self._why_broken = str(error)
            raise
        self._why_broken = ""

    def _begin(self, shape: StreamShape, rows: FileRows | FileColumns) -> _OpenFile:
        self._opened += 1
        destination = self._destination
        name = f".{destination.prefix}{destination.run_id}-{os.getpid()}-{self._opened}{UNFINISHED}"
        path = Path(destination.folder, name)
        file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        if destination.format == PARQUET:
            compression = "zstd" if destination.compression == "none" else destination.compression
            return _OpenFile(path, file, ParquetFile(file, shape, rows, compression))
        return _OpenFile(path, file, JsonLinesFile(file, destination.compression))
