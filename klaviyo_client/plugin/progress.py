"""How far a run is, said now and then: a bar on a terminal, a line in the log elsewhere."""

from __future__ import annotations

import logging
import shutil
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, TextIO

from klaviyo_client.http.rate_limits import Spent

_BAR = 20
_MINUTE = 60.0
_CLEAR = "\r\x1b[2K"


@dataclass(frozen=True)
class Status:
    """How far a run is, without personal data.

    Attributes:
        line: for the log.
        text: in a few words, for a terminal.
        part: how much of it is done, in [0, 1]; None when nobody knows.
    """

    line: str
    text: str
    part: float | None = None


class Display:
    """While it is entered, a thread says every so often how far a run is.

    A thread, so that taking in a record costs no look at the clock, and so that waiting for Klaviyo is seen too.

    Args:
        status: how far it is; None while there is nothing to say.
        logger: where lines go.
        seconds: how long it is silent.
        terminal: where a bar is drawn in place of lines, at least every ``REDRAW`` seconds; None for lines.
    """

    REDRAW: ClassVar[float] = 1.0

    def __init__(
        self,
        status: Callable[[], Status | None],
        logger: logging.Logger,
        *,
        seconds: float,
        terminal: TextIO | None = None,
    ) -> None:
        self._status = status
        self._logger = logger
        self._seconds = seconds if terminal is None else min(seconds, self.REDRAW)
        self._bar = None if terminal is None else Bar(terminal)
        self._thread: threading.Thread | None = None
        self._over = threading.Event()

    def say(self) -> None:
        """Say it now."""
        found = self._status()
        if found is None:
            return
        if self._bar is None:
            self._logger.info("%s", found.line)
        else:
            self._bar.draw(found)

    def __enter__(self) -> None:
        self._over.clear()
        if self._bar is not None:
            self._bar.attach()
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        if self._bar is not None:
            self._bar.detach()

    def _talk(self) -> None:
        while not self._over.wait(self._seconds):
            self.say()


class Bar(logging.Filter):
    """The last line of a terminal. What is logged meanwhile goes above it. Thread-safe."""

    def __init__(self, terminal: TextIO) -> None:
        super().__init__()
        self._terminal = terminal
        # Re-entrant: a signal may be told of while it is being drawn.
        self._lock = threading.RLock()
        self._is_drawn = False

    def draw(self, status: Status) -> None:
        """Draw it anew."""
        width = shutil.get_terminal_size().columns - 1
        with self._lock:
            self._terminal.write(_CLEAR + drawn(status)[:width])
            self._terminal.flush()
            self._is_drawn = True

    def erase(self) -> None:
        """Leave an empty line, until it is drawn again."""
        with self._lock:
            if self._is_drawn:
                self._terminal.write(_CLEAR)
                self._terminal.flush()
            self._is_drawn = False

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 - the library's signature
        """Make room for what is logged."""
        self.erase()
        return True

    def attach(self) -> None:
        """Give way to all that is logged from now on."""
        for handler in logging.getLogger().handlers:
            handler.addFilter(self)

    def detach(self) -> None:
        """Disappear."""
        self.erase()
        for handler in logging.getLogger().handlers:
            handler.removeFilter(self)


def drawn(status: Status) -> str:
    """The bar, where it is known how much is done, and the text."""
    if status.part is None:
        return status.text
    done = round(_BAR * status.part)
    return f"[{'#' * done}{'.' * (_BAR - done)}] {status.part:.0%} {status.text}"


def terminal() -> TextIO | None:
    """stderr, where it is a terminal that no messages go to; None where lines are to be logged."""
    return sys.stderr if sys.stderr.isatty() and not sys.stdout.isatty() else None


class LastMinute:
    """What the requests of the last minute used of Klaviyo's limits.

    Of a minute, for Klaviyo lets one burst: five seconds can hold what is allowed for twenty.

    Args:
        now: seconds on the clock.
        spent: the requests that were sent until now, by operation.
    """

    def __init__(self, now: float, spent: Mapping[str, Spent]) -> None:
        self._seen = deque([(now, spent)])

    def busiest(self, now: float, spent: Mapping[str, Spent]) -> tuple[str, float] | None:
        """The operation of which most of a minute's allowance was used, and how much, in [0, 1]; None when nothing was.

        Args:
            now: seconds on the clock.
            spent: the requests that were sent until now, by operation.
        """
        self._seen.append((now, spent))
        while len(self._seen) > 2 and self._seen[1][0] <= now - _MINUTE:
            self._seen.popleft()
        had = self._seen[0][1]
        shares = {
            name: min(1.0, (found.requests - (had[name].requests if name in had else 0)) / found.per_minute)
            for name, found in spent.items()
        }
        name = max(shares, key=lambda name: shares[name], default=None)
        return None if name is None or not shares[name] else (name, shares[name])
