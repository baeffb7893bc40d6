"""Sets how often a plugin's process looks for garbage."""

from __future__ import annotations

import gc

# New objects after which Python looks for cycles among them. A page of the tap is a hundred thousand objects, and so is
# a batch of the target; none of them is in a cycle. With Python's own number the look doubles the cost of a page, and
# takes a third of the target's time. Where pages are made one after the other, a look every few pages still is a
# fifteenth of an event's cost, for nothing.
PAGES = 1_000_000
BATCHES = 50_000


def tune_gc(new_objects: int) -> None:
    """Let the garbage collector of this process run only after so many new objects: ``PAGES`` or ``BATCHES``."""
    gc.set_threshold(new_objects, 20, 100)
