"""The end of a run that fails or is stopped: what is in flight gets its outcome, then the last STATE is written."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from target_klaviyo.delivery.graceful_stop import GracefulStop, Stopped
from target_klaviyo.intake.message_reader import MessageReader
from target_klaviyo.intake.run import RunTarget
from target_klaviyo.reporting.progress import Progress
from target_klaviyo.reporting.run_report import RunEnd

logger = logging.getLogger("target-klaviyo")


class Closing:
    """Ends a run in order when it fails or is stopped.

    Args:
        run: the run.
        reader: reads its input.
        stop: bounds what is in flight when a signal came.
        progress: the display that is shown while the run goes on.
    """

    def __init__(self, run: RunTarget, reader: MessageReader, stop: GracefulStop, progress: Progress) -> None:
        self._run = run
        self._reader = reader
        self._stop = stop
        self._progress = progress
        self._signal = 0
        self._is_asked_twice = False

    @contextmanager
    def around(self) -> Iterator[None]:
        """The context of everything that may fail or be stopped.

        Raises:
            SystemExit: a signal came; the code is 128 and its number.
            BaseException: whatever was raised inside.
        """
        try:
            with self._progress:
                yield
        except Stopped as stopped:
            self._close(RunEnd.from_error(stopped, self._signal))
            sys.exit(128 + self._signal)
        except BaseException as error:
            if not self._is_asked_twice:
                self._close(RunEnd.from_error(error, self._signal))
            raise

    def handle_signal(self, signum: int) -> None:
        """Begin to stop, from inside a signal's handler. A second signal ends the process at once.

        Raises:
            SystemExit: the signal is the second.
        """
        self._is_asked_twice = bool(self._signal)
        if self._is_asked_twice:
            sys.exit(128 + signum)
        self._signal = signum
        self._stop.request()
        logger.warning("stopped by signal %d; waiting for the requests that are under way", signum)
        self._reader.stopped = True
        self._run.dispatcher.stop()

    def _close(self, end: RunEnd) -> None:
        """Send nothing more; wait for what is in flight, and write the STATE that can be written then."""
        try:
            self._run.dispatcher.drain(self._run.states.write_due)
            self._run.states.write_due()
            self._run.states.finish()
            self._run.close_fingerprints()
        finally:
            if not self._is_asked_twice:
                self._close_results(end)

    def _close_results(self, end: RunEnd) -> None:
        pending = self._run.ledger.pending
        if pending and not self._run.is_rehearsal:
            because = f"{end.reason}: " if end.reason else ""
            were, them = ("record was", "it") if pending == 1 else ("records were", "them")
            logger.warning(
                "%s%s %s not sent; the next run sends %s (no STATE was written past %s)",
                because,
                f"{pending:,}",
                were,
                them,
                them,
            )
        self._run.results.close(end, not_sent=pending, usage=self._run.session.client.usage())
