"""Shows every few seconds how far a run is: as a bar on a terminal, elsewhere as a line in the log."""

from __future__ import annotations

import logging
import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import ClassVar, TextIO

_BAR = 20
_CLEAR = "\r\x1b[2K"


@dataclass(frozen=True)
class Status:
    """How far a run is, without personal data.

    Attributes:
        line: the text for the log.
        text: a short text for a terminal.
        fraction: how much of it is done, in [0, 1]; None when that is unknown.
    """

    line: str
    text: str
    fraction: float | None = None


class ProgressDisplay:
    """A context manager, in which a thread shows every ``interval`` seconds how far a run is.

    It is a thread, so that a record costs no look at the clock, and so that waiting for Klaviyo is seen too.

    Args:
        status: gives the run's status; None while there is nothing to show.
        logger: where lines go.
        interval: seconds between two of them.
        terminal: where a bar is drawn in place of lines, at least every ``REDRAW`` seconds; None for lines.
    """

    REDRAW: ClassVar[float] = 1.0

    def __init__(
        self,
        status: Callable[[], Status | None],
        logger: logging.Logger,
        *,
        interval: float,
        terminal: TextIO | None = None,
    ) -> None:
        self._status = status
        self._logger = logger
        self._interval = interval if terminal is None else min(interval, self.REDRAW)
        self._bar = None if terminal is None else Bar(terminal)
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    def show(self) -> None:
        """Show the status now."""
        status = self._status()
        if status is None:
            return
        if self._bar is None:
            self._logger.info("%s", status.line)
        else:
            self._bar.draw(status)

    def __enter__(self) -> None:
        self._stopped.clear()
        if self._bar is not None:
            self._bar.attach()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        if self._bar is not None:
            self._bar.detach()

    def _run(self) -> None:
        while not self._stopped.wait(self._interval):
            self.show()


class Bar:
    """A progress bar in the last line of a terminal. Log lines are written above it. Thread-safe."""

    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal
        self._emits: dict[logging.Handler, Callable[[logging.LogRecord], None]] = {}
        # Re-entrant: a signal may be logged while the bar is being drawn.
        self._lock = threading.RLock()
        self._is_drawn = False

    def draw(self, status: Status) -> None:
        """Draw the bar with this status, in place of the earlier one."""
        width = shutil.get_terminal_size().columns - 1
        with self._lock:
            self._terminal.write(_CLEAR + render_bar(status)[:width])
            self._terminal.flush()
            self._is_drawn = True

    def erase(self) -> None:
        """Leave an empty line, until the bar is drawn again."""
        with self._lock:
            if self._is_drawn:
                self._terminal.write(_CLEAR)
                self._terminal.flush()
            self._is_drawn = False

    def attach(self) -> None:
        """Make room for every log line from now on."""
        for handler in logging.getLogger().handlers:
            self._emits[handler] = handler.emit
            handler.emit = partial(self._emit_above, handler.emit)  # type: ignore[method-assign]

    def detach(self) -> None:
        """Erase the bar, and leave the log handlers as they were."""
        self.erase()
        for handler, emit in self._emits.items():
            handler.emit = emit  # type: ignore[assignment, method-assign]
        self._emits.clear()

    def _emit_above(self, emit: Callable[[logging.LogRecord], None], record: logging.LogRecord) -> None:
        """Write a log line in the bar's place; until it is whole, no thread may draw the bar again."""
        with self._lock:
            self.erase()
            emit(record)


def render_bar(status: Status) -> str:
    """The text of the bar: how much is done, where that is known, and the status."""
    if status.fraction is None:
        return status.text
    done = round(_BAR * status.fraction)
    return f"[{'#' * done}{'.' * (_BAR - done)}] {status.fraction:.0%} {status.text}"


def terminal() -> TextIO | None:
    """stderr, where it is a terminal and Singer messages go elsewhere; None where lines are to be logged."""
    return sys.stderr if sys.stderr.isatty() and not sys.stdout.isatty() else None
