"""The files of one run: rows go into them, and BATCH messages announce them before a STATE vouches for their rows."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from klaviyo_client.errors import KlaviyoError
from tap_klaviyo.files.destination import Destination
from tap_klaviyo.files.folder import Folder
from tap_klaviyo.files.open_files import FilesBroken, FinishedFile, OpenFiles, writing_to
from tap_klaviyo.files.rows import FileColumns, FileRows, StreamShape

# How long, while little is read, from one announcement to the next.
SECONDS = 60.0
# Rows that come one by one are added to their files by so many.
_ROWS_AT_ONCE = 1_000


class LineWriter(Protocol):
    """Writes messages."""

    def write_lines(self, lines: bytes) -> None:
        """Write lines of messages, each with its end."""

    def undisturbed(self) -> AbstractContextManager[None]:
        """Do something as a whole: what a signal asks for comes after it."""


@dataclass(frozen=True)
class FileSpec:
    """What a worker process must know to write files of its own."""

    destination: Destination
    shapes: dict[str, StreamShape] = field(default_factory=dict)


class RunFiles:
    """Writes the rows of a run into files, and announces them.

    Only the main thread calls it, and in the order of the messages that it would write in place of files.

    Args:
        destination: where the files go, and what they are.
        writer: writes the messages.
        clock: seconds.
    """

    def __init__(
        self, destination: Destination, writer: LineWriter, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._destination = destination
        self._writer = writer
        self._clock = clock
        self._folder = Folder(destination)
        self._files = OpenFiles(destination)
        self._shapes: dict[str, StreamShape] = {}
        self._rows_of_messages: dict[str, list[FileRows]] = {}
        self._finish_elsewhere: list[Callable[[], list[FinishedFile]]] = []
        self._numbers = 0
        self._unannounced: Counter[str] = Counter()
        self._announced_at = clock()
        self._is_broken = False
        self._is_closed = False
        # (stream, column) -> how many values fitted none and became null.
        self.misfits: Counter[tuple[str, str]] = Counter()

    # Rows -------------------------------------------------------------------------------------------------------------

    def declare(self, shape: StreamShape) -> None:
        """Learn what rows of a stream are; before the first of them."""
        self._folder.open()
        self._shapes[shape.stream] = shape

    @property
    def spec(self) -> FileSpec:
        """What a worker process must know to write files of its own, of the streams that are declared."""
        return FileSpec(self._destination, dict(self._shapes))

    def add(self, stream: str, rows: FileRows | FileColumns) -> None:
        """Add rows of a page."""
        with self._writer.undisturbed():
            self._files.add(self._shapes[stream], rows)
            self._unannounced[stream] += rows.count

    def add_message(self, stream: str, rows: FileRows) -> None:
        """Add the row of one RECORD message."""
        waiting = self._rows_of_messages.setdefault(stream, [])
        waiting.append(rows)
        if len(waiting) >= _ROWS_AT_ONCE:
            with self._writer.undisturbed():
                self._add_waiting(stream)

    def add_count(self, stream: str, count: int) -> None:
        """Count rows that a worker process has put into its own file."""
        self._unannounced[stream] += count

    @contextmanager
    def finishing_also(self, finish: Callable[[], list[FinishedFile]]) -> Iterator[None]:
        """Have files of others announced, too, that are written meanwhile, the last of them at the end.

        Args:
            finish: finishes them, and says which they are.
        """
        self._finish_elsewhere.append(finish)
        try:
            yield
        except BaseException:
            # What went wrong matters more than what goes wrong after it.
            with suppress(KlaviyoError):
                self._finish_last(finish)
            raise
        self._finish_last(finish)

    def _finish_last(self, finish: Callable[[], list[FinishedFile]]) -> None:
        with self._writer.undisturbed():
            self._finish_elsewhere.remove(finish)
            if self._is_closed:
                return
            was_broken, self._is_broken = self._is_broken, True
            self._publish(finish())
            self._is_broken = was_broken

    # Messages ---------------------------------------------------------------------------------------------------------

    @property
    def is_due(self) -> bool:
        """Whether there is enough for an announcement, or the last one is long ago."""
        is_late = self._clock() - self._announced_at >= SECONDS
        return is_late or any(count >= self._destination.batch_size for count in self._unannounced.values())

    def announce(self) -> None:
        """Finish all files and announce them: what is added later goes into new ones.

        Raises:
            FilesBroken: rows that were added are in none.
        """
        if self._is_broken:
            raise FilesBroken("rows were read but not written; resume from the last STATE")
        with self._writer.undisturbed():
            self._is_broken = True
            for stream in list(self._rows_of_messages):
                self._add_waiting(stream)
            for finish in (self._files.finish, *self._finish_elsewhere):
                self._publish(finish())
            self._unannounced.clear()
            self._announced_at = self._clock()
            self._is_broken = False

    def close(self) -> None:
        """Remove what was never announced. Nothing is announced after it."""
        self._is_closed = True
        self._files.discard()
        self._folder.close()

    def _add_waiting(self, stream: str) -> None:
        rows = self._rows_of_messages.pop(stream, [])
        if rows:
            all_rows = [row for part in rows for row in part.rows]
            self._unannounced[stream] += len(rows)
            self._files.add(
                self._shapes[stream], FileRows(all_rows, rows[0].extracted, rows[0].version, is_conformed=False)
            )

    def _publish(self, files: list[FinishedFile]) -> None:
        """Give finished files their names, and announce them."""
        if not files:
            return
        lines = []
        with writing_to(self._destination.folder):
            for file in sorted(files, key=lambda file: list(self._shapes).index(file.stream)):
                self._numbers += 1
                path = Path(self._destination.folder, self._destination.file_name(file.stream, self._numbers))
                Path(file.path).rename(path)
                self.misfits.update({(file.stream, column): count for column, count in file.misfits.items()})
                lines.append(
                    {
                        "type": "BATCH",
                        "stream": file.stream,
                        "encoding": self._destination.encoding,
                        "manifest": [self._destination.url(path)],
                    }
                )
            # The names, too, are on disk before anybody is told of them.
            _sync_folder(self._destination.folder)
        self._writer.write_lines(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))


def _sync_folder(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
