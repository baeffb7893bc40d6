"""Klaviyo's clock, as the dates of its answers show it, beside ours."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta

from klaviyo_client.api.protocol import http_date

logger = logging.getLogger("klaviyo_client")

_TOLERANCE = timedelta(seconds=5)
# A date has whole seconds, so it may be almost one too early.
_RESOLUTION = timedelta(seconds=1)
_NONE = timedelta()


class ServerClock:
    """Compares Klaviyo's clock with ours, and warns once when they disagree. Safe to share between threads.

    Attributes:
        skew: how much Klaviyo's clock is ahead of ours, by the latest answer; nothing as long as they agree.
        is_known: whether an answer has shown it.
    """

    def __init__(self) -> None:
        self.is_known = False
        self.skew = _NONE
        self._lock = threading.Lock()
        self._has_warned = False

    def compare(self, headers: Mapping[str, str], sent: datetime, received: datetime) -> None:
        """Look at the date of an answer. It was written between these times of ours."""
        date = http_date(headers.get("date", ""))
        if date is None or "age" in headers:  # the date of an answer out of a cache is that of its making
            return
        if date > received + _TOLERANCE:
            self.skew = date - received
        elif date + _RESOLUTION < sent - _TOLERANCE:
            self.skew = date + _RESOLUTION - sent
        else:
            self.skew = _NONE
            self.is_known = True
            return
        self.is_known = True
        with self._lock:
            is_first, self._has_warned = not self._has_warned, True
        if is_first:
            side = "behind" if self.skew > _NONE else "ahead of"
            seconds = abs(self.skew).total_seconds()
            logger.warning(
                "the clock of this machine is %.0f s %s Klaviyo's; the earlier of both counts as now",
                seconds,
                side,
            )

    def earlier(self, moment: datetime) -> datetime:
        """A moment of our clock, or the earlier one that Klaviyo's clock showed then, as far as is known yet."""
        return moment + min(self.skew, _NONE)
