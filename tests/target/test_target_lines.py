"""Lines of the input, out of the blocks of bytes that a pipe gives."""

from __future__ import annotations

import io
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from target_klaviyo.intake.lines import read_lines


class Pipe:
    """A file whose buffer gives these blocks."""

    def __init__(self, blocks: list[bytes]) -> None:
        self._blocks = iter(blocks)
        self.buffer = self

    def read1(self, _size: int) -> bytes:
        return next(self._blocks, b"")


class Block(bytes):
    """Bytes that count how many are put before them: each of those is copied."""

    copied = 0

    def __radd__(self, before: bytes) -> bytes:
        Block.copied += len(before)
        return bytes(before) + bytes(self)


def lines_of(blocks: list[bytes]) -> list[Any]:
    return list(read_lines(Pipe(blocks), lambda: None))  # type: ignore[arg-type]


@given(st.lists(st.text("ab\n\r\x85", min_size=1, max_size=6).map(str.encode)))
def test_lines_are_the_same_however_they_come(blocks: list[bytes]) -> None:
    """A line ends at a line feed, wherever a block does; a last line needs none."""
    whole = b"".join(blocks)
    expected = whole.split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert lines_of(blocks) == expected
    assert list(read_lines(io.TextIOWrapper(io.BytesIO(whole)), lambda: None)) == expected


def test_a_long_line_is_put_together_once() -> None:
    """A line of 100 MB comes in a thousand blocks and more: what has come is not copied again with each of them."""
    Block.copied = 0
    block = Block(b"x" * 1000)
    assert lines_of([Block(b"a\nb"), *([block] * 2000), Block(b"\nc\n")]) == [b"a", b"b" + block * 2000, b"c"]
    assert Block.copied <= 2_000_000
