"""The reader of Singer messages: one line of the input each."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from itertools import chain
from typing import IO, Any

from singer_sdk.singerlib.encoding import GenericSingerReader, SingerMessageType

from klaviyo_client.errors import SettingsError
from target_klaviyo.delivery.graceful_stop import Stopped
from target_klaviyo.intake.lines import read_lines
from target_klaviyo.intake.records import is_object, parse_message
from target_klaviyo.model.records import UNREADABLE, RejectedRecord

logger = logging.getLogger("target-klaviyo")


class NotSinger(SettingsError):
    """The input is a file, or the output of a program, that has no Singer messages."""


class MessageReader(GenericSingerReader[str]):
    """Reads Singer messages; a line that is none is handed to ``reject`` and the rest goes on.

    Attributes:
        reject: takes such a line, and why it is none.
        idle: is called now and then while no line comes.
        around: the context in which all is read. When reading breaks off it closes the run in order.
        begin: is called once, before the first message is handed on, with that message (None when there is none), the
            input, and what reads another file before it.
        stopped: whether no more lines are to be read.
    """

    default_input = sys.stdin
    reject: Callable[[str | bytes, RejectedRecord], None]
    idle: Callable[[], None]
    around: Callable[[], AbstractContextManager[None]]
    begin: Callable[[Mapping[str, Any] | None, IO[Any], Callable[[IO[str]], None]], None]
    stopped = False

    def deserialize_json(self, line: str) -> dict[str, Any]:
        return parse_message(line, {*SingerMessageType, UNREADABLE})

    def process_lines(
        self, file_input: IO[str] | None, callbacks: dict[str, Callable[[dict[str, Any]], None]]
    ) -> Counter[str]:
        """Read all lines.

        Raises:
            NotSinger: the first line is no JSON at all; no later line would be.
        """
        stats: Counter[str] = Counter()
        source = file_input or sys.stdin
        types = frozenset((*callbacks, UNREADABLE))

        def read(lines: Iterable[str | bytes]) -> None:
            for line in lines:
                try:
                    message = parse_message(line, types)
                except RejectedRecord as rejection:
                    self.reject(line, rejection)
                    continue
                stats[message["type"]] += 1
                if callback := callbacks.get(message["type"]):
                    callback(message)

        with self.around():
            lines = self._lines(source)
            first = next(lines, None)
            message = None if first is None else _first_message(first, types)
            self.begin(message, source, lambda file: read(self._lines(file)))
            read(lines if first is None else chain((first,), lines))
        if stats[UNREADABLE]:
            logger.warning("%d lines that an earlier run could not read were skipped", stats[UNREADABLE])
        return stats

    def _lines(self, source: IO[str]) -> Iterator[str | bytes]:
        """The lines of a file that are not blank.

        Raises:
            Stopped: no more are to be read.
        """
        for line in read_lines(source, self.idle):
            if self.stopped:
                raise Stopped
            if line.strip():
                yield line


def _first_message(line: str | bytes, types: Collection[str]) -> dict[str, Any] | None:
    """The message of the first line; None where that line alone is none.

    Raises:
        NotSinger: it is no JSON at all.
    """
    try:
        return parse_message(line, types)
    except RejectedRecord as rejection:
        if is_object(line):
            return None
        raise _not_singer() from rejection


def _not_singer() -> NotSinger:
    return NotSinger(
        "the input is not Singer: its first line is not JSON. What comes in must be the messages of a Singer tap, each "
        "a JSON object on a line of its own, in UTF-8; a CSV file, a workbook, Parquet or a query is pushed by "
        "klaviyo-audience: klaviyo-audience people.csv --list NAME"
    )
