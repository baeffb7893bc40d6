"""Asked to end: how long what is under way may go on.

A client gets its clock and its wire from here. They raise ``Stopped``, which nothing takes for an error to try again
after, where a wait or a request would come too late.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from klaviyo_client.http.clock import Clock
from klaviyo_client.http.transport import Request, Response, Transport

# What is under way when a signal comes has so many seconds to get its outcome. Container schedulers kill after 30.
GRACE_SECONDS = 20.0
# How soon whoever waits notices.
_SLICE = 1.0


class Stopped(BaseException):
    """Nothing more is to be sent. No error: nothing may take it for one and go on."""


class Stop:
    """One run's end by request. Thread-safe; ``ask`` may be called by a signal's handler.

    Args:
        now: seconds on a clock that runs while others wait.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._until: float | None = None

    def ask(self) -> None:
        """From now on nothing is begun, and what is under way is bounded. Asking again changes nothing."""
        if self._until is None:
            self._until = self._now() + GRACE_SECONDS

    @property
    def is_asked(self) -> bool:
        return self._until is not None

    @property
    def left(self) -> float:
        """Seconds that what is under way still has; not negative."""
        return GRACE_SECONDS if self._until is None else max(0.0, self._until - self._now())

    def check(self, ahead: float = 0.0) -> None:
        """See whether something may be done that begins in so many seconds.

        The main thread has nothing under way of its own: it sends no more once it is asked.

        Raises:
            Stopped: it may not.
        """
        if self._until is None:
            return
        if threading.current_thread() is threading.main_thread() or self._now() + ahead > self._until:
            raise Stopped

    def clock(self, real: Clock | None = None) -> Clock:
        """A clock whose waits end with ``Stopped`` when they would come too late; ``real`` is what it waits on."""
        real = real or Clock()

        def sleep(seconds: float) -> None:
            while seconds > _SLICE:
                self.check(seconds)
                real.sleep(_SLICE)
                seconds -= _SLICE
            self.check(seconds)
            real.sleep(seconds)

        return Clock(real.monotonic, sleep)


@dataclass(frozen=True)
class Stoppable:
    """A wire that takes nothing more once it is too late."""

    transport: Transport
    stop: Stop

    def send(self, request: Request) -> Response:
        """Send it.

        Raises:
            Stopped: it is too late.
        """
        self.stop.check()
        return self.transport.send(request)
