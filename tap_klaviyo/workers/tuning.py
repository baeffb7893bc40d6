"""How a process that reads millions of rows keeps its memory small."""

from __future__ import annotations

import contextlib
import ctypes
import sys

# <malloc.h>: from what size on glibc takes a block from the system, and gives it back when it is freed; how many heaps
# the threads share.
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_BLOCK = 64 * 1024


def small_heaps() -> None:
    """For a process of many threads that fetch pages; makes one that also makes rows a tenth slower."""
    if sys.platform == "linux":
        # Freed pages would stay in the heap of each thread that fetched one: a hundred megabytes.
        with contextlib.suppress(OSError, AttributeError):
            libc = ctypes.CDLL(None)
            libc.mallopt(_M_MMAP_THRESHOLD, _BLOCK)
            libc.mallopt(_M_ARENA_MAX, 2)
