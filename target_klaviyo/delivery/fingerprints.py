"""Fingerprints of a run: which rows were delivered before and are unchanged, for streams with ``only_changed``.

A row is unchanged when the last thing that was delivered about each of its identifiers is what it says. What is about
to be sent is forgotten first and remembered when it is delivered, so that a run may be killed at any moment.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from target_klaviyo.delivery.action import Action, Row
from target_klaviyo.delivery.fingerprint_files import Digests, FingerprintFile, Hasher
from target_klaviyo.model.identifiers import identifiers_of
from target_klaviyo.model.records import UNCHANGED, Outcome, OutcomeKind, RejectedRecord, SourceRecord


def unchanged() -> RejectedRecord:
    """Why a record is left out that says what was delivered before."""
    reason = "unchanged since it was delivered, and only_changed is set"
    return RejectedRecord(UNCHANGED, reason, kind=OutcomeKind.LEFT_OUT)


class StreamFingerprints:
    """The fingerprints of one stream.

    Attributes:
        left_out: how many of its records were left out as unchanged.
    """

    def __init__(self, hasher: Hasher, file: FingerprintFile) -> None:
        self.left_out = 0
        self._hasher = hasher
        self._file = file
        # Key -> the latest record on its way that is about it: only that one's outcome says what was delivered last.
        self._latest: dict[bytes, SourceRecord] = {}
        self._digests: dict[SourceRecord, Digests] = {}

    @property
    def path(self) -> Path:
        return self._file.path

    def is_unchanged(self, digests: Digests) -> bool:
        """Whether a row of these digests was delivered before, and nothing else about its person since."""
        return bool(digests) and self._latest.keys().isdisjoint(digests) and self._file.holds(digests)

    def begin(self, source: SourceRecord, digests: Digests) -> None:
        """Note that a row is about to be sent; ``settle`` is told of its outcome.

        Raises:
            Incomplete: the file cannot be written.
        """
        self._file.forget(digests)
        self._latest.update(dict.fromkeys(digests, source))
        self._digests[source] = digests

    def settle(self, source: SourceRecord, outcome: Outcome) -> None:
        """Take the outcome of a record: what was delivered whole is remembered, and nothing else.

        Raises:
            Incomplete: the file cannot be written.
        """
        digests = self._digests.pop(source, {})
        latest = {key: digests[key] for key in digests if self._latest.get(key) is source}
        for key in latest:
            del self._latest[key]
        # Of what was left out on the way, every run shall tell.
        if outcome.kind is OutcomeKind.DELIVERED and outcome.code is None:
            self._file.remember(latest)

    def close(self) -> None:
        self._file.close()

    def digests(self, action: Action, row: Row, list_id: str | None) -> Digests:
        """For each identifier of a row's person what is sent of them, and whether they are put on or taken off a list.

        Empty where nobody can say whether the person is the same.
        """
        return dict(self._digests_of(action, row, list_id))

    def _digests_of(self, action: Action, row: Row, list_id: str | None) -> Iterator[tuple[bytes, bytes]]:
        removes = bool(action.removes(row.batch_key))
        # Columns may come in another order.
        content = self._hasher.digest("profile", msgspec.json.encode(row.payload, order="sorted"))
        membership = self._hasher.digest("member", str(removes))
        for name, value in identifiers_of(action.profile_of(row.payload)).items():
            if not removes:
                yield self._hasher.digest("profile", name, value), content
            if list_id is not None:
                yield self._hasher.digest("member", list_id, name, value), membership


class Fingerprints:
    """The fingerprints of a run's streams. Used by the main thread only.

    Args:
        folder: where the files are; None where no stream asks for them.
        account: what tells the account from others; only a keyed hash of it is kept.
        keeps: whether what happens stays on file; a rehearsal leaves it as it was.
    """

    def __init__(self, folder: Path | None, account: str, *, keeps: bool = True) -> None:
        self._folder = folder
        self._account = account
        self._keeps = keeps
        self._hasher: Hasher | None = None
        self._streams: dict[str, StreamFingerprints] = {}

    def of_stream(self, stream: str, context: Mapping[str, Any]) -> StreamFingerprints:
        """The fingerprints of a stream. ``context``: what its entry says; when that changes, all rows are new.

        Raises:
            SettingsError: its file cannot be used.
        """
        if stream not in self._streams:
            assert self._folder is not None  # noqa: S101 - the settings said that a stream asks for it
            self._hasher = self._hasher or Hasher(self._folder, keeps=self._keeps)
            text = json.dumps([self._account, context], sort_keys=True, default=str)
            file = FingerprintFile(self._folder, stream, self._hasher.digest("context", text), keeps=self._keeps)
            self._streams[stream] = StreamFingerprints(self._hasher, file)
        return self._streams[stream]

    def settle(self, source: SourceRecord, outcome: Outcome) -> None:
        """Take the outcome of a record of any stream.

        Raises:
            Incomplete: a file cannot be written.
        """
        for stream in self._streams.values():
            stream.settle(source, outcome)

    def close(self) -> dict[str, StreamFingerprints]:
        """Write what is remembered, and let go of the files: the streams, once.

        Raises:
            Incomplete: a file cannot be written.
        """
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            stream.close()
        return streams
