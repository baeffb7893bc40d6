"""How a process that reads millions of rows keeps its memory small and its garbage collector quiet."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys

# <malloc.h>: from what size on glibc takes a block from the system, and gives it back when it is freed.
_M_MMAP_THRESHOLD = -3
_BLOCK = 256 * 1024


def prepare() -> None:
    """For the whole process, before its work begins."""
    # A page is a hundred thousand objects and no cycle: looking it over again and again doubles its cost.
    gc.set_threshold(200_000, 20, 100)
    if sys.platform == "linux":
        # Freed pages of two megabytes would stay in the heap of each thread that fetched one: a hundred megabytes.
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _BLOCK)
