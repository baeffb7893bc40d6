"""The far side of a lane: ``python -m tap_klaviyo.workers.worker``, started by ``lanes.py`` and by nobody else."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from klaviyo_client.api.pages import decode_in_chunks, decode_page, decompress
from klaviyo_client.plugin.tuning import PAGES, tune_gc
from tap_klaviyo.model import SelectedTable
from tap_klaviyo.rows import schema_files
from tap_klaviyo.rows.chunks import PIECE, shape_in_pieces
from tap_klaviyo.rows.lookup_protocol import Lookups
from tap_klaviyo.rows.page_rows import Shaper
from tap_klaviyo.rows.record_lines import Lines
from tap_klaviyo.tables import COLLECTIONS, TABLES
from tap_klaviyo.workers.protocol import ByNames, Failure, Job, Made, Order, Question, receive, send
from tap_klaviyo.workers.shared_memory import Board


def _found(names: ByNames) -> Order:
    collection = COLLECTIONS[names.collection]
    by_name = {table.name: table for table in TABLES if table.collection == collection}
    tables = [
        SelectedTable(by_name[name], schema_files.load(name), columns, since, version)
        for name, columns, since, version in names.tables
    ]
    return Order(collection, tables, names.account, names.api_url, names.without, names.integration)


def _shaped(shaper: Shaper, job: Job, api_url: str, knowledge: Lookups) -> tuple[dict[str, Lines], list[str | None]]:
    body, now = decompress(job.compressed), datetime.now(UTC)
    try:
        return shape_in_pieces(shaper, decode_in_chunks(body, PIECE), job.slice, job.cut, knowledge, now)
    except ValueError:
        # Unusual: the patient decoder tells. What was counted until then is counted again.
        shaper.faults()
        return shape_in_pieces(shaper, [decode_page(body, api_url)], job.slice, job.cut, knowledge, now)


class Remote:
    """``rows.lookup_protocol.Lookups`` on the far side: asks the near one."""

    def __init__(self, source: IO[bytes], sink: IO[bytes]) -> None:
        self._source = source
        self._sink = sink
        self._seen: dict[str, dict[str, Any]] = {}

    def add(self, lookup: str, values: Mapping[str, Any]) -> None:
        self._seen.setdefault(lookup, {}).update(values)

    def get(self, lookup: str, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        send(self._sink, Question(self.told(), lookup, wanted))
        values: Mapping[str, Any] = receive(self._source)
        return values

    def told(self) -> Mapping[str, Mapping[str, Any]]:
        """What was seen and not told yet."""
        seen, self._seen = self._seen, {}
        return seen


def work(source: IO[bytes], sink: IO[bytes], board: Board | None) -> None:
    """Shape what comes until nothing more does; what goes wrong is told in one line, without any value."""
    order = _found(receive(source))
    shaper, knowledge = order.shaper(), Remote(source, sink)
    while True:
        try:
            job: Job = receive(source)
            lines, times = _shaped(shaper, job, order.api_url, knowledge)
            send(sink, Question(knowledge.told()))
            made = Made(tuple(times), shaper.faults(), slot=job.slot)
            placed = board.put(job.slot, lines) if board is not None and job.slot is not None else None
            send(sink, replace(made, lines=lines) if placed is None else replace(made, placed=placed))
        except (EOFError, OSError):
            return  # whoever started it has ended
        except Exception as error:  # noqa: BLE001 - its text may quote a page
            frame = traceback.extract_tb(error.__traceback__)[-1]
            send(sink, Failure(f"{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}"))
            return


if __name__ == "__main__":
    tune_gc(PAGES)
    # Whoever started it decides when it ends: a Ctrl-C is theirs.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    work(sys.stdin.buffer, sys.stdout.buffer, Board.opened(int(sys.argv[1])) if sys.argv[1:] else None)
