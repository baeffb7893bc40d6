"""A sliding window: the requests that were, and will be, sent within so many seconds."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass
class Window:
    """The requests of the latest ``seconds``, by the clock, in order of time.

    Attributes:
        seconds: how long it is.
        limit: how many requests Klaviyo allows in it.
        moments: when they were sent, or will be by whoever has reserved a moment.
    """

    seconds: float
    limit: int
    moments: deque[float] = field(default_factory=deque)

    def earliest(self, moment: float, allowed: int, seconds: float | None = None) -> float:
        """When one more request fits without more than ``allowed`` in the window, not before ``moment``.

        Args:
            moment: by the clock.
            allowed: how many requests.
            seconds: how long the window is this time, where it is longer than usual.
        """
        seconds = seconds or self.seconds
        while self.moments and self.moments[0] <= moment - seconds:
            self.moments.popleft()
        if len(self.moments) < allowed:
            return moment
        return max(moment, self.moments[len(self.moments) - allowed] + seconds)

    def forget(self, after: float) -> None:
        """Drop the moments that are later than one."""
        while self.moments and self.moments[-1] > after:
            self.moments.pop()
