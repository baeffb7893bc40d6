"""Clocks that make a client's waits short: many of its seconds pass in one of ours, as in a sandbox with a ``speed``.

Users cannot ask for this, because Klaviyo's own limits are in real seconds. A test in the same process gives the client
a ``fast_clock``; a test of a command starts it with ``fast_command``, which runs this file:

    python fast_clock.py SPEED PACKAGE ARGUMENTS...
"""

from __future__ import annotations

import sys
import time
from importlib import import_module

from klaviyo_client.http.clock import Clock
from klaviyo_client.http.retries import RetryPolicy

# So fast that waiting costs nothing, for accounts without limits. No test may depend on when something is too late.
AT_ONCE = 10_000.0


def fast_clock(speed: float) -> Clock:
    """A clock on which so many seconds pass in one of ours."""
    began = time.monotonic()
    return Clock(
        lambda: began + (time.monotonic() - began) * speed,
        lambda seconds: time.sleep(seconds / speed),
    )


def fast_command(package: str, speed: float = AT_ONCE) -> list[str]:
    """The beginning of a command that runs ``python -m package`` with the client's clocks at this speed."""
    # -P: what lies beside this file must not be found in place of what the package imports.
    return [sys.executable, "-P", __file__, str(speed), package]


def speed_up_client(speed: float) -> None:
    """Let every clock that the client makes for itself from now on be a ``fast_clock``.

    How long a call goes on trying stays what it is in our seconds, or a slow machine would give up sooner.
    """
    clock, policy = fast_clock(speed), RetryPolicy()
    Clock.__init__.__defaults__ = (clock.monotonic, clock.sleep)  # type: ignore[misc]
    RetryPolicy.__init__.__defaults__ = (  # type: ignore[misc]
        *(policy.attempts, policy.timeout * speed, policy.max_wait, policy.first_wait, policy.growth, policy.jitter),
    )


def main() -> None:
    """Run a package's command as its users do, but for the clock."""
    _, speed, package, *arguments = sys.argv
    sys.argv = [package.replace("_", "-"), *arguments]
    speed_up_client(float(speed))
    import_module(f"{package}.__main__").main()


if __name__ == "__main__":
    main()
