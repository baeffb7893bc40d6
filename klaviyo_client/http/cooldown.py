"""The pause after a 429: no request until it is over, then few at first, and for a while fewer than before.

Klaviyo's limits are shared with whoever else uses the account, so after a 429 nobody knows how much of them is left. If
all that wait went out together when the pause ends, most of them would meet the next 429.
"""

from __future__ import annotations

import random
import threading

from klaviyo_client.http.clock import Clock

# How long, in seconds, the client is slow before it speeds up by one step.
SLOW_SECONDS = 60.0
# After a 429 that our own count did not foresee, others are sending too: send so much of what was sent before.
_SLOWDOWN = 0.75
# But not less than this in all: the second after a pause lets few requests out in any case.
_MIN_SLOWDOWN = 0.1
# Where a 429 names no time: its first pause, in seconds, which doubles while refusals go on.
_FIRST_PAUSE = 1.0
# So many doublings after its end, a pause bounds nothing more: no operation has a burst of a million.
_MAX_DOUBLINGS = 20
# Of our own: a thread that waits must not move the random numbers of the program that it runs in.
_RANDOM = random.Random()


class Cooldown:
    """The pause that all requests of one limit keep together. Thread-safe.

    Args:
        clock: what pauses are taken on.
        max_pause: to how many seconds pauses grow where Klaviyo names no time.
        slows_down: whether fewer requests are sent for a while after a pause.
    """

    def __init__(self, clock: Clock, max_pause: float = 120.0, *, slows_down: bool = True) -> None:
        self._clock = clock
        self._max_pause = max_pause
        self._slows_down = slows_down
        self._lock = threading.Lock()
        self._refused_at = self._ends_at = float("-inf")
        self._pause = _FIRST_PAUSE
        self._is_first_refusal = True
        self._slowdown = 1.0
        self._slowed_at = 0.0
        self._pauses = 0

    @property
    def ends_at(self) -> float:
        """When requests may be sent again, by the clock; in the past when there is no pause."""
        return self._ends_at

    @property
    def pauses(self) -> int:
        """How many pauses began, or became longer. A permit that was given before the latest is invalid."""
        return self._pauses

    def back_off(self, seconds: float | None, sent_at: float) -> None:
        """Begin a pause, because a request was refused with 429, and slow down.

        Args:
            seconds: the pause that Klaviyo asks for; None when it names none.
            sent_at: when the request went out, by the clock. Of many that were in flight together, only the first slows
                us down. Nor do those that find out, one after the other, whether a used up limit has room again.
        """
        with self._lock:
            now = self._clock.monotonic()
            if sent_at > self._refused_at:
                self._refused_at = now
                self._slow_down(now)
                if seconds is None:
                    seconds = self._pause * _RANDOM.uniform(1.0, 1.25)
                    self._pause = min(self._pause * 2, self._max_pause)
            if seconds is not None:
                self._pause_until(now + seconds)

    def pause(self, seconds: float) -> None:
        """Begin a pause that has nothing to do with how fast we send."""
        with self._lock:
            self._pause_until(self._clock.monotonic() + seconds)

    def _slow_down(self, now: float) -> None:
        if self._slows_down and self._is_first_refusal:
            self._slowdown = max(_MIN_SLOWDOWN, self._slowdown * _SLOWDOWN)
        self._is_first_refusal = False
        self._slowed_at = now

    def _pause_until(self, end: float) -> None:
        if end > self._ends_at:
            self._ends_at = end
            self._pauses += 1

    def add_success(self, sent_at: float) -> None:
        """A request was not refused: the next refusal's pause is short again.

        Args:
            sent_at: when it went out, by the clock.
        """
        with self._lock:
            if sent_at > self._refused_at:
                self._pause = _FIRST_PAUSE
                self._is_first_refusal = True

    def burst_at(self, moment: float, limit: float) -> int:
        """How many of ``limit`` requests a second may be sent at a moment, by the clock.

        One in the first second after the pause, two in the next, then four, until it is the limit.
        """
        doublings = moment - self._ends_at
        return max(1, int(limit) if doublings >= _MAX_DOUBLINGS else min(int(limit), 2 ** int(max(0.0, doublings))))

    def slowdown(self) -> float:
        """The factor by which every limit is lowered now, in (0, 1]."""
        with self._lock:
            now = self._clock.monotonic()
            while self._slowdown < 1.0 and now - self._slowed_at >= SLOW_SECONDS:
                self._slowdown = min(1.0, self._slowdown / _SLOWDOWN)
                self._slowed_at += SLOW_SECONDS
            return self._slowdown
