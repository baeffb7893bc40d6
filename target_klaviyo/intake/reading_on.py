"""Reading on after a failure: the rest of the input is read and left, so that who writes it can come to an end.

Meltano takes a pipe that breaks for a failure of its own, and its traceback buries the reason that the target gave.
"""

from __future__ import annotations

import io
import os
import signal
import stat
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import IO, Any

from klaviyo_client.http.clock import Clock

# A tap that has more to say than this is not waited for.
SECONDS = 20.0
MAX_BYTES = 1 << 28
_BLOCK_BYTES = 1 << 18
# How soon the end of the input is noticed.
_CHECK_SECONDS = 0.05


def read_rest(source: IO[Any], code: int) -> None:
    """Read a pipe to its end, within bounds; what is no pipe is left as it is.

    Args:
        source: the input of the run that failed; a thread of that run may still be reading it.
        code: the exit code of the failure, with which a signal ends the process meanwhile.

    Raises:
        SystemExit: a signal came.
    """
    try:
        descriptor = source.fileno()
        mode = os.fstat(descriptor).st_mode
    except (OSError, ValueError, io.UnsupportedOperation):
        return
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: sys.exit(code))
    read_on(partial(os.read, descriptor))


def read_on(read: Callable[[int], bytes], clock: Clock | None = None) -> None:
    """Read until the input ends or breaks, for at most ``SECONDS`` and ``MAX_BYTES``.

    Args:
        read: gives at most so many bytes of the input, and none at its end.
        clock: measures the time.
    """
    clock = clock or Clock()
    deadline = clock.monotonic() + SECONDS
    ended = threading.Event()

    def drain() -> None:
        left = MAX_BYTES
        try:
            while left and (block := read(min(left, _BLOCK_BYTES))):
                left -= len(block)
        except OSError:
            pass
        finally:
            ended.set()

    # A daemon: a read that never returns must not keep the process alive.
    threading.Thread(target=drain, daemon=True).start()
    while clock.monotonic() < deadline and not ended.wait(_CHECK_SECONDS):
        pass
