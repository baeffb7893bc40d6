"""Lines of input, read in a thread, so that whoever wants them can do other things while none comes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, Queue
from typing import IO, Any

# Pieces that are read ahead, and the bytes of one.
_AHEAD, _PIECE = 8, 1 << 18
# How long a line is waited for before something else is looked after.
PATIENCE_SECONDS = 0.1


def lines(source: IO[str], idle: Callable[[], None]) -> Iterator[str | bytes]:
    """The lines of a file, without their ends. ``idle`` is called now and then while none comes.

    As bytes where the file has a buffer: a line that is not UTF-8 is then one bad line, and not the end.

    Raises:
        Exception: what reading raised.
    """
    pieces: Queue[Sequence[str | bytes] | BaseException | None] = Queue(_AHEAD)

    def read() -> None:
        try:
            for piece in _pieces(source):
                pieces.put(piece)
        except BaseException as error:  # noqa: BLE001 - handed to the main thread, which raises it
            pieces.put(error)
        else:
            pieces.put(None)

    # A daemon: nothing may keep a process alive that wants to end.
    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            piece = pieces.get(timeout=PATIENCE_SECONDS)
        except Empty:
            idle()
            continue
        if piece is None:
            return
        if isinstance(piece, BaseException):
            raise piece
        yield from piece


def _pieces(source: Any) -> Iterator[Sequence[str | bytes]]:
    buffer = getattr(source, "buffer", None)
    return ([line] for line in source) if buffer is None else _blocks(buffer)


def _blocks(buffer: Any) -> Iterator[Sequence[bytes]]:
    rest = b""
    while block := buffer.read1(_PIECE):
        *whole, rest = (rest + block).split(b"\n")
        if whole:
            yield whole
    if rest:
        yield [rest]
