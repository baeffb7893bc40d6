"""Another client of an account, unknown to the one that is tested."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from klaviyo_sandbox.http.quotas import SECOND, Budget, Quotas, SpendResult


@dataclass
class OtherClient:
    """Spends all that a window of a budget has left, now and then, just before the client that is tested asks.

    Attributes:
        quotas: the account's.
        seconds: the window's length.
        times: how often.
        every: after how many requests of the client that is tested.
    """

    quotas: Quotas
    seconds: int
    times: int
    every: int = 10
    asked: int = 0

    def __post_init__(self) -> None:
        self._spend = self.quotas.spend
        self.quotas.spend = self.spend  # type: ignore[method-assign]

    def spend(self, key: Hashable, budget: Budget, *shared: tuple[Hashable, Budget]) -> SpendResult:
        self.asked += 1
        if self.asked % self.every == 0 and self.times:
            self.times -= 1
            now = int(self.quotas._clock() // self.seconds)
            self.quotas._spent[key, self.seconds] = (now, budget.burst if self.seconds == SECOND else budget.steady)
        return self._spend(key, budget, *shared)
