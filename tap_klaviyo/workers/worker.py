"""Worker process: reads compressed pages from stdin, writes their lines to shared memory or to stdout.

``pool.py`` starts it as ``python -m tap_klaviyo.workers.worker``, with the descriptor of the shared memory if there is
one. Nobody else does.
"""

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
from klaviyo_client.privacy.uncaught import mask_process
from tap_klaviyo.model import SelectedTable
from tap_klaviyo.rows import schema_files
from tap_klaviyo.rows.chunks import CHUNK_ROWS, make_lines_in_chunks
from tap_klaviyo.rows.lookup_protocol import Lookups, WantedIds
from tap_klaviyo.rows.page_rows import RowMaker
from tap_klaviyo.rows.record_lines import Lines
from tap_klaviyo.tables import COLLECTIONS, GAP_TABLES, TABLES
from tap_klaviyo.workers.protocol import (
    Failure,
    Job,
    JobResult,
    LookupRequest,
    PicklableRowSpec,
    RowSpec,
    SeenValues,
    receive,
    send,
)
from tap_klaviyo.workers.shared_memory import SharedLines


class RemoteLookups:
    """``rows.lookup_protocol.Lookups`` in a worker: sends what it sees to the pool, and asks the pool for the rest."""

    def __init__(self, source: IO[bytes], sink: IO[bytes]) -> None:
        self._source = source
        self._sink = sink
        self._seen: dict[str, dict[str, Any]] = {}

    def add(self, lookup: str, values: Mapping[str, Any]) -> None:
        self._seen.setdefault(lookup, {}).update(values)

    def get(self, lookup: str, wanted: WantedIds) -> Mapping[str, Any]:
        self.send_seen()
        send(self._sink, LookupRequest(lookup, wanted))
        values: Mapping[str, Any] = receive(self._source)
        return values

    def send_seen(self) -> None:
        """Send what was added since the last call, also when it is nothing."""
        seen, self._seen = self._seen, {}
        send(self._sink, SeenValues(seen))


def run(source: IO[bytes], sink: IO[bytes], shared_lines: SharedLines | None) -> None:
    """Make lines of the pages that come, until none comes. An error is told in one line, without any value."""
    spec = _to_row_spec(receive(source))
    row_maker, lookups = spec.row_maker(), RemoteLookups(source, sink)
    while True:
        try:
            job: Job = receive(source)
            lines, times = _make_lines(row_maker, job, spec.api_url, lookups)
            lookups.send_seen()
            result = JobResult(tuple(times), row_maker.take_problems(), slot=job.slot)
            spans = None if shared_lines is None or job.slot is None else shared_lines.write(job.slot, lines)
            send(sink, replace(result, lines=lines) if spans is None else replace(result, spans=spans))
        except (EOFError, OSError):
            return  # the pool's process has ended
        except Exception as error:  # noqa: BLE001 - its text may quote a page
            frame = traceback.extract_tb(error.__traceback__)[-1]
            send(sink, Failure(f"{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}"))
            return


def _to_row_spec(spec: PicklableRowSpec) -> RowSpec:
    collection = COLLECTIONS[spec.collection]
    by_name = {table.name: table for table in (*TABLES, *GAP_TABLES) if table.collection == collection}
    tables = [
        SelectedTable(by_name[name], schema_files.load(name), columns, since, version)
        for name, columns, since, version in spec.tables
    ]
    return RowSpec(
        collection, tables, spec.account, spec.api_url, spec.exclude, spec.integration, spec.known, spec.listed
    )


def _make_lines(
    row_maker: RowMaker, job: Job, api_url: str, lookups: Lookups
) -> tuple[dict[str, Lines], list[str | None]]:
    body, now = decompress(job.compressed), datetime.now(UTC)
    try:
        return make_lines_in_chunks(row_maker, decode_in_chunks(body, CHUNK_ROWS), job.slice, job.cut, lookups, now)
    except ValueError:
        # Unusual: the slower decoder says what is wrong, if anything is. It counts all problems again.
        row_maker.take_problems()
        return make_lines_in_chunks(row_maker, [decode_page(body, api_url)], job.slice, job.cut, lookups, now)


if __name__ == "__main__":
    mask_process()
    tune_gc(PAGES)
    # The pool decides when its workers end: a Ctrl-C is for the pool's process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    run(sys.stdin.buffer, sys.stdout.buffer, SharedLines.attach(int(sys.argv[1])) if sys.argv[1:] else None)
