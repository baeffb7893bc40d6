"""Klaviyo's budgets: per operation, so many requests a second (burst), a minute (steady), of some a day. Thread-safe.

Klaviyo counts in fixed windows whose edges we cannot see, so a budget is kept over *every* window of that length: then
it holds whatever the edges are. Spending is by reservation: a thread takes the next free moment and sleeps until then.
Nobody sleeps for a day: whoever asks for more than that is told so.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

BURST_SECONDS = 1.0
STEADY_SECONDS = 60.0
DAY_SECONDS = 86_400.0
# After a 429 that our own count did not foresee, others are spending too: give way, then come back.
_EASE = 0.75


@dataclass(frozen=True)
class Clock:
    """Time as an argument, so that a test can switch waiting off."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class DayIsFull(Exception):
    """The budget of a day has no room.

    Attributes:
        seconds: until there is some.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no room for {seconds:.0f} s")
        self.seconds = seconds


@dataclass(frozen=True)
class Spent:
    """What was spent of one operation's budget.

    Attributes:
        requests: how many were sent, repetitions included.
        per_minute: how many the account allows.
    """

    requests: int
    per_minute: int


@dataclass
class _Window:
    seconds: float
    limit: int
    taken: deque[float] = field(default_factory=deque)

    def earliest(self, moment: float, allowed: int) -> float:
        """When one more request fits, not before ``moment``."""
        while self.taken and self.taken[0] <= moment - self.seconds:
            self.taken.popleft()
        if len(self.taken) < allowed:
            return moment
        return max(moment, self.taken[len(self.taken) - allowed] + self.seconds)


class Budget:
    """The budget of one operation, with one verb: ``acquire``."""

    def __init__(
        self, burst: int, steady: int, daily: int | None = None, *, share: float = 1.0, clock: Clock | None = None
    ) -> None:
        self._clock = clock or Clock()
        self._share = share
        self._windows = (_Window(BURST_SECONDS, burst), _Window(STEADY_SECONDS, steady))
        self._day = None if daily is None else _Window(DAY_SECONDS, daily)
        self._lock = threading.Lock()
        self._last = 0.0
        self._resume = 0.0
        self._ease = 1.0
        self._eased = 0.0
        self._requests = 0

    @property
    def spent(self) -> Spent:
        with self._lock:
            return Spent(self._requests, self._windows[-1].limit)

    @property
    def left(self) -> int | None:
        """How many requests may still be sent in this day, None where there is no such limit."""
        if self._day is None:
            return None
        with self._lock:
            now = self._clock.monotonic()
            self._day.earliest(now, self._of_a_day)
            return max(0, self._of_a_day - len(self._day.taken))

    def remember(self, ages: Iterable[float]) -> None:
        """Count requests of earlier runs, so many seconds ago, as requests of this day."""
        if self._day is not None:
            with self._lock:
                now = self._clock.monotonic()
                self._day.taken = deque(sorted([*self._day.taken, *(now - age for age in ages)]))

    def acquire(self) -> float:
        """Wait until one more request may be sent; returns the seconds waited.

        Raises:
            DayIsFull: none may be sent in this day.
        """
        with self._lock:
            now = self._clock.monotonic()
            self._recover(now)
            self._take_of_the_day(now)
            moment = max(now, self._last, self._resume)
            for window in self._windows:
                moment = window.earliest(moment, self._allowed(window.limit))
            for window in self._windows:
                window.taken.append(moment)
            self._last = moment
            self._requests += 1
        if moment > now:
            self._clock.sleep(moment - now)
        return moment - now

    def throttled(self, seconds: float) -> None:
        """A 429 came: nobody sends for so long, and everybody more slowly for a while."""
        with self._lock:
            now = self._clock.monotonic()
            if now >= self._resume:  # of many threads that are refused at once, the first slows us down
                self._ease *= _EASE
                self._eased = now
            self._resume = max(self._resume, now + seconds)

    def announced(self, burst: int, steady: int, daily: int | None = None) -> None:
        """The server told its limits for this account; they win over the specification."""
        with self._lock:
            for window, limit in zip(self._windows, (burst, steady), strict=True):
                window.limit = limit
            if daily is not None:
                self._day = self._day or _Window(DAY_SECONDS, daily)
                self._day.limit = daily

    @property
    def _of_a_day(self) -> int:
        return 0 if self._day is None else max(1, int(self._day.limit * self._share))

    def _take_of_the_day(self, now: float) -> None:
        if self._day is None:
            return
        wait = self._day.earliest(now, self._of_a_day) - now
        if wait > 0:
            raise DayIsFull(wait)
        self._day.taken.append(now)

    def _allowed(self, limit: int) -> int:
        return max(1, int(limit * self._share * self._ease))

    def _recover(self, now: float) -> None:
        while self._ease < 1.0 and now - self._eased >= STEADY_SECONDS:
            self._ease = min(1.0, self._ease / _EASE)
            self._eased += STEADY_SECONDS


class Budgets:
    """One budget per operation, and per stricter variant of it, made when first asked for."""

    def __init__(self, share: float, clock: Clock) -> None:
        self._share = share
        self._clock = clock
        self._made: dict[tuple[str, int, int], Budget] = {}
        self._lock = threading.Lock()

    def of(self, operation: str, rates: tuple[int, int], daily: int | None = None) -> Budget:
        key = (operation, *rates)
        with self._lock:
            if key not in self._made:
                self._made[key] = Budget(*rates, daily, share=self._share, clock=self._clock)
            return self._made[key]

    def spent(self) -> dict[str, Spent]:
        """What was spent, by operation. Of an operation with several budgets, the strictest one's limit is told."""
        found: dict[str, Spent] = {}
        with self._lock:
            made = list(self._made.items())
        for (operation, *_), budget in made:
            spent, before = budget.spent, found.get(operation)
            if before is not None:
                spent = Spent(before.requests + spent.requests, min(before.per_minute, spent.per_minute))
            if spent.requests:
                found[operation] = spent
        return found
