"""A Parquet file of one table's rows. It needs ``pyarrow``, which only the extra ``parquet`` installs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import IO, TYPE_CHECKING

from tap_klaviyo.files.columns import JSON, TEXT, ColumnMaker
from tap_klaviyo.files.rows import FileColumns, FileRows, StreamShape, join_columns

if TYPE_CHECKING:
    import pyarrow as pa

# Fewer rows than these wait for others: columns of a row each would take a hundred times the row's memory.
_MIN_ROWS = 256
# Of columns of one file, before they are written as a row group; readers go through a file by row groups.
GROUP_ROWS = 122_880


class ParquetFile:
    """A file that is being written. Rows are kept as columns until they are enough for a row group.

    Args:
        file: where to write; whoever opened it closes it.
        shape: the stream.
        first: the first rows that it will hold.
        compression: of the columns, inside the file.
    """

    def __init__(self, file: IO[bytes], shape: StreamShape, first: FileRows | FileColumns, compression: str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._pa = pa
        # Where processes share the rows, each has a core. What is freed goes back to the system.
        pa.set_memory_pool(pa.system_memory_pool())
        pa.set_cpu_count(1)
        self._columns = ColumnMaker(shape)
        schema, kinds = self._columns.schema.with_metadata(_metadata(shape, first)), self._columns.kinds
        self._writer = pq.ParquetWriter(
            file,
            schema,
            compression=compression,
            # No two rows have the same: looking for what repeats is in vain.
            use_dictionary=[name for name, kind in kinds.items() if kind != JSON and name not in shape.key],
            # Of texts in no order, the least and the greatest let no reader skip anything.
            write_statistics=[name for name, kind in kinds.items() if kind not in (JSON, TEXT) or name in shape.key],
        )
        self._schema = schema
        self._waiting: list[FileRows | FileColumns] = []
        self._waiting_rows = 0
        self._batches: list[pa.RecordBatch] = []
        self._batch_rows = 0
        self.kept_bytes = 0

    @property
    def misfits(self) -> Counter[str]:
        """How many values of each column fitted none and became null."""
        return self._columns.misfits

    def add(self, rows: FileRows | FileColumns) -> None:
        """Add rows; they are in the file once ``flush`` was called."""
        self._waiting.append(rows)
        self._waiting_rows += rows.count
        if self._waiting_rows >= _MIN_ROWS:
            self._make_columns()
        if self._batch_rows >= GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what is kept, as a row group."""
        self._make_columns()
        if self._batches:
            table = self._pa.Table.from_batches(self._batches).replace_schema_metadata(self._schema.metadata)
            self._batches, self._batch_rows, self.kept_bytes = [], 0, 0
            # A stream map may leave no column, and rows without one are none.
            if table.num_rows:
                self._writer.write_table(table, row_group_size=table.num_rows)

    def finish(self) -> None:
        """Write all that is still kept, and the end of the file."""
        self.flush()
        self._writer.close()

    def _make_columns(self) -> None:
        waiting, self._waiting, self._waiting_rows = self._waiting, [], 0
        if not waiting:
            return
        for _, alike in groupby(waiting, type):
            batch = self._make_batch(list(alike))
            self._batches.append(batch)
            self._batch_rows += batch.num_rows
            self.kept_bytes += batch.nbytes

    def _make_batch(self, parts: Sequence[FileRows | FileColumns]) -> pa.RecordBatch:
        of_columns = [part for part in parts if isinstance(part, FileColumns)]
        if of_columns:
            count = sum(part.count for part in of_columns)
            return self._columns.make_of_columns(join_columns(of_columns), count, conformed=True)
        of_rows = [part for part in parts if isinstance(part, FileRows)]
        rows = [row for part in of_rows for row in part.rows]
        return self._columns.make(rows, conformed=all(part.is_conformed for part in of_rows))


def _metadata(shape: StreamShape, first: FileRows | FileColumns) -> dict[str, str]:
    """What a file says of itself, so that it can be read without the messages that announced it."""
    metadata = {
        "singer.stream": shape.stream,
        "singer.key_properties": json.dumps(list(shape.key)),
        "singer.schema": json.dumps(shape.schema),
    }
    if first.version is not None:
        metadata["singer.version"] = str(first.version)
    if first.extracted is not None:
        metadata["singer.time_extracted"] = first.extracted.isoformat()
    return metadata
