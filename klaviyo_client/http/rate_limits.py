"""Rate limiters: per operation, so many requests a second (burst), a minute (steady), of some a day. Thread-safe.

Klaviyo counts in fixed windows whose edges we cannot see, so a limiter keeps its limits over *every* window of that
length: then they hold whatever the edges are. To acquire a permit, a thread reserves the next free moment and sleeps
until then. A permit is for one request. A 429 makes all permits invalid that were not used before it, and their holders
acquire them anew. Nobody sleeps for a day: a caller for whom the day has no room gets an error.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Iterable

from klaviyo_client.errors import DailyLimitReached, Throttled
from klaviyo_client.http.clock import Clock
from klaviyo_client.http.cooldown import Cooldown
from klaviyo_client.http.permits import Permit
from klaviyo_client.http.usage import Usage
from klaviyo_client.http.windows import Window

BURST_SECONDS = 1.0
STEADY_SECONDS = 60.0
DAY_SECONDS = 86_400.0


class RateLimiter:
    """The limits of one operation: ``acquire`` waits for a permit, ``start_request`` uses it for a request.

    Args:
        burst, steady, daily: requests a second, a minute, a day.
        operation: whose limits they are; errors name it.
        share: the part of them that we use.
        clock: what waits are taken on.
        cooldown: the pause after a 429; all limiters of an operation have the same.
        is_reduced: whether limits that the server announces can only lower these: they are those of a query that the
            specification allows fewer requests than the operation.
    """

    def __init__(
        self,
        burst: int,
        steady: int,
        daily: int | None = None,
        *,
        operation: str = "",
        share: float = 1.0,
        clock: Clock | None = None,
        cooldown: Cooldown | None = None,
        is_reduced: bool = False,
    ) -> None:
        self._operation = operation
        self._clock = clock or Clock()
        self._cooldown = cooldown or Cooldown(self._clock)
        self._share = share
        self._specified = (burst, steady) if is_reduced else None
        self._has_daily_limit = daily is not None
        self._windows = (Window(BURST_SECONDS, burst), Window(STEADY_SECONDS, steady))
        self._day = None if daily is None else Window(DAY_SECONDS, daily)
        self._lock = threading.Lock()
        self._latest = float("-inf")
        self._pauses = 0
        self._requests = 0

    @property
    def usage(self) -> Usage:
        with self._lock:
            return Usage(self._requests, self._windows[-1].limit)

    @property
    def left_today(self) -> int | None:
        """How many requests may still be sent in this day, None where there is no such limit."""
        if self._day is None:
            return None
        with self._lock:
            now = self._clock.monotonic()
            self._day.earliest(now, self._daily_limit)
            return max(0, self._daily_limit - len(self._day.moments))

    def add_past_requests(self, ages: Iterable[float]) -> None:
        """Count requests of earlier runs, so many seconds ago, as requests of this day."""
        if self._day is not None:
            with self._lock:
                now = self._clock.monotonic()
                self._day.moments = deque(sorted([*self._day.moments, *(now - age for age in ages)]))

    def set_limits(self, burst: int, steady: int, daily: int | None = None) -> None:
        """Take over the limits that the server announces for this account: they win over the specification's.

        Where that allows a query fewer requests, they can only lower its limits.
        """
        if self._specified is not None:
            burst, steady = min(burst, self._specified[0]), min(steady, self._specified[1])
        with self._lock:
            for window, limit in zip(self._windows, (burst, steady), strict=True):
                window.limit = limit
            if daily is not None:
                self._day = self._day or Window(DAY_SECONDS, daily)
                self._day.limit = daily

    # Permits ----------------------------------------------------------------------------------------------------------

    def acquire(self, permit: Permit | None = None) -> float:
        """Wait until one more request may be sent, and grant the permit; one that is valid already stays as it is.

        Returns:
            The seconds that it waited.

        Raises:
            DailyLimitReached: none may be sent in this day, or Klaviyo asks for a longer pause than the permit waits.
            Throttled: the latter, where the operation has no limit of a day.
        """
        permit = permit or Permit()
        waited = 0.0
        while True:
            with self._lock:
                if permit.granted == self._grant(permit):
                    return waited
                wait = self._reserve(permit)
            if wait > 0:
                permit.on_wait(wait)
                self._clock.sleep(wait)
                waited += wait

    def start_request(self, permit: Permit) -> None:
        """Use the permit for a request that is sent now, and count it; acquire it first where it is empty or invalid.

        Raises:
            DailyLimitReached, Throttled: as ``acquire``.
        """
        while True:
            self.acquire(permit)
            with self._lock:
                if permit.granted is not None and permit.granted == self._grant(permit):
                    permit.granted, permit.in_daily_count = None, False
                    permit.sent_at = self._clock.monotonic()
                    self._requests += 1
                    return

    def back_off(self, permit: Permit, seconds: float | None) -> None:
        """The permit's request was answered with 429: nobody sends for so long, and everybody more slowly for a while.

        Args:
            permit: what the request was sent with.
            seconds: what Klaviyo asks for. Where it names no time (None) the pause grows from one refusal to the next.
        """
        for cooldown in self._cooldowns(permit):
            cooldown.back_off(seconds, permit.sent_at)

    def pause(self, seconds: float) -> None:
        """Send no request of the operation for so long: Klaviyo has a fault that is to last until then."""
        self._cooldown.pause(seconds)

    def add_success(self, permit: Permit) -> None:
        """The permit's request was not refused."""
        for cooldown in self._cooldowns(permit):
            cooldown.add_success(permit.sent_at)

    def pause_left(self, permit: Permit) -> float:
        """Seconds until the pause ends that the permit has to wait for; 0 when there is none."""
        ends_at = max(cooldown.ends_at for cooldown in self._cooldowns(permit))
        return max(0.0, ends_at - self._clock.monotonic())

    def _cooldowns(self, permit: Permit) -> tuple[Cooldown, ...]:
        return (self._cooldown,) if permit.shared is None else (self._cooldown, permit.shared)

    def _grant(self, permit: Permit) -> tuple[int, ...]:
        """What a permit that is valid now has as ``granted``."""
        return (id(self), *(cooldown.pauses for cooldown in self._cooldowns(permit)))

    # Reservations, under the lock -------------------------------------------------------------------------------------

    def _reserve(self, permit: Permit) -> float:
        """Reserve the next free moment for the permit; returns the seconds until then."""
        grant, now = self._grant(permit), self._clock.monotonic()
        pause = self.pause_left(permit)
        if pause > permit.max_wait:
            raise self._pause_too_long(math.ceil(pause))
        self._count_for_day(permit, now)
        self._drop_invalid_reservations(now)
        moment = max(now, self._latest, *(cooldown.ends_at for cooldown in self._cooldowns(permit)))
        for window in self._windows:
            moment = window.earliest(moment, *self._allowed(window, permit, moment))
        for window in self._windows:
            window.moments.append(moment)
        self._latest = moment
        permit.granted = grant
        return moment - now

    def _pause_too_long(self, seconds: int) -> DailyLimitReached | Throttled:
        error = DailyLimitReached if self._has_daily_limit else Throttled
        return error.of(self._operation, seconds)

    def _drop_invalid_reservations(self, now: float) -> None:
        """Forget moments that nobody will use, because a pause began after they were reserved."""
        if self._pauses != self._cooldown.pauses:
            self._pauses = self._cooldown.pauses
            self._latest = min(self._latest, now)
            for window in self._windows:
                window.forget(now)

    @property
    def _daily_limit(self) -> int:
        return 0 if self._day is None else max(1, int(round(self._day.limit * self._share, 6)))

    def _count_for_day(self, permit: Permit, now: float) -> None:
        if self._day is None or permit.in_daily_count:
            return
        wait = self._day.earliest(now, self._daily_limit) - now
        if wait > 0:
            raise DailyLimitReached.of(self._operation, int(wait))
        self._day.moments.append(now)
        permit.in_daily_count = True

    def _allowed(self, window: Window, permit: Permit, moment: float) -> tuple[int, float]:
        """How many requests we may have now, and in how many seconds.

        1.8 requests a minute are two in 67 seconds, and 0.2 are one in five minutes: rounded down or up, they would be
        half or five times of what is ours. After a 429 fewer are better than soon.
        """
        cooldowns = self._cooldowns(permit)
        slowdown = min(cooldown.slowdown() for cooldown in cooldowns)
        share = round(window.limit * self._share, 6)
        if window.seconds == BURST_SECONDS:
            return min(cooldown.burst_at(moment, share * slowdown) for cooldown in cooldowns), window.seconds
        rate = share * slowdown
        requests = math.ceil(share) if slowdown == 1 else max(1, int(rate))
        return requests, window.seconds * max(1.0, requests / rate)


class RateLimiters:
    """One rate limiter for each operation, and each stricter variant of it; made when it is first needed.

    Args:
        share: the part of the limits that we use.
        clock: what waits are taken on.
        max_pause: to how many seconds pauses grow where Klaviyo names no time.

    Attributes:
        shared_cooldown: the pause that all requests with ``include`` or ``additional-fields`` keep together, of
            whatever operation: they share a limit, which Klaviyo does not disclose.
    """

    def __init__(self, share: float, clock: Clock, max_pause: float = 120.0) -> None:
        self._share = share
        self._clock = clock
        self._max_pause = max_pause
        self._limiters: dict[tuple[str, int, int], RateLimiter] = {}
        self._cooldowns: dict[str, Cooldown] = {}
        self._lock = threading.Lock()
        # The operation that is refused slows down by itself; the others only wait, for nobody knows whose limit it was.
        self.shared_cooldown = Cooldown(clock, max_pause, slows_down=False)

    def of(
        self, operation: str, rates: tuple[int, int], daily: int | None = None, *, is_reduced: bool = False
    ) -> RateLimiter:
        """The limiter of these (burst, steady) of an operation; a 429 to one of an operation's pauses them all."""
        key = (operation, *rates)
        with self._lock:
            if key not in self._limiters:
                self._limiters[key] = RateLimiter(
                    *rates,
                    daily,
                    operation=operation,
                    share=self._share,
                    clock=self._clock,
                    cooldown=self._cooldowns.setdefault(operation, Cooldown(self._clock, self._max_pause)),
                    is_reduced=is_reduced,
                )
            return self._limiters[key]

    def usage(self) -> dict[str, Usage]:
        """The requests that were sent, by operation; where it has several limiters, beside the strictest limit."""
        by_operation: dict[str, Usage] = {}
        with self._lock:
            limiters = list(self._limiters.items())
        for (operation, *_), limiter in limiters:
            usage, before = limiter.usage, by_operation.get(operation)
            if before is not None:
                usage = Usage(before.requests + usage.requests, min(before.per_minute, usage.per_minute))
            if usage.requests:
                by_operation[operation] = usage
        return by_operation
