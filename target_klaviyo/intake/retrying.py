"""Sends again what earlier runs rejected, before the input is read: the setting ``retry_rejects``."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from klaviyo_client.errors import Incomplete, SettingsError
from klaviyo_client.privacy import private_files
from target_klaviyo.intake.run import RunTarget
from target_klaviyo.model.records import OutcomeKind, RejectedRecord
from target_klaviyo.reporting.earlier_rejects import find_earlier, set_aside

logger = logging.getLogger("target-klaviyo")


class Retrying:
    """The records of earlier runs' rejects files, on their way through a run.

    Args:
        run: the run.
        path: where runs leave their rejected records; None when none are to be sent again.

    Attributes:
        is_active: whether what is read now comes from such a file.
    """

    def __init__(self, run: RunTarget, path: Path | None) -> None:
        self.is_active = False
        self._run = run
        self._path = path
        self._unusable: dict[str, str] = {}
        self._seen: set[bytes] = set()

    def send_all(self, read: Callable[[IO[str]], None], source: IO[Any]) -> None:
        """Send the records of every file that is there, and set each aside when all of it has its outcome.

        A kill before that leaves the file: it is sent again by the next run.

        Args:
            read: reads the messages of a file.
            source: the input of the run, which is none of them.

        Raises:
            Incomplete: a file cannot be set aside, and would be sent by every run.
        """
        if self._path is None:
            return
        for file in find_earlier(self._path):
            if not _is_same(file, source):
                self._send(file, read)
        self._seen.clear()

    def _send(self, file: Path, read: Callable[[IO[str]], None]) -> None:
        with private_files.exclusively(file) as source:
            if source is None:
                logger.warning("%s is in use by another run and stays", file)
                return
            logger.info("sending records that an earlier run rejected: %s", file)
            self.is_active = True
            try:
                read(source)
                self._run.dispatcher.flush()
            finally:
                self.is_active = False
                self._run.forget_streams()
            if self._run.is_rehearsal:
                return
            self._run.results.sync()
            try:
                aside = set_aside(file)
            except OSError as error:
                raise Incomplete(f"{file} was sent again and cannot be renamed: {error.strerror}") from error
            logger.info("%s was sent again and renamed to %s; you can delete it", file, aside)

    def refuse_stream(self, stream: str, error: SettingsError) -> None:
        """Note that the settings do not fit a stream any more: its records stay on file."""
        self._unusable[stream] = str(error)

    def check(self, stream: str, record: Mapping[str, Any]) -> bool:
        """Whether a record is to be sent: it is not when it was in an earlier file, too, as a kill leaves it.

        Raises:
            RejectedRecord: the settings do not fit its stream any more.
        """
        text = json.dumps([stream, record], sort_keys=True, default=str)
        digest = hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=12).digest()
        if digest in self._seen:
            return False
        self._seen.add(digest)
        if stream in self._unusable:
            raise RejectedRecord("unusable_stream", f"it cannot be sent again: {self._unusable[stream]}")
        return True


def superseded(action: str) -> RejectedRecord:
    """Why a record of an audience is not sent again."""
    reason = f"{action} of an earlier run is not sent again: every run gets the whole audience"
    return RejectedRecord("audience_of_before", reason, kind=OutcomeKind.LEFT_OUT)


def _is_same(file: Path, source: IO[Any]) -> bool:
    try:
        return os.path.samestat(file.stat(), os.fstat(source.fileno()))
    except (AttributeError, OSError, ValueError):  # it has no descriptor, or the file is gone
        return False
