"""Tuning of malloc, for a process that reads millions of rows."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Mapping

# <malloc.h>: from how many free bytes on, and for blocks of which size, glibc gives memory back to the system; how many
# arenas the threads share.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_KEPT, _LARGE_BLOCK, _PAGE = 64 << 20, 32 << 20, 512 << 10


def limit_arenas() -> None:
    """Keep the memory of a process small in which many threads fetch pages."""
    # Freed pages would stay in the arena of each thread that fetched one: a hundred megabytes. Pages of a million bytes
    # leave holes of that size, so they go back to the system; what rows are made of is smaller, and is kept.
    _set_malloc({_M_ARENA_MAX: 2, _M_MMAP_THRESHOLD: _PAGE})


def keep_freed_memory() -> None:
    """Let a process that makes rows of one page after the other use the memory of the last one for the next one."""
    _set_malloc({_M_TRIM_THRESHOLD: _KEPT, _M_MMAP_THRESHOLD: _LARGE_BLOCK})


def _set_malloc(options: Mapping[int, int]) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            libc = ctypes.CDLL(None)
            for option, value in options.items():
                libc.mallopt(option, value)
