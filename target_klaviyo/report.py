"""What became of every record: counts, the rejects file, the last lines of the log. Thread-safe."""

from __future__ import annotations

import copy
import json
import logging
import os
import re
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from klaviyo_client.command import Incomplete
from klaviyo_client.errors import SettingsError
from target_klaviyo.incoming import UNREADABLE
from target_klaviyo.model import Kind, Origin, Outcome

logger = logging.getLogger("target-klaviyo")


class TooManyRejects(Incomplete):
    """More records were rejected than the settings allow."""


@dataclass(frozen=True)
class Tolerance:
    """How many records may be rejected before the run fails.

    Attributes:
        count: this many; None for any number.
        share: this part of all records, in [0, 1]; judged when input has ended.
    """

    count: int | None = None
    share: float | None = None

    @classmethod
    def of(cls, max_rejects: str | int | None, on_reject: str = "skip") -> Tolerance:
        """What the settings allow: a count such as ``100``, or a percentage such as ``5%``.

        Raises:
            SettingsError: it is neither.
        """
        if on_reject == "fail":
            return cls(count=0)
        if max_rejects is None:
            return cls()
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*", str(max_rejects))
        if not found or (found[2] and float(found[1]) > 100) or (not found[2] and not found[1].isdigit()):
            raise SettingsError("max_rejects must be a number of records such as 100, or a percentage such as 5%")
        return cls(share=float(found[1]) / 100) if found[2] else cls(count=int(found[1]))

    def exceeded(self, rejected: int, total: int, *, ended: bool) -> bool:
        """Whether these are too many."""
        if self.count is not None and rejected > self.count:
            return True
        return ended and self.share is not None and rejected > self.share * total


class Report:
    """One run's outcomes.

    Args:
        tolerance: how many rejected records the run bears.
        path: where rejected records go. The file is made with the first of them, readable by its owner only; one from
            an earlier run moves to ``<path>.1``, so that it can be replayed while this run writes its own.
    """

    def __init__(self, path: Path, tolerance: Tolerance | None = None) -> None:
        self._path = path
        self._tolerance = tolerance or Tolerance()
        self._total = self._rejected = 0
        self._file: TextIO | None = None
        self._lock = threading.RLock()
        self._counts: dict[tuple[str, str], Counter[Kind]] = {}
        self._schemas: dict[str, Mapping[str, Any]] = {}
        self._written: dict[str, Mapping[str, Any]] = {}
        self._said: set[tuple[str, str | None]] = set()

    def schema(self, message: Mapping[str, Any]) -> None:
        """Remember a stream's SCHEMA message: its rejected records can only be replayed after it."""
        with self._lock:
            self._schemas[message["stream"]] = copy.deepcopy(message)  # the SDK edits it

    def add(self, origin: Origin, action: str, outcome: Outcome) -> None:
        """Count a record's outcome; a rejected record goes to the file."""
        with self._lock:
            self._count(origin.stream, action, outcome)
            if outcome.kind is Kind.REJECTED:
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

    def add_line(self, line: str, outcome: Outcome) -> None:
        """Count a line that is no Singer message; it goes to the file in a form that a replay skips."""
        with self._lock:
            self._count("unreadable lines", "", outcome)
            self._write({"type": UNREADABLE, "line": line, **_why(outcome)})

    def secure(self) -> None:
        """Make sure that what was rejected so far survives a crash: a STATE is about to vouch for it."""
        with self._lock:
            if self._file is not None:
                self._file.flush()
                os.fsync(self._file.fileno())

    def close(self) -> None:
        """Log the counts per stream, then the total."""
        self.secure()
        with self._lock:
            for (stream, action), counts in self._counts.items():
                logger.info("%s%s: %s", stream, f" ({action})" if action else "", _counted(counts))
            total = sum(self._counts.values(), Counter[Kind]())
            rejected = total[Kind.REJECTED]
            where = f" (see {self._path})" if rejected else ""
            logger.log(logging.WARNING if rejected else logging.INFO, "done: %s%s", _counted(total), where)
            if self._file is not None:
                self._file.close()
                self._file = None

    def check(self, *, ended: bool = False) -> None:
        """Fail when too many records were rejected.

        Raises:
            TooManyRejects: they were.
        """
        if self._rejected and self._tolerance.exceeded(self._rejected, self._total, ended=ended):
            raise TooManyRejects(
                f"{self._rejected:,} of {self._total:,} records were rejected, more than on_reject and max_rejects "
                f"allow; they are in {self._path}"
            )

    def _count(self, stream: str, action: str, outcome: Outcome) -> None:
        self._total += 1
        self._rejected += outcome.kind is Kind.REJECTED
        self._counts.setdefault((stream, action), Counter())[outcome.kind] += 1
        if outcome.code is None or (stream, outcome.code) in self._said:
            return
        self._said.add((stream, outcome.code))
        if outcome.kind is Kind.REJECTED:
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
        if self._path.exists():
            self._path.replace(self._path.with_name(self._path.name + ".1"))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8")


def _why(outcome: Outcome) -> dict[str, Any]:
    return {
        "status": outcome.status,
        "code": outcome.code,
        "pointer": outcome.pointer,
        "reason": outcome.reason,
    }


def _counted(counts: Counter[Kind]) -> str:
    shown = [kind for kind in Kind if counts[kind] or kind is not Kind.LEFT_OUT]
    return ", ".join(f"{counts[kind]} {kind}" for kind in shown)
