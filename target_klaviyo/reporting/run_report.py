"""A run as a document: how it ended, its counts, why records were rejected, and what else there is to tell.

The document is plain JSON; ``page`` makes a readable page of it.
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
from target_klaviyo.reporting.html import page

# Rejected records that are repeated at most, and the characters of their JSON: they are held in memory until the end.
MAX_ROWS, MAX_SIZE = 1_000, 8_000_000

Counts = Mapping[tuple[str, str], Counter[OutcomeKind]]


@dataclass(frozen=True)
class Ending:
    """How a run ended: done, stopped by a signal, or failed for a reason."""

    how: Literal["done", "failed", "stopped"] = "done"
    reason: str | None = None
    signal: int | None = None

    @classmethod
    def by(cls, error: BaseException, signal: int = 0) -> Ending:
        """The end that this error is. ``signal`` is the one that came before it, if any."""
        if signal and not isinstance(error, Exception):  # Stopped, or SystemExit when a second signal came
            return cls("stopped", signal=signal)
        return cls("failed", reason=error_message(error))


@dataclass
class _Reason:
    count: int
    sample: str


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Summary:
    """What a run's document says beside the counts.

    Args:
        path: where the document goes; the page goes beside it. Both are made readable by their owner only, and whole.
    """

    path: Path
    now: Callable[[], datetime] = _now
    _reasons: dict[tuple[OutcomeKind, str], _Reason] = field(default_factory=dict)
    _rejected: list[tuple[dict[str, Any], str]] = field(default_factory=list)
    _size: int = 0
    _sections: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._started = self.now()

    @property
    def page(self) -> Path:
        return self.path.with_suffix(".html")

    def add(self, stream: str, action: str, outcome: Outcome, record: Any) -> None:
        """Note why a record has its outcome; a rejected one is kept while there is room."""
        if outcome.code is not None:
            key = (outcome.kind, outcome.code)
            if key in self._reasons:
                self._reasons[key].count += 1
            else:
                self._reasons[key] = _Reason(1, mask(outcome.reason or ""))
        if outcome.kind is not OutcomeKind.REJECTED or len(self._rejected) >= MAX_ROWS or self._size >= MAX_SIZE:
            return
        text = json.dumps(record, default=str)
        if self._size + len(text) > MAX_SIZE:
            return
        self._size += len(text)
        why = {"code": outcome.code, "pointer": outcome.pointer, "reason": outcome.reason}
        self._rejected.append(({"stream": stream, "action": action or None, **why}, text))

    def section(self, title: str, notes: Iterable[str], columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
        """Add a part that something else of the target tells."""
        table = {"columns": list(columns), "rows": [list(row) for row in rows]}
        self._sections.append({"title": title, "notes": list(notes), "table": table})

    def document(
        self, ending: Ending, counts: Counts, *, records: int, not_sent: int, usage: Mapping[str, Usage]
    ) -> dict[str, Any]:
        """The whole document, as plain data."""
        ended = self.now()
        seconds = (ended - self._started).total_seconds()
        total = sum(counts.values(), Counter[OutcomeKind]())
        return {
            "plugin": "target-klaviyo",
            "version": version(),
            "started": self._started.isoformat(timespec="seconds"),
            "ended": ended.isoformat(timespec="seconds"),
            "seconds": round(seconds, 3),
            "ending": ending.how,
            "reason": ending.reason,
            "signal": ending.signal,
            "records": records,
            "not_sent": not_sent,
            "totals": _totals(total),
            "streams": [
                {"stream": stream, "action": action or None, **_totals(found)}
                for (stream, action), found in counts.items()
            ],
            "reasons": [
                {"outcome": str(kind), "code": code, "count": reason.count, "sample": reason.sample}
                for (kind, code), reason in sorted(self._reasons.items(), key=lambda entry: -entry[1].count)
            ],
            "rejected": [{**why, "record": json.loads(text)} for why, text in self._rejected],
            "rejected_not_shown": total[OutcomeKind.REJECTED] - len(self._rejected),
            "requests": _requests(usage, seconds),
            "sections": list(self._sections),
        }

    def write(self, document: Mapping[str, Any]) -> None:
        """Put the document and its page where they belong.

        Raises:
            OSError: they cannot be written there.
        """
        private_files.write_private(self.path, json.dumps(document, indent=2, default=str) + "\n")
        private_files.write_private(self.page, page(document))


def _totals(counts: Counter[OutcomeKind]) -> dict[str, int]:
    return {kind.name.lower(): counts[kind] for kind in OutcomeKind}


def _requests(usage: Mapping[str, Usage], seconds: float) -> Sequence[Mapping[str, Any]]:
    minutes = max(1.0, seconds / 60)
    return [
        {
            "operation": operation,
            "requests": found.requests,
            "per_minute": found.per_minute,
            "share": round(found.requests / (found.per_minute * minutes), 4),
        }
        for operation, found in sorted(usage.items())
    ]
