"""What a 429 closes: nobody passes until it is over, then few at first, and for a while fewer than before. Thread-safe.

Klaviyo's windows are shared with whoever else spends them, so after a refusal nobody knows how much is left. A gate
that opened for all who wait behind it would answer one storm of refusals with the next.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

from klaviyo_client.http.clock import Clock

EASE_SECONDS = 60.0
# After a 429 that our own count did not foresee, others are spending too: give way, then come back.
_EASE = 0.75
# But not for ever: a gate that opens lets few pass at first in any case.
_LEAST = 0.1
# Where a 429 names no time: its first pause, in seconds, which doubles while refusals go on.
_FIRST_PAUSE = 1.0
# So many doublings after it opened, a gate bounds nothing more: no operation has a burst of a million.
_WIDE_OPEN = 20
# Of our own: a thread that waits must not move the random numbers of the program that it runs in.
_RANDOM = random.Random()


class Gate:
    """Stands before all requests that share a limit.

    Args:
        clock: what pauses are taken on.
        longest_pause: how long, in seconds, those grow that Klaviyo does not name.
        eases: whether fewer requests are sent for a while after it was closed.
    """

    def __init__(self, clock: Clock, longest_pause: float = 120.0, *, eases: bool = True) -> None:
        self._clock = clock
        self._longest = longest_pause
        self._eases = eases
        self._lock = threading.Lock()
        self._closed_at = self._opens = float("-inf")
        self._pause = _FIRST_PAUSE
        self._is_new = True
        self._ease = 1.0
        self._eased = 0.0
        self._closings = 0

    @property
    def opens(self) -> float:
        """When whoever comes may pass, by the clock; in the past when it is open."""
        return self._opens

    @property
    def closings(self) -> int:
        """How often it was closed, or kept closed for longer: a place that was given out before is none any more."""
        return self._closings

    def close(self, seconds: float | None, sent: float) -> None:
        """A request was refused.

        Args:
            seconds: the pause that was asked for; None when none was.
            sent: when the request went out, by the clock. Of many that were under way, the first one slows us down;
                those that ask, one after the other, whether a spent limit has room again, do not.
        """
        with self._lock:
            now = self._clock.monotonic()
            if sent > self._closed_at:
                self._closed_at = now
                self._slow_down(now)
                if seconds is None:
                    seconds = self._pause * _RANDOM.uniform(1.0, 1.25)
                    self._pause = min(self._pause * 2, self._longest)
            if seconds is not None:
                self._stay_closed(now + seconds)

    def pause(self, seconds: float) -> None:
        """Nobody passes for so long, for a reason that tells nothing of how fast is too fast."""
        with self._lock:
            self._stay_closed(self._clock.monotonic() + seconds)

    def _slow_down(self, now: float) -> None:
        if self._eases and self._is_new:
            self._ease = max(_LEAST, self._ease * _EASE)
        self._is_new = False
        self._eased = now

    def _stay_closed(self, until: float) -> None:
        if until > self._opens:
            self._opens = until
            self._closings += 1

    def passed(self, sent: float) -> None:
        """A request was let through: the next refusal's pause is short again."""
        with self._lock:
            if sent > self._closed_at:
                self._pause = _FIRST_PAUSE
                self._is_new = True

    def allowed(self, limit: float, moment: float) -> int:
        """How many of ``limit`` requests a second may be sent at a moment.

        One in the first second after it opened, two in the next, then four, until it bounds nothing.
        """
        doublings = moment - self._opens
        return max(1, int(limit) if doublings >= _WIDE_OPEN else min(int(limit), 2 ** int(max(0.0, doublings))))

    def ease(self) -> float:
        """The part of every limit that is left to be spent now, in (0, 1]."""
        with self._lock:
            now = self._clock.monotonic()
            while self._ease < 1.0 and now - self._eased >= EASE_SECONDS:
                self._ease = min(1.0, self._ease / _EASE)
                self._eased += EASE_SECONDS
            return self._ease


def _untold(seconds: float) -> None:
    """For waits that nobody wants to hear of."""


@dataclass(eq=False)
class Turn:
    """Somebody's place in a budget: one request long, and empty before it is waited for and after it was used.

    Attributes:
        shared: a gate that the request shares with other operations', beside that of its own.
        longest: how long to wait, in seconds, for a gate that was closed.
        told: called with the seconds of each wait before it begins.
        sent: when the latest request went out, by the clock.
        held: the place, as its budget and the closings of the gates when it was given; None without one.
        of_day: whether it was taken from the day's budget, too.
    """

    shared: Gate | None = None
    longest: float = float("inf")
    told: Callable[[float], None] = _untold
    sent: float = float("-inf")
    held: tuple[int, ...] | None = None
    of_day: bool = False


class DayIsFull(Exception):
    """The budget of a day has no room.

    Attributes:
        seconds: until there is some.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no room for {seconds:.0f} s")
        self.seconds = seconds


class Closed(Exception):
    """A 429 has asked for a longer pause than the caller has patience for.

    Attributes:
        seconds: until requests may be sent again.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"closed for {seconds:.0f} s")
        self.seconds = seconds
