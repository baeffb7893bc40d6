"""How many requests were sent, and how much of Klaviyo's rate limits that was."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

_MINUTE = 60.0


@dataclass(frozen=True)
class Usage:
    """How many requests of one operation were sent, beside its limit.

    Attributes:
        requests: how many were sent, repetitions included.
        per_minute: how many the account allows.
    """

    requests: int
    per_minute: int


class UsageWindow:
    """How much of Klaviyo's limits the requests of the last minute used.

    Of a minute, for Klaviyo allows bursts: five seconds can hold what is allowed for twenty.

    Args:
        now: seconds on the clock.
        usage: the requests that were sent until now, by operation.
    """

    def __init__(self, now: float, usage: Mapping[str, Usage]) -> None:
        self._samples = deque([(now, usage)])

    def busiest(self, now: float, usage: Mapping[str, Usage]) -> tuple[str, float] | None:
        """The operation that used most of its minute's limit, and how much of it, in [0, 1]; None when none was called.

        Args:
            now: seconds on the clock.
            usage: the requests that were sent until now, by operation.
        """
        self._samples.append((now, usage))
        while len(self._samples) > 2 and self._samples[1][0] <= now - _MINUTE:
            self._samples.popleft()
        before = self._samples[0][1]
        shares = {
            name: min(1.0, (current.requests - (before[name].requests if name in before else 0)) / current.per_minute)
            for name, current in usage.items()
        }
        name = max(shares, key=lambda name: shares[name], default=None)
        return None if name is None or not shares[name] else (name, shares[name])
