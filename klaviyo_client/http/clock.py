"""The clock that waits are measured on: time as an argument, so that a test can switch waiting off."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """Where the time comes from, and what waits for it; seconds as of ``time.monotonic``."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
