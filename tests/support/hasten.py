"""A client whose waits are short: its seconds are on one scale, as those of a sandbox with a ``speed`` are.

Of the product nobody can ask for this, for Klaviyo's own limits are in real seconds. A test in the same process gives
the client ``quick``; one of a command starts it through ``hastened``, that is by this file:

    python hasten.py SPEED PACKAGE ARGUMENTS...
"""

from __future__ import annotations

import sys
import time
from importlib import import_module

from klaviyo_client.http.clock import Clock
from klaviyo_client.http.retries import RetryPolicy

# So fast that waiting costs nothing, for accounts without limits. Nothing may hang on when a thing is too late.
AT_ONCE = 10_000.0


def quick(speed: float) -> Clock:
    """A clock on which so many seconds pass in one of ours."""
    began = time.monotonic()
    return Clock(
        lambda: began + (time.monotonic() - began) * speed,
        lambda seconds: time.sleep(seconds / speed),
    )


def hastened(package: str, speed: float = AT_ONCE) -> list[str]:
    """The beginning of a command that runs ``python -m package`` with the client's clocks at this speed."""
    # -P: what lies beside this file must not be found in place of what the package imports.
    return [sys.executable, "-P", __file__, str(speed), package]


def hasten(speed: float) -> None:
    """Let every clock that the client makes for itself from now on be ``quick``.

    How long a call goes on trying stays what it is in our seconds, or a slow machine would give up sooner.
    """
    clock, policy = quick(speed), RetryPolicy()
    Clock.__init__.__defaults__ = (clock.monotonic, clock.sleep)  # type: ignore[misc]
    RetryPolicy.__init__.__defaults__ = (  # type: ignore[misc]
        *(policy.attempts, policy.timeout * speed, policy.max_wait, policy.first_wait, policy.growth, policy.jitter),
    )


def main() -> None:
    """Run a package's command as its users do, but for the clock."""
    _, speed, package, *arguments = sys.argv
    sys.argv = [package.replace("_", "-"), *arguments]
    hasten(float(speed))
    import_module(f"{package}.__main__").main()


if __name__ == "__main__":
    main()
