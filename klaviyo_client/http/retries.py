"""Retries: which failed requests are sent again, how often, and after which wait. Only this module decides it.

- 4xx (``Refused``) but 408, 429 and a 403 that is not Klaviyo's, and a 501 that says what is not served: never, for
  Klaviyo would answer the same again. Only a 401 to an access token of an OAuth app is sent again, once, with a fresh
  token: ``client.py`` does that.
- 429 (``Throttled``), and no access token (``SignInFault``): always, for it was certainly not done. The rate limiter
  makes the next attempt wait (``cooldown.py``). A 429 does not count as one of the attempts.
- 429 because of the day's limit (``DailyLimitReached``): never.
- No connection (``ConnectionFault``), and a 403 of a proxy or firewall (``Blocked``): always, for nothing arrived.
- 5xx and 408 (``ServerFault``), a connection that broke (``ConnectionFault``), an answer that cannot be read
  (``BadDocument``): only where the call reads or is idempotent, for Klaviyo may have carried it out.

The last two kinds wait as long as ``Retry-After`` says, or else by ``RetryPolicy``, which also says when to stop. Which
answer stands for which error, and what it says of the wait, is decided by ``response_error`` in ``api/protocol.py``.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar, cast

import backoff

from klaviyo_client import errors
from klaviyo_client.http.clock import Clock

T = TypeVar("T")
logger = logging.getLogger("klaviyo_client")
# Of our own: a thread that waits must not move the random numbers of the program that it runs in.
_RANDOM = random.Random()
# Shorter waits are not worth a line in the log.
_MIN_LOGGED_WAIT = 0.05


@dataclass(frozen=True)
class RetryPolicy:
    """How often a call is tried, and how long it waits between two attempts.

    Attributes:
        attempts: how many requests of one call may fail; those that are answered with 429 do not count.
        timeout: seconds after which no further attempt begins.
        max_wait: to how many seconds a wait grows, where Klaviyo names none. One that Klaviyo names is kept whole; a
            call that has no time for it ends at once.
        first_wait: seconds before the second attempt, where Klaviyo names none.
        growth: how many times as long each further wait is.
        jitter: the part of a wait by which it is made longer or shorter, at random, in [0, 1].
    """

    attempts: int = 8
    timeout: float = 600.0
    max_wait: int = 120
    first_wait: float = 0.5
    growth: float = 2.0
    jitter: float = 0.25

    @property
    def limiter_timeout(self) -> float:
        """How many seconds a call waits at most for the rate limiter."""
        return max(self.max_wait, self.timeout)

    def has_time_for(self, wait: float, elapsed: float) -> bool:
        """Whether a call that has gone on for ``elapsed`` seconds may wait so many more."""
        return wait <= max(self.max_wait, self.timeout - elapsed)


def call_with_retries(
    attempt: Callable[[Callable[[float], None]], T], policy: RetryPolicy, clock: Clock, *, idempotent: bool
) -> T:
    """Call ``attempt`` until it succeeds or must not be repeated; returns what it returns.

    Args:
        attempt: sends one request. Its argument is a function that it calls with the seconds of a wait before it waits.
        policy: how often, and how long.
        clock: what waits are taken on.
        idempotent: whether an attempt that Klaviyo may have carried out is repeated.

    Raises:
        Unavailable: the error of the last attempt.
    """
    retries = _Retries(policy, clock, idempotent=idempotent)
    # The library gives it only errors of the kind that is named beside it.
    give_up = cast("Callable[[Exception], bool]", retries.should_give_up)
    repeated = backoff.on_exception(retries.waits, errors.Unavailable, giveup=give_up, jitter=None, logger=None)
    result: T = repeated(attempt)(retries.log_wait)
    return result


class _Retries:
    """The attempts of one call: counts the failures, decides whether to go on, and waits."""

    def __init__(self, policy: RetryPolicy, clock: Clock, *, idempotent: bool) -> None:
        self._policy = policy
        self._clock = clock
        self._idempotent = idempotent
        self._began = clock.monotonic()
        self._failures = 0
        self._latest: errors.Unavailable | None = None

    def log_wait(self, seconds: float) -> None:
        """Log why the next attempt has to wait; nothing before the first one, and nothing of a short wait."""
        if self._latest is not None and seconds >= _MIN_LOGGED_WAIT:
            logger.warning("%s; trying again in %.1f s", self._latest, seconds)

    def should_give_up(self, error: errors.Unavailable) -> bool:
        """Whether this error of an attempt is the call's."""
        # A 429 is no failure: others are sending too, and only time tells whether they ever stop.
        self._failures += not isinstance(error, errors.Throttled)
        self._latest = error
        if isinstance(error, errors.DailyLimitReached):
            return True
        if error.may_have_succeeded and not self._idempotent:
            return True
        elapsed = self._clock.monotonic() - self._began
        is_late = elapsed >= self._policy.timeout or not self._policy.has_time_for(error.retry_after or 0, elapsed)
        return is_late or self._failures >= self._policy.attempts

    def waits(self) -> Generator[float, errors.Unavailable, None]:
        """The waits between attempts, for `backoff`: it sends the error in, and gets 0 seconds to sleep.

        The waiting is done here, on our own clock, so that a test can switch it off.
        """
        error = yield 0.0
        wait = self._policy.first_wait
        while True:
            if not error.waits_in_limiter:
                jitter = _RANDOM.uniform(1 - self._policy.jitter, 1 + self._policy.jitter)
                seconds = wait * jitter if error.retry_after is None else float(error.retry_after)
                self.log_wait(seconds)
                self._clock.sleep(seconds)
                wait = min(wait * self._policy.growth, self._policy.max_wait)
            error = yield 0.0
