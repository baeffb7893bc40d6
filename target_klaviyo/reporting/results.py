"""The results of a run: the outcome of every record, counted, in the log and on file. Thread-safe."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from klaviyo_client.errors import Incomplete, SettingsError
from klaviyo_client.http.usage import Usage
from target_klaviyo.model.amounts import Limit
from target_klaviyo.model.records import NOTHING_TO_DO, UNCHANGED, Outcome, OutcomeKind, SourceRecord
from target_klaviyo.reporting.left_out import LeftOutValues
from target_klaviyo.reporting.outcomes_file import OutcomesFile
from target_klaviyo.reporting.rejects_file import RejectsFile
from target_klaviyo.reporting.run_report import RunEnd, RunReport, Section

logger = logging.getLogger("target-klaviyo")

# What stands for the stream where a line is no Singer message.
UNREADABLE_LINES = "unreadable lines"


class TooManyRejects(Incomplete):
    """More records were rejected than the settings allow."""


class NothingDelivered(Incomplete):
    """Of what came nothing was delivered, and something was rejected."""


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


class RunResults:
    """The outcomes of one run's records: counted, logged, and put on file.

    Args:
        rejects: where rejected records go.
        limit: how many rejected records the run bears.
        report: the run report, where one is asked for.
        outcomes: the file of outcomes, where one is asked for.

    Attributes:
        records: how many records came so far.
        facts: gives what the report says of the run beside its records: the account and the lists.
        resend_command: the command that sends a rejects file again, None when nobody knows it.

    Raises:
        SettingsError: one of the files would overwrite another.
    """

    def __init__(
        self,
        rejects: RejectsFile,
        limit: Limit | None = None,
        report: RunReport | None = None,
        outcomes: OutcomesFile | None = None,
    ) -> None:
        self.records = 0
        self.facts: Callable[[], Mapping[str, Any]] = lambda: {"account": None, "lists": []}
        self.resend_command: Callable[[Path], str | None] = lambda _: None
        self._rejects = rejects
        self._report = report
        if report is not None and rejects.path.resolve() in (report.path.resolve(), report.page_path.resolve()):
            raise SettingsError("report_path and rejects_path must not name the same file")
        self._outcomes = outcomes
        reports = () if report is None else (report.path.resolve(), report.page_path.resolve())
        if outcomes is not None and outcomes.path.resolve() in (rejects.path.resolve(), *reports):
            raise SettingsError("outcomes_path must not name the file of another setting")
        self._closed = False
        self._limit = limit or Limit()
        self._total = self._rejected = 0
        self._nothing_to_do = 0
        self._unchanged: Counter[tuple[str, str]] = Counter()
        self._lock = threading.RLock()
        self._counts: dict[tuple[str, str], Counter[OutcomeKind]] = {}
        self._sections: list[Section] = []
        self._left_out = LeftOutValues()
        self._warned: set[tuple[str, str | None]] = set()

    def remember_schema(self, message: Mapping[str, Any]) -> None:
        """Keep a stream's SCHEMA message for the rejects file."""
        with self._lock:
            self._rejects.remember_schema(message)
            if self._outcomes is not None:
                self._outcomes.remember_keys(message["stream"], message.get("key_properties"))

    def add(self, source: SourceRecord, action: str, outcome: Outcome) -> None:
        """Count a record's outcome; a rejected record goes to the rejects file."""
        with self._lock:
            if outcome.kind is OutcomeKind.REJECTED:
                self._rejects.add(source, action, outcome)
            self._left_out.add(source.stream, outcome, source.record)
            self._count(source.stream, action, outcome, source.record, is_new=not source.is_retried)

    def add_line(self, line: str, outcome: Outcome, *, is_retried: bool = False) -> None:
        """Count a line that is no Singer message, and write it to the rejects file in a form that a replay skips."""
        with self._lock:
            self._rejects.add_line(line, outcome)
            self._count(UNREADABLE_LINES, "", outcome, line, is_new=not is_retried)

    def add_section(self, section: Section) -> None:
        """Add a part to what is written when the run ends."""
        with self._lock:
            self._sections.append(section)

    @property
    def counts_in_words(self) -> str:
        """What became of all records so far."""
        with self._lock:
            return _format_counts(self._total_counts(), self._unchanged.total())

    def sync(self) -> None:
        """Make sure that what was rejected so far survives a crash: a STATE is about to vouch for it."""
        with self._lock:
            self._rejects.sync()
            if self._outcomes is not None:
                self._outcomes.sync()

    def close(self, end: RunEnd | None = None, *, not_sent: int = 0, usage: Mapping[str, Usage] | None = None) -> None:
        """Write the run report, then log the counts per stream and the total. Once: a second call does nothing.

        Args:
            end: how the run ended.
            not_sent: records that have no outcome.
            usage: the requests that were sent, by operation.

        Raises:
            Incomplete: the run was done, but its report cannot be written.
        """
        end = end or RunEnd()
        self.sync()
        with self._lock:
            if self._closed:
                return
            self._closed = True
            fault = self._write_report(end, not_sent, usage or {})
            self._log_counts(report_path=None if fault is not None or self._report is None else self._report.path)
            self._rejects.close()
            if self._outcomes is not None:
                self._outcomes.close()
        if fault is not None and end.how == "done":
            raise Incomplete(fault)

    def check_limit(self, *, ended: bool = False) -> None:
        """Fail when too many records were rejected. ``ended``: whether all input was read.

        Raises:
            TooManyRejects: they were.
        """
        excess = self.excess_rejects(ended=ended)
        if excess is not None:
            raise excess

    def excess_rejects(self, *, ended: bool = False) -> TooManyRejects | None:
        """The error for too many rejected records; None when they are not. ``ended``: whether all input was read."""
        if not self._rejected or self._limit.allows(self._rejected, self._total if ended else None):
            return None
        return TooManyRejects(
            f"{self._rejected:,} of {self._total:,} records were rejected, more than on_reject and max_rejects "
            f"allow: see {self._rejects.path}"
        )

    def check_delivered(self) -> None:
        """Fail when all that came of the run is rejected records: the cause is mostly one for all of them.

        Raises:
            NothingDelivered: it is.
        """
        counts = self._total_counts()
        done = counts[OutcomeKind.DELIVERED] + counts[OutcomeKind.ACCEPTED] + self._nothing_to_do
        if self._rejected and not done:
            raise NothingDelivered(f"nothing was delivered, {self._rejected:,} rejected: see {self._rejects.path}")

    def _write_report(self, end: RunEnd, not_sent: int, usage: Mapping[str, Usage]) -> str | None:
        """Write the run report where one is asked for; the result is why it cannot be written, None when it is."""
        if self._report is None:
            return None
        try:
            self._report.write(
                self._report.to_json(
                    end,
                    self._counts,
                    records=self.records,
                    not_sent=not_sent,
                    usage=usage,
                    sections=self._sections,
                    left_out=self._left_out.to_json(),
                    facts={**self.facts(), **self._rejects_facts()},
                )
            )
        except OSError as error:
            fault = f"the run's report cannot be written: {error}"
            logger.error("%s", fault)  # noqa: TRY400 - the traceback tells users nothing
            return fault
        return None

    def _rejects_facts(self) -> dict[str, Any]:
        path = self._rejects.path.absolute() if self._rejects.is_written else None
        return {
            "rejects_path": None if path is None else str(path),
            "resend_command": None if path is None else self.resend_command(path),
        }

    def _log_counts(self, report_path: Path | None) -> None:
        for (stream, action), counts in self._counts.items():
            unchanged = self._unchanged[stream, action]
            logger.info("%s%s: %s", stream, f" ({action})" if action else "", _format_counts(counts, unchanged))
        for line in self._left_out.log_lines():
            logger.warning("%s", line)
        total = self._total_counts()
        rejected = total[OutcomeKind.REJECTED]
        where = f" (see {self._rejects.path})" if rejected else ""
        level = logging.WARNING if rejected else logging.INFO
        report = f"; report: {report_path}" if report_path else ""
        logger.log(level, "done: %s%s%s", _format_counts(total, self._unchanged.total()), where, report)

    def _total_counts(self) -> Counter[OutcomeKind]:
        return sum(self._counts.values(), Counter[OutcomeKind]())

    def _count(self, stream: str, action: str, outcome: Outcome, record: Any, *, is_new: bool) -> None:
        # What was rejected before and stays bad must not end every run that comes after.
        self._total += is_new
        self._rejected += is_new and outcome.kind is OutcomeKind.REJECTED
        self._counts.setdefault((stream, action), Counter())[outcome.kind] += 1
        if self._report is not None:
            self._report.add(stream, action, outcome, record)
        if self._outcomes is not None:
            self._outcomes.add(stream, action, outcome, record if isinstance(record, Mapping) else None)
        if outcome.code in NOTHING_TO_DO:
            self._nothing_to_do += 1
            self._unchanged[stream, action] += outcome.code == UNCHANGED
        elif outcome.code is not None and (stream, outcome.code) not in self._warned:
            self._warned.add((stream, outcome.code))
            self._warn(stream, outcome)

    def _warn(self, stream: str, outcome: Outcome) -> None:
        """Say of the first record of a kind what became of it."""
        if outcome.kind is OutcomeKind.REJECTED:
            logger.warning(
                "%s: rejected (%s): %s. It is in %s; further ones are only counted.",
                stream,
                outcome.code,
                (outcome.reason or "no reason given").rstrip("."),
                self._rejects.path,
            )
        else:
            logger.warning("%s: %s (%s): %s", stream, outcome.kind, outcome.code, outcome.reason)


def _format_counts(counts: Counter[OutcomeKind], unchanged: int) -> str:
    shown = [kind for kind in OutcomeKind if counts[kind] or kind is not OutcomeKind.LEFT_OUT]
    words = ", ".join(f"{counts[kind]} {kind}" for kind in shown)
    return f"{words} ({unchanged} unchanged)" if unchanged else words
