"""The writer of STATE messages: it writes the latest one before which every record has its outcome."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from target_klaviyo.audience.mirrors import Mirrors
from target_klaviyo.delivery.ledger import Ledger

logger = logging.getLogger("target-klaviyo")


class StateWriter:
    """Writes each STATE when it has become true, and none twice.

    Args:
        ledger: which records have their outcome.
        mirrors: gives the mirrors, which may hold a STATE back.
        write: writes a STATE.
    """

    def __init__(
        self, ledger: Ledger, mirrors: Callable[[], Mirrors], write: Callable[[Mapping[str, Any]], None]
    ) -> None:
        self._ledger = ledger
        self._mirrors = mirrors
        self._write = write
        self._last_state: Mapping[str, Any] | None = None
        self._held: Mapping[str, Any] | None = None

    def write_due(self) -> None:
        """Write the latest STATE before which every record has its outcome, where there is a new one."""
        state, held = self._ledger.take_due_state(), self._ledger.held_state
        if state is not None:
            self._write_once(state)
        if held is not self._held:
            self._held = held
            self._write_held()

    def finish(self) -> None:
        """Write what may be written in the end of the STATE that mirrors hold back, and warn where that is not all."""
        state = self._write_held()
        if self._held is not None and state != self._held:
            written = "no STATE" if state is None else "STATE without the bookmark of the mirrored stream"
            reason = self._mirrors().why_held_back
            logger.warning("wrote %s, so that the next run gets the whole audience again: %s", written, reason)

    def _write_held(self) -> Mapping[str, Any] | None:
        """Write what may be written of the STATE that mirrors hold back; the result is that."""
        if self._held is None:
            return None
        state = self._mirrors().releasable(self._held)
        if state is not None:
            self._write_once(state)
        return state

    def _write_once(self, state: Mapping[str, Any]) -> None:
        if state != self._last_state:
            self._write(state)
            self._last_state = state
