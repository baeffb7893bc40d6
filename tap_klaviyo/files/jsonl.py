"""A file of one table's rows as lines of JSON, as the SDK's batches have them."""

from __future__ import annotations

import gzip
from collections import Counter
from typing import IO

from tap_klaviyo.files.columns import json_text
from tap_klaviyo.files.rows import FileColumns, FileRows

# A row of a table that has versions: targets of the SDK take it from here, as a BATCH message has no place for it.
VERSION = "_sdc_table_version"
# They are read once: gzip's default of 9 takes three times as long and makes them a third smaller.
_LEVEL = 3


class JsonLinesFile:
    """A file that is being written.

    Args:
        file: where to write; whoever opened it closes it.
        compression: ``gzip`` or ``none``.
    """

    kept_bytes = 0

    def __init__(self, file: IO[bytes], compression: str) -> None:
        # The name and the time in a gzip file's head are of no use.
        self._zipped = gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) if compression == "gzip" else None
        self._file: IO[bytes] | gzip.GzipFile = self._zipped or file
        self.misfits: Counter[str] = Counter()

    def add(self, rows: FileRows | FileColumns) -> None:
        """Write rows."""
        more = {} if rows.version is None else {VERSION: rows.version}
        self._file.write(b"".join(json_text({**row, **more}) + b"\n" for row in rows.rows))

    def flush(self) -> None:
        """Do nothing: nothing is kept."""

    def finish(self) -> None:
        """Write the end of the file."""
        if self._zipped is not None:
            self._zipped.close()
