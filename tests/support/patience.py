"""Waits for what is to happen, and says how long a test waits before it takes something for hanging."""

from __future__ import annotations

import time
from collections.abc import Callable

# Seconds. Only a bound against hanging: no machine may be too slow for it, so no test that passes ever waits so long.
PATIENCE = 300.0
# The same for what runs Meltano, or the demo, several times in one go.
SCRIPT_PATIENCE = 3 * PATIENCE


def until(reached: Callable[[], object], every: float = 0.005) -> None:
    """Wait until it is reached, however long that takes on this machine.

    Args:
        reached: looked at again and again.
        every: seconds between two looks.

    Raises:
        AssertionError: it was not, for so long that something hangs.
    """
    over = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < over, "waited in vain"
        time.sleep(every)
