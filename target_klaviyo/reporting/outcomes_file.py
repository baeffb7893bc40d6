"""The outcomes file: what became of each record, as Singer lines that any target can land. Not thread-safe."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from klaviyo_client.errors import Incomplete
from klaviyo_client.privacy import private_files
from klaviyo_client.privacy.redaction import mask
from target_klaviyo.model.records import Outcome, Record

STREAM = "klaviyo_outcomes"
_TEXT, _OPTIONAL = {"type": "string"}, {"type": ["string", "null"]}
_SCHEMA: Mapping[str, Any] = {
    "type": "SCHEMA",
    "stream": STREAM,
    "key_properties": [],
    "schema": {
        "type": "object",
        "properties": {
            "run": {**_TEXT, "description": "Id of the run, as in its report."},
            "stream": {**_TEXT, "description": "The stream of the record."},
            "key": {**_OPTIONAL, "description": "The value of the stream's key; a JSON array for several columns."},
            "action": {**_OPTIONAL, "description": "The action."},
            "outcome": {**_TEXT, "description": "delivered, accepted, rejected or left out."},
            "code": {**_OPTIONAL, "description": "Why, for programs."},
            "reason": {**_OPTIONAL, "description": "Why, in words; without personal data."},
            "time": {**_TEXT, "format": "date-time", "description": "When the outcome was known."},
        },
    },
}


def _utc_now() -> datetime:
    return datetime.now(UTC)


def make_run_id() -> str:
    """A name for a run, by its time in UTC, that no other has."""
    return f"{_utc_now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


class OutcomesFile:
    """Where the outcomes of a run go, each as it comes.

    Args:
        path: of the file, which is made anew with the first outcome, readable by its owner only.
        run: what the run is called.
        now: the time of an outcome, with its zone.
    """

    def __init__(self, path: Path, run: str = "", now: Callable[[], datetime] = _utc_now) -> None:
        self.path = path
        self._run = run or make_run_id()
        self._now = now
        self._keys: dict[str, Sequence[str]] = {}
        self._handle: int | None = None

    def remember_keys(self, stream: str, keys: Sequence[str] | None) -> None:
        """Take the names of the key properties of a stream."""
        self._keys[stream] = tuple(keys or ())

    def add(self, stream: str, action: str, outcome: Outcome, record: Record | None) -> None:
        """Write what became of a record; None where it could not be read.

        Raises:
            Incomplete: it cannot be written.
        """
        values = {
            "run": self._run,
            "stream": stream,
            "key": None if record is None else _key(self._keys.get(stream, ()), record),
            "action": action or None,
            "outcome": str(outcome.kind),
            "code": None if outcome.code is None else mask(outcome.code),
            "reason": None if outcome.reason is None else mask(outcome.reason),
            "time": self._now().isoformat(timespec="milliseconds"),
        }
        self._write({"type": "RECORD", "stream": STREAM, "record": values})

    def sync(self) -> None:
        """Make sure that what was written so far survives a crash."""
        if self._handle is not None and not private_files.is_device(self.path):
            os.fsync(self._handle)

    def close(self) -> None:
        """Close the file; one without outcomes is made first, for an earlier run's must not be taken for this one's.

        Raises:
            Incomplete: it cannot be made.
        """
        self._open()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _open(self) -> int:
        if self._handle is None:
            try:
                self._handle = private_files.replace_private(self.path)
            except OSError as error:
                raise self._fault(error) from error
            self._write(_SCHEMA)
        return self._handle

    def _write(self, message: Mapping[str, Any]) -> None:
        """Write a line in one go, so that a kill leaves it whole or not at all."""
        handle = self._open()
        line = (json.dumps(message) + "\n").encode()
        try:
            while line:
                line = line[os.write(handle, line) :]
        except OSError as error:
            raise self._fault(error) from error

    def _fault(self, error: OSError) -> Incomplete:
        return Incomplete(f"outcomes_path cannot be written: {self.path}: {error.strerror}")


def _key(names: Sequence[str], record: Record) -> str | None:
    values = [record.get(name) for name in names]
    if all(value is None for value in values):
        return None
    value = values[0] if len(values) == 1 else values
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
