"""Klaviyo's budgets: per operation, so many requests a second (burst), a minute (steady), of some a day. Thread-safe.

Klaviyo counts in fixed windows whose edges we cannot see, so a budget is kept over *every* window of that length: then
it holds whatever the edges are. Spending is by reservation: a thread takes the next free place and sleeps until then.
A place is for one request, and it is lost when a 429 comes before it was used: whoever held it waits for another.
Nobody sleeps for a day: whoever asks for more than that is told so.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from klaviyo_client.http.clock import Clock
from klaviyo_client.http.gates import EASE_SECONDS, Closed, DayIsFull, Gate, Turn
from klaviyo_client.http.usage import Usage

__all__ = ["DAY_SECONDS", "STEADY_SECONDS", "Budget", "Budgets", "Closed", "DayIsFull", "Turn"]

BURST_SECONDS = 1.0
STEADY_SECONDS = EASE_SECONDS
DAY_SECONDS = 86_400.0


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

    def forget(self, after: float) -> None:
        """Give up the places that are later than a moment."""
        while self.taken and self.taken[-1] > after:
            self.taken.pop()


class Budget:
    """The budget of one operation: ``acquire`` waits for a place, ``enter`` sends a request with it.

    Args:
        burst, steady, daily: requests a second, a minute, a day.
        share: the part of them that we spend.
        clock: what waits are taken on.
        gate: what a 429 closes; that of the operation, whatever budgets it has.
        bounded: whether what the server announces can only lower these limits: they are of a query that the
            specification gives less to than to the operation.
    """

    def __init__(
        self,
        burst: int,
        steady: int,
        daily: int | None = None,
        *,
        share: float = 1.0,
        clock: Clock | None = None,
        gate: Gate | None = None,
        bounded: bool = False,
    ) -> None:
        self._clock = clock or Clock()
        self._gate = gate or Gate(self._clock)
        self._share = share
        self._stated = (burst, steady) if bounded else None
        self._windows = (_Window(BURST_SECONDS, burst), _Window(STEADY_SECONDS, steady))
        self._day = None if daily is None else _Window(DAY_SECONDS, daily)
        self._lock = threading.Lock()
        self._last = float("-inf")
        self._closings = 0
        self._requests = 0

    @property
    def usage(self) -> Usage:
        with self._lock:
            return Usage(self._requests, self._windows[-1].limit)

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

    # Asking -----------------------------------------------------------------------------------------------------------

    def acquire(self, turn: Turn | None = None) -> float:
        """Wait until one more request may be sent; returns the seconds waited. A place that is held still is kept.

        Raises:
            DayIsFull: none may be sent in this day.
            Closed: a 429 has asked for a longer pause than the turn has patience for.
        """
        turn = turn or Turn()
        waited = 0.0
        while True:
            with self._lock:
                if turn.held == self._closings_seen_by(turn):
                    return waited
                wait = self._reserve(turn)
            if wait > 0:
                turn.told(wait)
                self._clock.sleep(wait)
                waited += wait

    def enter(self, turn: Turn) -> None:
        """Send one request, now: with the place that the turn holds, or, when it holds none, with one waited for.

        Raises:
            DayIsFull, Closed: as ``acquire``.
        """
        while True:
            self.acquire(turn)
            with self._lock:
                if turn.held is not None and turn.held == self._closings_seen_by(turn):
                    turn.held, turn.of_day = None, False
                    turn.sent = self._clock.monotonic()
                    self._requests += 1
                    return

    def throttled(self, turn: Turn, seconds: float | None) -> None:
        """The turn's request was answered with 429: nobody sends for so long, and everybody more slowly for a while.

        Args:
            turn: the request's.
            seconds: what Klaviyo asked for; None, when it named no time, is longer from time to time.
        """
        for gate in self._gates(turn):
            gate.close(seconds, turn.sent)

    def paused(self, seconds: float) -> None:
        """A request met a fault that is to last so long: nobody asks this operation before it is over."""
        self._gate.pause(seconds)

    def passed(self, turn: Turn) -> None:
        """The turn's request was let through."""
        for gate in self._gates(turn):
            gate.passed(turn.sent)

    def closed(self, turn: Turn) -> float:
        """Seconds until somebody may send again, 0 when it is not after a 429."""
        opens = max(gate.opens for gate in self._gates(turn))
        return max(0.0, opens - self._clock.monotonic())

    def announced(self, burst: int, steady: int, daily: int | None = None) -> None:
        """The server told its limits for this account: they win over the specification.

        Where that gives less to a query, they can only lower it.
        """
        if self._stated is not None:
            burst, steady = min(burst, self._stated[0]), min(steady, self._stated[1])
        with self._lock:
            for window, limit in zip(self._windows, (burst, steady), strict=True):
                window.limit = limit
            if daily is not None:
                self._day = self._day or _Window(DAY_SECONDS, daily)
                self._day.limit = daily

    # Places -----------------------------------------------------------------------------------------------------------

    def _gates(self, turn: Turn) -> tuple[Gate, ...]:
        return (self._gate,) if turn.shared is None else (self._gate, turn.shared)

    def _closings_seen_by(self, turn: Turn) -> tuple[int, ...]:
        # With whose place it is: one in another budget of the operation is none here.
        return (id(self), *(gate.closings for gate in self._gates(turn)))

    def _reserve(self, turn: Turn) -> float:
        """Take a place for the turn; the seconds until then."""
        seen, now = self._closings_seen_by(turn), self._clock.monotonic()
        wait = self.closed(turn)
        if wait > turn.longest:
            raise Closed(wait)
        self._take_of_the_day(turn, now)
        self._give_up_lost_places(now)
        moment = max(now, self._last, *(gate.opens for gate in self._gates(turn)))
        for window in self._windows:
            moment = window.earliest(moment, self._allowed(window, turn, moment))
        for window in self._windows:
            window.taken.append(moment)
        self._last = moment
        turn.held = seen
        return moment - now

    def _give_up_lost_places(self, now: float) -> None:
        """Those that nobody will use, since the gate was closed after they were given out."""
        if self._closings != self._gate.closings:
            self._closings = self._gate.closings
            self._last = min(self._last, now)
            for window in self._windows:
                window.forget(now)

    @property
    def _of_a_day(self) -> int:
        return 0 if self._day is None else max(1, int(self._day.limit * self._share))

    def _take_of_the_day(self, turn: Turn, now: float) -> None:
        if self._day is None or turn.of_day:
            return
        wait = self._day.earliest(now, self._of_a_day) - now
        if wait > 0:
            raise DayIsFull(wait)
        self._day.taken.append(now)
        turn.of_day = True

    def _allowed(self, window: _Window, turn: Turn, moment: float) -> int:
        gates = self._gates(turn)
        limit = window.limit * self._share * min(gate.ease() for gate in gates)
        if window.seconds != BURST_SECONDS:
            return max(1, int(limit))
        return min(gate.allowed(limit, moment) for gate in gates)


class Budgets:
    """One budget per operation, and per stricter variant of it, made when first asked for.

    Args:
        share: the part of them that we spend.
        clock: what waits are taken on.
        longest_pause: how long, in seconds, pauses grow that Klaviyo does not name.

    Attributes:
        include: stands before every request that asks for more than its own resources, of whatever operation: those
            share a limit, which Klaviyo does not disclose.
    """

    def __init__(self, share: float, clock: Clock, longest_pause: float = 120.0) -> None:
        self._share = share
        self._clock = clock
        self._longest = longest_pause
        self._made: dict[tuple[str, int, int], Budget] = {}
        self._gates: dict[str, Gate] = {}
        self._lock = threading.Lock()
        # What is refused has its own operation to ease; the others only wait, for nobody knows whose limit it was.
        self.include = Gate(clock, longest_pause, eases=False)

    def of(self, operation: str, rates: tuple[int, int], daily: int | None = None, *, bounded: bool = False) -> Budget:
        """The budget of these (burst, steady); a 429 to one of an operation's closes them all."""
        key = (operation, *rates)
        with self._lock:
            if key not in self._made:
                gate = self._gates.setdefault(operation, Gate(self._clock, self._longest))
                self._made[key] = Budget(
                    *rates, daily, share=self._share, clock=self._clock, gate=gate, bounded=bounded
                )
            return self._made[key]

    def usage(self) -> dict[str, Usage]:
        """What was spent, by operation. Of an operation with several budgets, the strictest one's limit is told."""
        found: dict[str, Usage] = {}
        with self._lock:
            made = list(self._made.items())
        for (operation, *_), budget in made:
            usage, before = budget.usage, found.get(operation)
            if before is not None:
                usage = Usage(before.requests + usage.requests, min(before.per_minute, usage.per_minute))
            if usage.requests:
                found[operation] = usage
        return found
