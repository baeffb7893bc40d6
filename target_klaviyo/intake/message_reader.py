"""Singer messages as they come in, one line each."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import IO, Any

from singer_sdk.singerlib.encoding import GenericSingerReader, SingerMessageType

from target_klaviyo.delivery.graceful_stop import Stopped
from target_klaviyo.intake.lines import lines
from target_klaviyo.intake.records import message
from target_klaviyo.model.records import UNREADABLE, RejectedRecord

logger = logging.getLogger("target-klaviyo")


class LineReader(GenericSingerReader[str]):
    """Reads Singer messages; a line that is none is handed to ``reject`` and the rest goes on.

    Attributes:
        reject: told of such a line, and why it is none.
        idle: called now and then while no line comes.
        landing: what reading is done inside of: it sees to what is under way when reading breaks off.
        stopped: whether no more lines are wanted.
    """

    default_input = sys.stdin
    reject: Callable[[str | bytes, RejectedRecord], None]
    idle: Callable[[], None]
    landing: Callable[[], AbstractContextManager[None]]
    stopped = False

    def deserialize_json(self, line: str) -> dict[str, Any]:
        return message(line, {*SingerMessageType, UNREADABLE})

    def process_lines(
        self, file_input: IO[str] | None, callbacks: dict[str, Callable[[dict[str, Any]], None]]
    ) -> Counter[str]:
        stats: Counter[str] = Counter()
        types = frozenset((*callbacks, UNREADABLE))
        with self.landing():
            for line in lines(file_input or sys.stdin, self.idle):
                if self.stopped:
                    raise Stopped
                if not line.strip():
                    continue
                try:
                    found = message(line, types)
                except RejectedRecord as unfit:
                    self.reject(line, unfit)
                    continue
                stats[found["type"]] += 1
                if callback := callbacks.get(found["type"]):
                    callback(found)
        if stats[UNREADABLE]:
            logger.warning("%d lines that an earlier run could not read were skipped", stats[UNREADABLE])
        return stats
