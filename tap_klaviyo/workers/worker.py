"""Worker process: reads pages from stdin or shared memory, writes lines to shared memory, to stdout, or into files.

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
from typing import IO, Any, cast

from klaviyo_client.api.pages import decompress
from klaviyo_client.plugin.tuning import PAGES, tune_gc
from klaviyo_client.privacy.uncaught import mask_process
from tap_klaviyo.files.open_files import FilesBroken, OpenFiles
from tap_klaviyo.files.rows import FileColumns, FileRows
from tap_klaviyo.model import SelectedTable
from tap_klaviyo.rows.lookup_protocol import WantedIds
from tap_klaviyo.rows.record_lines import Lines
from tap_klaviyo.tables import COLLECTIONS, GAP_TABLES, TABLES, property_columns
from tap_klaviyo.workers.protocol import (
    Failure,
    FinishedFiles,
    FinishFiles,
    Job,
    JobResult,
    LookupRequest,
    PicklableRowSpec,
    RowSpec,
    SeenValues,
    receive,
    send,
)
from tap_klaviyo.workers.shared_memory import SharedLines, Span
from tap_klaviyo.workers.tuning import keep_freed_memory


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
    files = None if spec.files is None else OpenFiles(spec.files.destination)
    maker = _Maker(spec, RemoteLookups(source, sink), shared_lines, files)
    try:
        while True:
            try:
                message: Job | FinishFiles = receive(source)
                send(sink, maker.make(message) if isinstance(message, Job) else maker.finish_files())
            except FilesBroken as error:
                send(sink, Failure(str(error)))
            except (EOFError, OSError):
                return  # the pool's process has ended
            except Exception as error:  # noqa: BLE001 - its text may quote a page
                frame = traceback.extract_tb(error.__traceback__)[-1]
                send(sink, Failure(f"{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}"))
                if files is None:
                    return  # else rows of other pages, in the files, are still whole
    finally:
        if files is not None:
            files.discard()


class _Maker:
    """Makes of pages what is written of their rows."""

    def __init__(
        self, spec: RowSpec, lookups: RemoteLookups, shared_lines: SharedLines | None, files: OpenFiles | None
    ) -> None:
        self._spec = spec
        self._lookups = lookups
        self._shared_lines = shared_lines
        self._files = files
        self._line_maker = spec.line_maker(spec.encoders(gaps_as_lines=True))

    def make(self, job: Job) -> JobResult:
        """Make lines of a page, or add its rows to files."""
        body, now = self._document(job), datetime.now(UTC)
        made, times, problems = self._line_maker.make_lines(body, job.slice, job.cut, self._lookups, now)
        counts = self._add_to_files(made)
        lines = {name: part for name, part in made.items() if isinstance(part, Lines)}
        self._lookups.send_seen()
        result = JobResult(tuple(times), problems, slot=job.slot, counts=counts)
        spans = None
        if self._shared_lines is not None and job.slot is not None:
            spans = self._shared_lines.write(job.slot, lines)
        return replace(result, lines=lines) if spans is None else replace(result, spans=spans)

    def _document(self, job: Job) -> bytes:
        if self._shared_lines is not None and isinstance(job.document, Span):
            return self._shared_lines.read_document(job.document)
        return decompress(cast("bytes", job.document))

    def finish_files(self) -> FinishedFiles:
        """Finish the files of what was made so far."""
        return FinishedFiles(self._files.finish() if self._files else ())

    def _add_to_files(self, made: Mapping[str, Any]) -> dict[str, int]:
        """Add to the files what goes there; how many rows of each table that were."""
        counts = {}
        for name, rows in made.items():
            if self._files is not None and self._spec.files is not None and isinstance(rows, FileRows | FileColumns):
                self._files.add(self._spec.files.shapes[name], rows)
                counts[name] = rows.count
        return counts


def _to_row_spec(spec: PicklableRowSpec) -> RowSpec:
    collection = COLLECTIONS[spec.collection]
    by_name = {table.name: table for table in (*TABLES, *GAP_TABLES) if table.collection == collection}
    tables = [
        SelectedTable(property_columns.with_roots(by_name[name], schema), schema, columns, since, version, parents)
        for name, schema, columns, since, version, parents in spec.tables
    ]
    return RowSpec(
        collection,
        tables,
        spec.account,
        spec.api_url,
        spec.exclude,
        spec.integration,
        spec.known,
        spec.files,
        spec.omit_nulls,
        spec.listed,
    )


if __name__ == "__main__":
    mask_process()
    tune_gc(PAGES)
    keep_freed_memory()
    # The pool decides when its workers end: a Ctrl-C is for the pool's process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    run(sys.stdin.buffer, sys.stdout.buffer, SharedLines.attach(int(sys.argv[1])) if sys.argv[1:] else None)
