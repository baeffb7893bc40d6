"""Tuning of malloc, for a process that reads millions of rows."""

from __future__ import annotations

import contextlib
import ctypes
import sys

# <malloc.h>: the size in bytes from which on glibc takes a block from the system, and gives it back when it is freed;
# how many arenas the threads share.
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_BLOCK = 64 * 1024


def limit_arenas() -> None:
    """Keep the memory of a process small in which many threads fetch pages. Makes making rows in it a tenth slower."""
    if sys.platform == "linux":
        # Freed pages would stay in the arena of each thread that fetched one: a hundred megabytes.
        with contextlib.suppress(OSError, AttributeError):
            libc = ctypes.CDLL(None)
            libc.mallopt(_M_MMAP_THRESHOLD, _BLOCK)
            libc.mallopt(_M_ARENA_MAX, 2)
