"""The rejects file: rejected records as Singer messages that can be piped in again after a fix. Not thread-safe."""

from __future__ import annotations

import copy
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from klaviyo_client.errors import SettingsError
from klaviyo_client.privacy import private_files
from target_klaviyo.model.records import UNREADABLE, Outcome, SourceRecord

logger = logging.getLogger("target-klaviyo")


class RejectsFile:
    """Where rejected records go.

    Args:
        path: of the file. It is made with the first rejected record, readable by its owner only. One that is there
            belongs to another run, and somebody may be replaying it: it stays as it is, and this run's gets a name of
            its own beside it.

    Attributes:
        path: where the file is, or will be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None
        self._schemas: dict[str, Mapping[str, Any]] = {}
        self._written_schemas: dict[str, Mapping[str, Any]] = {}

    @property
    def is_written(self) -> bool:
        """Whether anything is in it."""
        return self._file is not None

    def remember_schema(self, message: Mapping[str, Any]) -> None:
        """Keep a stream's SCHEMA message: its rejected records can only be replayed after it."""
        self._schemas[message["stream"]] = copy.deepcopy(message)  # the SDK edits it

    def add(self, source: SourceRecord, action: str, outcome: Outcome) -> None:
        """Write a rejected record, with the reason."""
        self._write_schema(source.stream)
        self._write(
            {
                "type": "RECORD",
                "stream": source.stream,
                "record": source.record,
                "action": action or None,
                **_reason(outcome),
            }
        )

    def add_line(self, line: str, outcome: Outcome) -> None:
        """Write a line that is no Singer message, in a form that a replay skips."""
        self._write({"type": UNREADABLE, "line": line, **_reason(outcome)})

    def sync(self) -> None:
        """Make sure that what was written so far survives a crash."""
        if self._file is not None:
            self._file.flush()
            if not private_files.is_device(self.path):
                os.fsync(self._file.fileno())

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write_schema(self, stream: str) -> None:
        message = self._schemas.get(stream)
        if message is not None and self._written_schemas.get(stream) != message:
            self._written_schemas[stream] = message
            self._write(message)

    def _write(self, message: Mapping[str, Any]) -> None:
        if self._file is None:
            self._file = self._open()
        self._file.write(json.dumps(message, default=str) + "\n")

    def _open(self) -> TextIO:
        try:
            path, file = private_files.create_private(self.path)
        except OSError as error:
            raise SettingsError(f"rejects_path cannot be written: {self.path}: {error.strerror}") from error
        if path != self.path:
            logger.info("%s belongs to another run; this run's rejected records go to %s", self.path, path)
        self.path = path
        return file


def _reason(outcome: Outcome) -> dict[str, Any]:
    return {
        "status": outcome.status,
        "code": outcome.code,
        "pointer": outcome.pointer,
        "reason": outcome.reason,
    }
