"""Tuning of malloc, for a process that reads millions of rows."""

from __future__ import annotations

import contextlib
import ctypes
import sys

# <malloc.h>: how many arenas the threads share.
_M_ARENA_MAX = -8


def limit_arenas() -> None:
    """Keep the memory of a process small in which many threads fetch pages."""
    if sys.platform == "linux":
        # Freed pages would stay in the arena of each thread that fetched one: a hundred megabytes.
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)
