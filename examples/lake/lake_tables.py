"""A table of the lake: lines become Parquet files, which are moved to their place once they are whole and on disk."""

from __future__ import annotations

import errno
import json
import re
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from lake_columns import Columns
from lake_folder import Lake, LakeError, put, sync, write_whole
from lake_values import Changes, Unreadable

# Rows that are converted at once. More make it no faster.
CHUNK_ROWS, CHUNK_BYTES = 20_000, 32_000_000
FILE_ROWS = 1_000_000
SCHEMA_FILE = "_schema.json"
# The first version that has not ended.
ACTIVE_FILE = "_active-"


class Table:
    """A folder of Parquet files, and the rows that are on their way into it.

    Args:
        lake: what it is a part of.
        message: the SCHEMA message, or what SCHEMA_FILE holds of it.

    Attributes:
        rows: how many have been landed.
        files: how many files have been landed.
        pending_bytes: size of the records that are not converted yet.
        changes: (column, what became of values of it) -> how many.
    """

    def __init__(self, lake: Lake, message: Mapping[str, Any]) -> None:
        self.stream: str = message["stream"]
        self.rows = self.files = self.pending_bytes = 0
        self.changes: Changes = Changes()
        self._lake = lake
        self._folder = lake.folder_of(self.stream)
        self._numbers = 0
        self._pending: list[msgspec.Raw | bytes] = []
        self._writer: pq.ParquetWriter | None = None
        self._written = 0
        self._version: int | None = None
        self._message: dict[str, Any] = {}
        self.describe(message)

    @property
    def is_open(self) -> bool:
        """Whether rows have come that are not landed."""
        return bool(self._pending) or self._writer is not None

    def describe(self, message: Mapping[str, Any]) -> None:
        """Take a SCHEMA message: what follows is made by it."""
        kept = {name: message.get(name) for name in ("stream", "schema", "key_properties", "bookmark_properties")}
        if kept == self._message:
            return
        self.land()
        self._message, self._columns = kept, Columns(message["schema"])
        missing = set(kept["key_properties"] or ()) - self._columns.names.keys()
        if missing:
            raise LakeError(f"the SCHEMA of {self.stream} lacks columns of its key: {', '.join(sorted(missing))}")
        path = self._folder / SCHEMA_FILE
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        if before is not None:
            # A column that comes no more is in older files still.
            properties = kept["schema"].get("properties", {})
            kept = kept | {"schema": {**kept["schema"], "properties": {**before["schema"]["properties"], **properties}}}
        if kept == before:
            return
        # A file without rows tells the columns, also where no row ever comes.
        empty = self._new_file()
        pq.write_table(self._columns.arrow.empty_table().cast(self._described(None)), empty)
        self._put(empty, None)
        write_whole(path, json.dumps(kept))

    def add(self, record: msgspec.Raw | bytes, version: int | None) -> None:
        """Take a row; ``record`` is the JSON text of it."""
        if version != self._version:
            self.land()
            self._version = version
        self._pending.append(record)
        self.pending_bytes += len(bytes(record))
        if len(self._pending) >= CHUNK_ROWS or self.pending_bytes >= CHUNK_BYTES:
            self.convert()

    def convert(self) -> None:
        """Write the rows that are waiting into the open file."""
        if not self._pending:
            return
        try:
            table = self._columns.make_table(self._pending, self.changes)
        except Unreadable as error:
            raise LakeError(f"a record of {self.stream} cannot be read: {error}") from error
        if self._writer is None:
            path = self._new_file()
            self._writer = pq.ParquetWriter(path, self._described(self._version), compression="zstd")
            self._open_path = path
        self._writer.write_table(table.cast(self._writer.schema))
        self._written += len(self._pending)
        self._pending.clear()
        self.pending_bytes = 0
        if self._written >= FILE_ROWS:
            self.land()

    def land(self) -> None:
        """Have all rows that came in files that are in their place, for good."""
        self.convert()
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        self._put(self._open_path, self._version)
        self.rows, self._written = self.rows + self._written, 0
        self.files += 1

    def land_file(self, path: Path) -> None:
        """Take over a Parquet file that is whole.

        Raises:
            LakeError: it is none, or is not there.
        """
        try:
            with pq.ParquetFile(path) as file:
                metadata = file.metadata
        except FileNotFoundError:
            raise LakeError(f"a BATCH of {self.stream} names a file that is not there: {path.name}") from None
        except (pa.ArrowException, OSError) as error:
            raise LakeError(f"{path.name}, a BATCH of {self.stream}, is no whole Parquet file") from error
        version = (metadata.metadata or {}).get(b"singer.version")
        self._put(path, None if version is None else int(version))
        self.rows += metadata.num_rows
        self.files += 1

    def activate(self, version: int) -> None:
        """Rows of older versions, and those without any, have ended."""
        self.land()
        mark = self._folder / f"{ACTIVE_FILE}{version}"
        mark.touch(mode=0o600)
        sync(self._folder)

    def _new_file(self) -> Path:
        return self._lake.incoming / f"{self._folder.name}.new"

    def _put(self, path: Path, version: int | None) -> None:
        """Number and name a file, when all of it is on disk."""
        landed = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        self._numbers += 1
        name = f"{self._lake.run:06}-{self._numbers:06}-{landed}Z{'' if version is None else f'-v{version}'}.parquet"
        try:
            path.chmod(0o600)
            sync(path)
            put(path, self._folder / name)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            # From another disk: never half there under its name.
            copy = self._new_file()
            shutil.copyfile(path, copy)
            sync(copy)
            put(copy, self._folder / name)
            path.unlink()

    def _described(self, version: int | None) -> pa.Schema:
        """The columns, and in the file's metadata what they are of."""
        said = {
            "singer.stream": self.stream,
            "singer.key_properties": json.dumps(self._message["key_properties"]),
            "singer.schema": json.dumps(self._message["schema"]),
        }
        return self._columns.arrow.with_metadata(said | ({} if version is None else {"singer.version": str(version)}))


def file_of(address: str) -> Path:
    """The path of a manifest's entry: an address ``file://``, or a path."""
    path = Path(re.sub(r"^file://", "", address))
    if path.exists() or "%" not in address:
        return path
    from urllib.request import url2pathname

    return Path(url2pathname(str(path)))
