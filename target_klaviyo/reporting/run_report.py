"""The run report: how a run ended, its counts, why records were rejected, and the sections that others add.

It is written as plain JSON (``RunReport.to_json``); ``html.py`` makes a page of the same content for people. A new
field needs its line in ``to_json`` and, to be seen on the page, in ``templates/run_report.html``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from klaviyo_client.http.usage import Usage
from klaviyo_client.plugin.command import error_message
from klaviyo_client.plugin.settings import version
from klaviyo_client.privacy import private_files
from klaviyo_client.privacy.redaction import mask
from target_klaviyo.model.records import Outcome, OutcomeKind
from target_klaviyo.reporting.html import render_page

# Rejected records that the report repeats at most, and the characters of their JSON: they are held in memory until the
# end.
MAX_RECORDS, MAX_CHARACTERS = 1_000, 8_000_000

Counts = Mapping[tuple[str, str], Counter[OutcomeKind]]


@dataclass(frozen=True)
class RunEnd:
    """How a run ended: done, stopped by a signal, or failed for a reason."""

    how: Literal["done", "failed", "stopped"] = "done"
    reason: str | None = None
    signal: int | None = None

    @classmethod
    def from_error(cls, error: BaseException, signal: int = 0) -> RunEnd:
        """The end that an error is. ``signal`` is the one that came before it, if any."""
        if signal and not isinstance(error, Exception):  # Stopped, or SystemExit when a second signal came
            return cls("stopped", signal=signal)
        return cls("failed", reason=error_message(error))


@dataclass(frozen=True)
class Section:
    """A part of the run report, or of a rehearsal's plan, that another part of the target adds: notes, then a table.

    All of it is plain data. ``facts`` are what the notes and the title say in words.
    """

    title: str
    notes: Sequence[str] = ()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        table = {"columns": list(self.columns), "rows": [list(row) for row in self.rows]}
        facts = {"facts": dict(self.facts)} if self.facts else {}
        return {"title": self.title, "notes": list(self.notes), "table": table, **facts}


@dataclass
class _Reason:
    count: int
    sample: str


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class RunReport:
    """The report of one run: collects what the counts do not say, and writes all of it at the end.

    Args:
        path: of the JSON file; the page goes beside it. Both are made readable by their owner only, and whole.
        run: what the run is called, as in the file of its outcomes.
    """

    path: Path
    now: Callable[[], datetime] = _utc_now
    run: str = ""
    _reasons: dict[tuple[OutcomeKind, str], _Reason] = field(default_factory=dict)
    _rejected: list[tuple[dict[str, Any], str]] = field(default_factory=list)
    _characters: int = 0

    def __post_init__(self) -> None:
        self._started = self.now()

    @property
    def page_path(self) -> Path:
        return self.path.with_suffix(".html")

    def add(self, stream: str, action: str, outcome: Outcome, record: Any) -> None:
        """Count why a record has its outcome; a rejected one is kept while there is room."""
        if outcome.code is not None:
            key = (outcome.kind, outcome.code)
            if key in self._reasons:
                self._reasons[key].count += 1
            else:
                self._reasons[key] = _Reason(1, mask(outcome.reason or ""))
        if (
            outcome.kind is not OutcomeKind.REJECTED
            or len(self._rejected) >= MAX_RECORDS
            or self._characters >= MAX_CHARACTERS
        ):
            return
        text = json.dumps(record, default=str)
        if self._characters + len(text) > MAX_CHARACTERS:
            return
        self._characters += len(text)
        reason = {"code": outcome.code, "pointer": outcome.pointer, "reason": outcome.reason}
        self._rejected.append(({"stream": stream, "action": action or None, **reason}, text))

    def to_json(
        self,
        end: RunEnd,
        counts: Counts,
        *,
        records: int,
        not_sent: int,
        usage: Mapping[str, Usage],
        sections: Iterable[Section] = (),
        left_out: Sequence[Mapping[str, Any]] = (),
        facts: Mapping[str, Any],
    ) -> dict[str, Any]:
        """The whole report as plain data."""
        ended = self.now()
        seconds = (ended - self._started).total_seconds()
        total = sum(counts.values(), Counter[OutcomeKind]())
        return {
            "plugin": "target-klaviyo",
            "version": version(),
            "run": self.run,
            **facts,
            "started": self._started.isoformat(timespec="seconds"),
            "ended": ended.isoformat(timespec="seconds"),
            "seconds": round(seconds, 3),
            "ending": end.how,
            "reason": end.reason,
            "signal": end.signal,
            "records": records,
            "not_sent": not_sent,
            "totals": _totals(total),
            "streams": [
                {"stream": stream, "action": action or None, **_totals(stream_counts)}
                for (stream, action), stream_counts in counts.items()
            ],
            "reasons": [
                {"outcome": str(kind), "code": code, "count": reason.count, "sample": reason.sample}
                for (kind, code), reason in sorted(self._reasons.items(), key=lambda entry: -entry[1].count)
            ],
            "left_out_values": left_out,
            "rejected": [{**reason, "record": json.loads(text)} for reason, text in self._rejected],
            "rejected_not_shown": total[OutcomeKind.REJECTED] - len(self._rejected),
            "requests": _requests(usage, seconds),
            "sections": [section.to_json() for section in sections],
        }

    def write(self, report: Mapping[str, Any]) -> None:
        """Write the report, as ``to_json`` gives it, and its page.

        Raises:
            OSError: they cannot be written.
        """
        private_files.write_private(self.path, json.dumps(report, indent=2, default=str) + "\n")
        private_files.write_private(self.page_path, render_page(report))


def _totals(counts: Counter[OutcomeKind]) -> dict[str, int]:
    return {kind.name.lower(): counts[kind] for kind in OutcomeKind}


def _requests(usage: Mapping[str, Usage], seconds: float) -> Sequence[Mapping[str, Any]]:
    minutes = max(1.0, seconds / 60)
    return [
        {
            "operation": operation,
            "requests": usage.requests,
            "per_minute": usage.per_minute,
            "share": round(usage.requests / (usage.per_minute * minutes), 4),
        }
        for operation, usage in sorted(usage.items())
    ]
