"""What became of every record: counts, the rejects file, the last lines of the log. Thread-safe."""

from __future__ import annotations

import copy
import json
import logging
import os
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

from klaviyo_client.errors import Incomplete, SettingsError
from klaviyo_client.http.usage import Usage
from klaviyo_client.privacy import private_files
from target_klaviyo.model.amounts import Limit
from target_klaviyo.model.records import UNREADABLE, Outcome, OutcomeKind, SourceRecord
from target_klaviyo.reporting.run_report import Ending, Summary

logger = logging.getLogger("target-klaviyo")


class TooManyRejects(Incomplete):
    """More records were rejected than the settings allow."""


def parse_max_rejects(max_rejects: str | int | None, on_reject: str = "skip") -> Limit:
    """How many records may be rejected before the run fails: a count such as ``100``, or a percentage such as ``5%``.

    A percentage is of all records, and is judged when input has ended.

    Raises:
        SettingsError: it is neither.
    """
    if on_reject == "fail":
        return Limit(count=0)
    if max_rejects is None:
        return Limit()
    try:
        return Limit.parse(str(max_rejects))
    except ValueError as error:
        wanted = "a number of records such as 100, or a percentage such as 5%"
        raise SettingsError(f"max_rejects must be {wanted}") from error


class Report:
    """One run's outcomes.

    Args:
        tolerance: how many rejected records the run bears.
        path: where rejected records go. The file is made with the first of them, readable by its owner only. One that
            is there belongs to another run, and somebody may be replaying it: it stays as it is, and this run's gets
            a name of its own beside it.
        summary: the run as a document, where one is asked for.

    Attributes:
        records: how many came so far.

    Raises:
        SettingsError: the document would overwrite the rejected records.
    """

    def __init__(self, path: Path, tolerance: Limit | None = None, summary: Summary | None = None) -> None:
        self.records = 0
        self._path = path
        self._summary = summary
        if summary is not None and path.resolve() in (summary.path.resolve(), summary.page.resolve()):
            raise SettingsError("report_path and rejects_path must not name the same file")
        self._closed = False
        self._tolerance = tolerance or Limit()
        self._total = self._rejected = 0
        self._file: TextIO | None = None
        self._lock = threading.RLock()
        self._counts: dict[tuple[str, str], Counter[OutcomeKind]] = {}
        self._schemas: dict[str, Mapping[str, Any]] = {}
        self._written: dict[str, Mapping[str, Any]] = {}
        self._said: set[tuple[str, str | None]] = set()

    def schema(self, message: Mapping[str, Any]) -> None:
        """Remember a stream's SCHEMA message: its rejected records can only be replayed after it."""
        with self._lock:
            self._schemas[message["stream"]] = copy.deepcopy(message)  # the SDK edits it

    def add(self, origin: SourceRecord, action: str, outcome: Outcome) -> None:
        """Count a record's outcome; a rejected record goes to the file."""
        with self._lock:
            if outcome.kind is OutcomeKind.REJECTED:
                self._write_schema(origin.stream)
                self._write(
                    {
                        "type": "RECORD",
                        "stream": origin.stream,
                        "record": origin.record,
                        "action": action or None,
                        **_why(outcome),
                    }
                )
            self._count(origin.stream, action, outcome, origin.record)

    def add_line(self, line: str, outcome: Outcome) -> None:
        """Count a line that is no Singer message; it goes to the file in a form that a replay skips."""
        with self._lock:
            self._write({"type": UNREADABLE, "line": line, **_why(outcome)})
            self._count("unreadable lines", "", outcome, line)

    def section(
        self,
        title: str,
        *,
        notes: Iterable[str] = (),
        columns: Iterable[str] = (),
        rows: Iterable[Iterable[Any]] = (),
    ) -> None:
        """Add a part to the run's document, and to its page: notes, then a table. Plain data only."""
        with self._lock:
            if self._summary is not None:
                self._summary.section(title, notes, columns, rows)

    @property
    def counted(self) -> str:
        """What became of all records so far, in words."""
        with self._lock:
            return _counted(self._total_counts())

    def secure(self) -> None:
        """Make sure that what was rejected so far survives a crash: a STATE is about to vouch for it."""
        with self._lock:
            if self._file is not None:
                self._file.flush()
                if not private_files.is_device(self._path):
                    os.fsync(self._file.fileno())

    def close(
        self, ending: Ending | None = None, *, not_sent: int = 0, usage: Mapping[str, Usage] | None = None
    ) -> None:
        """Write the run's document, then log the counts per stream and the total. Once: a second call does nothing.

        Args:
            ending: how the run ended.
            not_sent: records that have no outcome.
            usage: the requests that were sent, by operation.

        Raises:
            Incomplete: the run was done, but its document cannot be written.
        """
        ending = ending or Ending()
        self.secure()
        with self._lock:
            if self._closed:
                return
            self._closed = True
            document, fault = self._document(ending, not_sent, usage or {})
            for (stream, action), counts in self._counts.items():
                logger.info("%s%s: %s", stream, f" ({action})" if action else "", _counted(counts))
            total = self._total_counts()
            rejected = total[OutcomeKind.REJECTED]
            where = f" (see {self._path})" if rejected else ""
            level = logging.WARNING if rejected else logging.INFO
            logger.log(level, "done: %s%s%s", _counted(total), where, f"; report: {document}" if document else "")
            if self._file is not None:
                self._file.close()
                self._file = None
        if fault is not None and ending.how == "done":
            raise Incomplete(fault)

    def check(self, *, ended: bool = False) -> None:
        """Fail when too many records were rejected.

        Raises:
            TooManyRejects: they were.
        """
        if self._rejected and not self._tolerance.allows(self._rejected, self._total if ended else None):
            raise TooManyRejects(
                f"{self._rejected:,} of {self._total:,} records were rejected, more than on_reject and max_rejects "
                f"allow; they are in {self._path}"
            )

    def _document(self, ending: Ending, not_sent: int, usage: Mapping[str, Usage]) -> tuple[Path | None, str | None]:
        """Where the run's document is now, or why it is not."""
        if self._summary is None:
            return None, None
        try:
            self._summary.write(
                self._summary.document(ending, self._counts, records=self.records, not_sent=not_sent, usage=usage)
            )
        except OSError as error:
            fault = f"the run's report cannot be written: {error}"
            logger.error("%s", fault)  # noqa: TRY400 - the traceback tells users nothing
            return None, fault
        return self._summary.path, None

    def _total_counts(self) -> Counter[OutcomeKind]:
        return sum(self._counts.values(), Counter[OutcomeKind]())

    def _count(self, stream: str, action: str, outcome: Outcome, record: Any) -> None:
        self._total += 1
        self._rejected += outcome.kind is OutcomeKind.REJECTED
        self._counts.setdefault((stream, action), Counter())[outcome.kind] += 1
        if self._summary is not None:
            self._summary.add(stream, action, outcome, record)
        if outcome.code is None or (stream, outcome.code) in self._said:
            return
        self._said.add((stream, outcome.code))
        if outcome.kind is OutcomeKind.REJECTED:
            logger.warning(
                "%s: rejected (%s): %s. It is in %s; others like it are only counted.",
                stream,
                outcome.code,
                (outcome.reason or "no reason given").rstrip("."),
                self._path,
            )
        else:
            logger.warning("%s: %s (%s): %s", stream, outcome.kind, outcome.code, outcome.reason)

    def _write_schema(self, stream: str) -> None:
        message = self._schemas.get(stream)
        if message is not None and self._written.get(stream) != message:
            self._written[stream] = message
            self._write(message)

    def _write(self, document: Mapping[str, Any]) -> None:
        if self._file is None:
            self._file = self._open()
        self._file.write(json.dumps(document, default=str) + "\n")

    def _open(self) -> TextIO:
        try:
            place, file = private_files.create_private(self._path)
        except OSError as error:
            raise SettingsError(f"rejects_path cannot be written: {self._path}: {error.strerror}") from error
        if place != self._path:
            logger.info("%s is another run's and stays; this run's rejected records go to %s", self._path, place)
        self._path = place
        return file


def _why(outcome: Outcome) -> dict[str, Any]:
    return {
        "status": outcome.status,
        "code": outcome.code,
        "pointer": outcome.pointer,
        "reason": outcome.reason,
    }


def _counted(counts: Counter[OutcomeKind]) -> str:
    shown = [kind for kind in OutcomeKind if counts[kind] or kind is not OutcomeKind.LEFT_OUT]
    return ", ".join(f"{counts[kind]} {kind}" for kind in shown)
