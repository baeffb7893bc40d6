"""A terminal for a command to write to."""

from __future__ import annotations

import os
import pty
import threading
from types import TracebackType
from typing import Self


class Terminal:
    """A pseudo-terminal. What a command writes to it is read at once, because the command would wait otherwise.

    Attributes:
        other_end: the descriptor for the command.
        text: what it wrote; complete when the block is left.
    """

    def __init__(self) -> None:
        self._end, self.other_end = pty.openpty()
        self._parts: list[bytes] = []
        self._thread = threading.Thread(target=self._read)

    @property
    def text(self) -> str:
        return b"".join(self._parts).decode()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.other_end)
        self._thread.join()
        os.close(self._end)

    def _read(self) -> None:
        try:
            while part := os.read(self._end, 65536):
                self._parts.append(part)
        except OSError:
            return  # Linux tells the end so
