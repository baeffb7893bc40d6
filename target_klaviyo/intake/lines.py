"""The lines of the input, read in a thread: while none comes, the main thread can do other things."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, Queue
from typing import IO, Any

# Blocks of lines that are read ahead, and the bytes of one.
_MAX_BLOCKS, _BLOCK_BYTES = 8, 1 << 18
# How long to wait for a line before ``idle`` is called.
IDLE_SECONDS = 0.1


def read_lines(source: IO[str], idle: Callable[[], None]) -> Iterator[str | bytes]:
    """The lines of a file, without their line ends. ``idle`` is called now and then while none comes.

    They are bytes where the file has a buffer: a line that is not UTF-8 is then one bad line, and not the end.

    Raises:
        Exception: what reading raised.
    """
    blocks: Queue[Sequence[str | bytes] | BaseException | None] = Queue(_MAX_BLOCKS)

    def read() -> None:
        try:
            for block in _blocks(source):
                blocks.put(block)
        except BaseException as error:  # noqa: BLE001 - handed to the main thread, which raises it
            blocks.put(error)
        else:
            blocks.put(None)

    # A daemon: nothing may keep a process alive that wants to end.
    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            block = blocks.get(timeout=IDLE_SECONDS)
        except Empty:
            idle()
            continue
        if block is None:
            return
        if isinstance(block, BaseException):
            raise block
        yield from block


def _blocks(source: Any) -> Iterator[Sequence[str | bytes]]:
    buffer = getattr(source, "buffer", None)
    return ([line] for line in source) if buffer is None else _byte_blocks(buffer)


def _byte_blocks(buffer: Any) -> Iterator[Sequence[bytes]]:
    # The blocks of a line that has not ended: put together once, or a long line would be copied with each of them.
    begun: list[bytes] = []
    while block := buffer.read1(_BLOCK_BYTES):
        first, *others = block.split(b"\n")
        begun.append(first)
        if others:
            yield [b"".join(begun), *others[:-1]]
            begun = [others[-1]]
    if last := b"".join(begun):
        yield [last]
