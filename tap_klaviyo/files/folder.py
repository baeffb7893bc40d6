"""The folder of a run's files: private, and rid of what killed runs have left there."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from klaviyo_client.errors import SettingsError
from klaviyo_client.privacy.private_files import check_writable, hold_lock
from tap_klaviyo.files.destination import Destination
from tap_klaviyo.files.open_files import UNFINISHED

_RUN_ID = re.compile(r"\d{8}T\d{6}[0-9a-f]{8}")
_LOCK = ".lock"


class Folder:
    """The folder of one run's files. A lock on an empty file in it tells other runs that this one is alive.

    Args:
        destination: the run's.
    """

    def __init__(self, destination: Destination) -> None:
        self._path = Path(destination.folder)
        self._begin = f".{destination.prefix}"
        self._run_id = destination.run_id
        self._handle: int | None = None
        self._is_open = False

    def open(self) -> None:
        """Make the folder if it is not there, and remove what runs that were killed have left. Once.

        Raises:
            SettingsError: nothing can be written there.
        """
        if self._is_open:
            return
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_writable(self._path / f"{self._begin}{self._run_id}")
        except OSError as error:
            raise SettingsError(
                f"batch_config.storage.root: {self._path} cannot be written to: {error.strerror}"
            ) from error
        self._is_open = True
        self._handle = hold_lock(self._path / f"{self._begin}{self._run_id}{_LOCK}")
        for path in self._path.glob(f"{self._begin}*{_LOCK}"):
            run_id = path.name.removeprefix(self._begin).removesuffix(_LOCK)
            if run_id != self._run_id and _RUN_ID.fullmatch(run_id):
                self._remove_if_dead(path, run_id)

    def close(self) -> None:
        """Remove what this run has not finished, and its lock."""
        if not self._is_open:
            return
        self._is_open = False
        self._remove_unfinished(self._run_id)
        if self._handle is not None:
            with contextlib.suppress(OSError):
                (self._path / f"{self._begin}{self._run_id}{_LOCK}").unlink()
            os.close(self._handle)

    def _remove_if_dead(self, lock: Path, run_id: str) -> None:
        handle = hold_lock(lock)
        if handle is None:
            return
        self._remove_unfinished(run_id)
        with contextlib.suppress(OSError):
            lock.unlink()
        os.close(handle)

    def _remove_unfinished(self, run_id: str) -> None:
        for path in self._path.glob(f"{self._begin}{run_id}-*{UNFINISHED}"):
            with contextlib.suppress(OSError):
                path.unlink()
