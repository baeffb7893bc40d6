"""Permits: what a rate limiter gives to a caller that may send one request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from klaviyo_client.http.cooldown import Cooldown


def _ignore(seconds: float) -> None:
    """For waits that nobody logs."""


@dataclass(eq=False)
class Permit:
    """Permission to send one request. It is empty until a rate limiter grants it, and again when it was used.

    Attributes:
        shared: a cooldown that the request shares with those of other operations, beside its own operation's.
        max_wait: how many seconds to wait at most for the end of a cooldown.
        on_wait: called with the seconds of each wait before it begins.
        sent_at: when the latest request went out with it, by the clock.
        granted: the rate limiter that granted it, and how many pauses its cooldowns had had; None while it is empty. A
            pause that begins later makes it invalid, and so does another rate limiter.
        in_daily_count: whether the count of the day holds it already.
    """

    shared: Cooldown | None = None
    max_wait: float = float("inf")
    on_wait: Callable[[float], None] = _ignore
    sent_at: float = float("-inf")
    granted: tuple[int, ...] | None = None
    in_daily_count: bool = False
