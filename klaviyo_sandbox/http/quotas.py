"""Klaviyo's rate limits: each operation has a budget of requests in fixed windows of a second, a minute and a day."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from klaviyo_sandbox.http.traffic import Slots
from klaviyo_sandbox.spec.facts import Operation

SECOND, MINUTE, DAY = 1, 60, 86_400


@dataclass(frozen=True)
class Budget:
    """Requests allowed per second (burst), minute (steady) and, where there is such a limit, day."""

    burst: int
    steady: int
    daily: int | None = None

    def windows(self) -> tuple[tuple[int, int], ...]:
        """(requests, seconds), shortest window first."""
        day = () if self.daily is None else ((self.daily, DAY),)
        return ((self.burst, SECOND), (self.steady, MINUTE), *day)

    def header(self) -> str:
        """The value of the header RateLimit-Limit, such as ``75, 75;w=1, 750;w=60``."""
        return ", ".join([str(self.burst), *(f"{limit};w={seconds}" for limit, seconds in self.windows())])


@dataclass(frozen=True)
class SpendResult:
    """Whether a request may go ahead, and what its answer says of the budget.

    Attributes:
        retry_after: whole seconds until every window has room; 0 when the request may go ahead.
        remaining: requests left in the present second.
        reset: whole seconds until the present second ends.
    """

    retry_after: int
    remaining: int
    reset: int


def budget_of(operation: Operation, query: Mapping[str, str]) -> tuple[str, Budget]:
    """The name and size of the budget that a request is taken from: the tightest that its parameters lead to."""
    budgets = {operation.endpoint: Budget(operation.burst, operation.steady, operation.daily)}
    for rule in operation.reduced:
        if rule["value"] in query.get(rule["parameter"], "").split(","):
            name = f"{operation.endpoint} with {rule['parameter']}={rule['value']}"
            budgets[name] = Budget(rule["burst"], rule["steady"])
    return min(budgets.items(), key=lambda item: item[1].steady)


@dataclass(frozen=True)
class Peak:
    """The share of a minute's budget that was used, from 0 to 1, and the budget's name."""

    share: float = 0.0
    budget: Hashable = ""


class Quotas:
    """Counts requests per key and refuses those beyond a budget, which are not counted. Thread-safe.

    Args:
        clock: the account's.
        seed: of what another app spends.
        other_app: as the attribute.

    Attributes:
        other_app: the part of every budget that another app of the account spends, from 0 to less than 1: so much of
            each window on average, all of it at the window's beginning.
    """

    def __init__(self, clock: Callable[[], float], seed: int = 0, other_app: float = 0.0) -> None:
        self._clock = clock
        self._seed = seed
        self.other_app = other_app
        self._lock = threading.Lock()
        # (key, seconds of the window) -> (number of the window, requests in it)
        self._spent: dict[tuple[Hashable, int], tuple[int, int]] = {}
        self._budgets: dict[Hashable, Budget] = {}
        self._peaks: Slots[list[Peak]] = Slots(list)

    def spend(self, key: Hashable, budget: Budget, *shared: tuple[Hashable, Budget]) -> SpendResult:
        """Take one request from the budget of ``key`` and from each shared one, if all their windows have one left.

        What the result says of the present second is about ``key``.
        """
        now = self._clock()
        with self._lock:
            self._budgets[key] = budget
            self._budgets.update(shared)
            used = [
                (name, limit, seconds, self._used(name, limit, seconds, now))
                for name, bounds in ((key, budget), *shared)
                for limit, seconds in bounds.windows()
            ]
            waits = [_until_next(now, seconds) for _, limit, seconds, count in used if count >= limit]
            self._note_peak(now, used, spent=0 if waits else 1)
            if waits:
                return SpendResult(max(1, math.ceil(max(waits))), 0, 0)
            for name, _, seconds, _ in used:
                self._spent[name, seconds] = (_window(now, seconds), self._own(name, seconds, now) + 1)
        return SpendResult(0, budget.burst - used[0][3] - 1, int(_until_next(now, SECOND)))

    def usage(self) -> list[tuple[Hashable, Budget, int, int]]:
        """(key, budget, requests, requests) of every budget that a request was ever taken from, in that order.

        The first number counts the latest second in which a request was let through, the second the present minute,
        in which another app may have taken some, too.
        """
        now = self._clock()
        with self._lock:
            return [
                (
                    key,
                    budget,
                    self._spent.get((key, SECOND), (0, 0))[1],
                    self._used(key, budget.steady, MINUTE, now),
                )
                for key, budget in self._budgets.items()
            ]

    def peaks(self) -> list[tuple[int, Peak]]:
        """(age in slots of ``traffic.py``, highest share of any minute's budget in this slot), the oldest first."""
        with self._lock:
            return [(age, peaks[0]) for age, peaks in self._peaks.latest(self._clock())]

    def _note_peak(self, now: float, used: Sequence[tuple[Hashable, int, int, int]], spent: int) -> None:
        """Note what a request brought a minute's budgets to, from (name, limit, seconds, requests before it)."""
        shares = [Peak((count + spent) / limit, name) for name, limit, seconds, count in used if seconds == MINUTE]
        peaks = self._peaks.at(now)
        peaks[:] = [max([*peaks, *shares], key=lambda peak: peak.share)]

    def _used(self, key: Hashable, limit: int, seconds: int, now: float) -> int:
        """How much of the present window is taken, by whom ever."""
        return min(limit, self._own(key, seconds, now) + self._others(key, limit, seconds, now))

    def _others(self, key: Hashable, limit: int, seconds: int, now: float) -> int:
        """How much of the present window another app has taken."""
        if not self.other_app:
            return 0
        rng = random.Random(f"{self._seed} other app {key} {_window(now, seconds)} {seconds}")
        return int(limit * self.other_app + rng.random())

    def _own(self, key: Hashable, seconds: int, now: float) -> int:
        window, count = self._spent.get((key, seconds), (-1, 0))
        return count if window == _window(now, seconds) else 0


def _window(now: float, seconds: int) -> int:
    return int(now // seconds)


def _until_next(now: float, seconds: int) -> float:
    """Seconds until the window ends; just under or exactly its length at its very beginning."""
    return seconds - now % seconds
