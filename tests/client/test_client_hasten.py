"""The clock that tests give the client, and the launcher that gives it to a command."""

from __future__ import annotations

import subprocess
import sys
import time

from support.hasten import hastened, quick

HASTENED_CLIENT = """
import sys, time
sys.path.insert(0, {folder!r})
from support.hasten import hasten
hasten(100)
from klaviyo_client.client import KlaviyoClient
client = KlaviyoClient("pk_x", "http://127.0.0.1:9")
print(client.clock.monotonic is not time.monotonic, client.retry_policy.timeout)
"""


def test_a_quick_clock_goes_so_many_times_as_fast() -> None:
    """Between two looks at it lies that much more than between those at ours, and a wait is shorter on ours."""
    clock = quick(1000)
    before, began = time.monotonic(), clock.monotonic()
    inner = time.monotonic()
    clock.sleep(20)
    slept = time.monotonic()
    ended, after = clock.monotonic(), time.monotonic()
    assert slept - inner >= 0.02
    assert (slept - inner) * 1000 - 0.001 <= ended - began <= (after - before) * 1000 + 0.001


def test_a_hastened_client_goes_on_trying_as_long_as_ever() -> None:
    """Its clock is another one; how long a call may take stays ten minutes of ours, for a slow machine's sake."""
    folder = __file__.rpartition("/client/")[0]
    process = subprocess.run(
        [sys.executable, "-c", HASTENED_CLIENT.format(folder=folder)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert process.stdout.split() == ["True", "60000.0"]


def test_a_hastened_command_is_the_command() -> None:
    """It has the name, the options and the exit code that it has for its users."""
    process = subprocess.run(
        [*hastened("tap_klaviyo"), "--version"], capture_output=True, text=True, check=True, timeout=300
    )
    assert process.stdout.startswith("tap-klaviyo v")
