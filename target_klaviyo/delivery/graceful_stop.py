"""A stop that a signal asks for: how long what is in flight may go on after a signal.

A client gets its clock and its transport from here. They raise ``Stopped``, which nothing takes for an error to retry,
where a wait or a request would come too late.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from klaviyo_client.http.clock import Clock
from klaviyo_client.http.transport import Request, Response, Transport

# What is in flight when a signal comes has so many seconds to get its outcome. Container schedulers kill after 30.
GRACE_SECONDS = 20.0
# How soon whoever waits notices.
_CHECK_SECONDS = 1.0


class Stopped(BaseException):
    """Nothing more is to be sent. No error: nothing may take it for one and go on."""


class GracefulStop:
    """Whether one run was asked to stop, and how much time is left. Thread-safe; a signal's handler may request it.

    Args:
        now: seconds on a clock that runs while others wait.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._deadline: float | None = None

    def request(self) -> None:
        """From now on nothing is begun, and what is in flight is bounded. A second request changes nothing."""
        if self._deadline is None:
            self._deadline = self._now() + GRACE_SECONDS

    @property
    def seconds_left(self) -> float:
        """Seconds that what is in flight still has; not negative."""
        return GRACE_SECONDS if self._deadline is None else max(0.0, self._deadline - self._now())

    def check(self, delay: float = 0.0) -> None:
        """Raise ``Stopped`` unless something may still be done that begins after a delay of so many seconds.

        The main thread has nothing in flight of its own: it sends no more once the stop is requested.

        Raises:
            Stopped: it may not.
        """
        if self._deadline is None:
            return
        if threading.current_thread() is threading.main_thread() or self._now() + delay > self._deadline:
            raise Stopped

    def clock(self, real: Clock | None = None) -> Clock:
        """A clock whose waits end with ``Stopped`` when they would come too late; ``real`` is what it waits on."""
        real = real or Clock()

        def sleep(seconds: float) -> None:
            while seconds > _CHECK_SECONDS:
                self.check(seconds)
                real.sleep(_CHECK_SECONDS)
                seconds -= _CHECK_SECONDS
            self.check(seconds)
            real.sleep(seconds)

        return Clock(real.monotonic, sleep)


@dataclass(frozen=True)
class StoppableTransport:
    """A transport that sends nothing more once it is too late."""

    transport: Transport
    stop: GracefulStop

    def send(self, request: Request) -> Response:
        """Send it.

        Raises:
            Stopped: it is too late.
        """
        self.stop.check()
        return self.transport.send(request)
