"""Sets how often a plugin's process looks for garbage."""

from __future__ import annotations

import atexit
import gc

# New objects after which Python looks for cycles among them. A page of the tap is a hundred thousand objects, and so is
# a batch of the target; none of them is in a cycle. With Python's own number the look doubles the cost of a page, and
# takes a third of the target's time. Where pages are made one after the other, a look every few pages still is a
# fifteenth of an event's cost, for nothing.
PAGES = 1_000_000
BATCHES = 50_000


def tune_gc(new_objects: int) -> None:
    """Let the garbage collector run only after so many new objects, ``PAGES`` or ``BATCHES``, and not at the end."""
    gc.set_threshold(new_objects, 20, 100)
    # When a process ends, Python looks through all that it has imported once more: a fifth of a second for nothing.
    atexit.register(gc.freeze)
