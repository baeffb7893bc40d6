"""The Singer stream of tables: one instance per stream, of one table or several of the same name."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.helpers.types import Context, Record
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.singerlib.catalog import Catalog, MetadataMapping

from klaviyo_client.errors import Refused, Unavailable
from tap_klaviyo.model import Collection, Table
from tap_klaviyo.reading.batches import Batch
from tap_klaviyo.rows import schema_files
from tap_klaviyo.rows.projection import singer_schema
from tap_klaviyo.rows.record_lines import Encoded
from tap_klaviyo.streams.bookmarks import BookmarkedStream
from tap_klaviyo.streams.reading_plan import reading_plan
from tap_klaviyo.streams.run import RunTap
from tap_klaviyo.tables import BY_DEFAULT, GAP_TABLES, property_columns


class TableStream(BookmarkedStream):
    """A table as a Singer stream, or several tables of the same name, each of another collection.

    One of the selected streams of a collection leads: it reads the collection, and also writes the rows of its
    siblings, whose own turn is then empty.
    """

    # The projection has made every value what its column promises; checking again would double the cost of a row.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def __init__(self, tap: RunTap, tables: Sequence[Table]) -> None:
        # The table's schema file, with the columns that the settings add.
        self.columns_file = property_columns.schema_of(tables[0].name, tap.config)
        self.tables = [property_columns.with_roots(entry, self.columns_file) for entry in tables]
        self.table = table = next(entry for entry in self.tables if entry.collection.supplements is None)
        self.collections = [entry.collection for entry in tables]
        self.gap_tables = [entry for entry in GAP_TABLES if entry.name == table.name]
        self._finished: set[str] = set()
        self.selected_by_default = table.name in BY_DEFAULT
        super().__init__(tap, schema=singer_schema(self.columns_file), name=table.name)
        self.primary_keys = table.key
        self.replication_key = table.bookmark
        self._has_written_schema = False
        self.rows_written = 0
        # Of the rows that are read now, when those of older ones are to go; the SDK puts it into every RECORD.
        self._stream_version = tap.version_of(tables)

    # What it reads, and from where ------------------------------------------------------------------------------------

    @property
    def metadata(self) -> MetadataMapping:
        """The SDK's, or the catalog's, in which a column is not selected with its stream that must be asked for."""
        is_new = self._metadata is None
        metadata = super().metadata
        for name in schema_files.optional_columns(self.columns_file) if is_new else ():
            column = metadata["properties", name]
            if column.selected is None and column.selected_by_default is None:
                column.selected_by_default = False
        return metadata

    @property
    def columns(self) -> tuple[str, ...]:
        """The selected columns; key and bookmark always are. A catalog of an older version may know fewer."""
        known = self.effective_schema["properties"]
        return tuple(
            name
            for name in self.columns_file["properties"]
            if name in known and self.mask.get(("properties", name), True)
        )

    def apply_catalog(self, catalog: Catalog) -> None:
        """As the SDK does it; columns that the settings add and an older catalog lacks are told of."""
        super().apply_catalog(catalog)
        entry = catalog.get_stream(self.name)
        if entry is None or not entry.metadata.resolve_selection()[()]:
            return
        known = {*self.effective_schema["properties"], *schema_files.load(self.name)["properties"]}
        if missing := [name for name in self.columns_file["properties"] if name not in known]:
            self.logger.warning(
                "%s: the catalog lacks %s, which the settings name: make it anew with --discover",
                self.name,
                ", ".join(missing),
            )

    @property
    def version(self) -> int | None:
        """Of the rows that are read now; None when none of an older one may go."""
        return self._stream_version

    # Reading ----------------------------------------------------------------------------------------------------------

    def get_records(self, context: Context | None) -> Iterable[Record]:  # noqa: ARG002 - the SDK's signature
        """The rows of this table, when it leads; those of its siblings are written on the way."""
        for collection, tables in self._collections_to_read():
            siblings = [table for table in (*tables, *filled_from(self._tap, collection)) if table is not self]
            for sibling in siblings:
                sibling._write_schema_message()
            for batch in self._batches(collection, tables):
                for sibling in siblings:
                    for row in batch.rows.get(sibling.name, ())[: sibling._rows_left]:
                        sibling._write_record_message(row)
                        sibling.rows_written += 1
                yield from batch.rows.get(self.name, ())
                self._advance_bookmarks(collection, tables, batch)

    @property
    def _rows_left(self) -> int | None:
        """How many more rows may be written; None for any number."""
        return None if self.ABORT_AT_RECORD_COUNT is None else max(self.ABORT_AT_RECORD_COUNT - self.rows_written, 0)

    def _collections_to_read(self) -> list[tuple[Collection, list[TableStream]]]:
        """The collections that this stream leads, each with the streams that have rows of it."""
        selected = [stream for stream in self._tap.streams.values() if stream.selected]
        streams = {stream.name: stream for stream in selected if isinstance(stream, TableStream)}
        plan = reading_plan({name: stream.collections_read for name, stream in streams.items()})
        return [(collection, [streams[name] for name in readers]) for collection, readers in plan.get(self.name, ())]

    @cached_property
    def collections_read(self) -> list[Collection]:
        """The collections of which it has rows in this run. Asked for before any is read, since the start moves.

        What supplements a collection shows nothing more where that one is read whole. What supplements one of which
        this stream has no rows may show less of a resource than the stream's others, which must come after it, whole.
        """
        main = {entry.name for entry in self.collections if entry.supplements is None}
        whole = {entry.name for entry in self.collections if self.start_in(entry) is None}
        return [
            entry
            for entry in self.collections
            if entry.supplements is None
            or (entry.supplements not in whole if entry.supplements in main else main <= whole)
        ]

    def _batches(
        self, collection: Collection, tables: Sequence[TableStream], *, as_lines: bool = False
    ) -> Generator[Batch, None, None]:
        names = [stream.name for stream in (*tables, *filled_from(self._tap, collection))]
        try:
            with (
                self._tap.progress.track(collection.name, names) as current,
                contextlib.closing(
                    self._tap.account.read(collection, self._starts(collection, tables), as_lines=as_lines)
                ) as batches,
            ):
                for batch in batches:
                    yield batch
                    current.add(batch)
        except (Refused, Unavailable) as error:
            without = [table.name for table in tables]
            if collection.supplements is None or not self._tap.goes_on_without(collection, without, error):
                self._tap.leave_out(without, error)
                return
        self._tap.failures.add_success()
        for table in tables:
            table.finish(collection)

    def _starts(self, collection: Collection, tables: Sequence[TableStream]) -> dict[str, datetime | None]:
        """Where each of the tables starts, and which gaps it fills, with bookmarks that are not ahead of now."""
        reached = (moment for table in tables for moment in (table.bookmark, table.start_in(collection)))
        now = self._tap.account.began_before(collection, reached)
        for table in tables:
            table.correct_bookmark(now)
            if table._had_bookmark is None:
                table._had_bookmark = table.bookmark is not None
        # Together, so that the past is requested once for all of them, whenever each was selected.
        looks_back = any(table.is_look_back_due(collection, now) for table in tables)
        for table in tables:
            table.set_looks_back(looks_back)
        groups = self._tap.account.groups
        starts = {
            table.name: table.start_of_members(table.start_in(collection), groups.of_table(table._table_of(collection)))
            for table in tables
        }
        for stream in filled_from(self._tap, collection):
            if (start := stream._gap_start(tables, starts)) is not None:
                starts[stream.name] = start
        return starts

    def _table_of(self, collection: Collection) -> Table:
        return next(entry for entry in self.tables if entry.collection == collection)

    def _gap_start(self, filling: Sequence[TableStream], starts: Mapping[str, datetime | None]) -> datetime | None:
        """After which time streams may fill its gaps: what was there before, earlier runs met; None for everything."""
        reached = [stream.bookmark for stream in filling if stream.bookmark is not None]
        begun = [start for start in starts.values() if start is not None]
        if not self._had_bookmark or not reached:
            return None
        # The read begins at the earliest start of all.
        return max([*reached, *([min(begun)] if begun else [])])

    def finish(self, collection: Collection) -> None:
        """Called when a collection was read to its end. After the last, older rows go, unless something was skipped."""
        self._finished.add(collection.name)
        names = {entry.name for entry in self.collections_read}
        if names <= self._finished:
            self.note_run()
            self.note_members(self._tap.account.groups.of_table(self._table_of(collection)))
        if self._stream_version is not None and names <= self._finished and not names & self._tap.account.incomplete:
            self._write_activate_version_message(self._stream_version)

    def _advance_bookmarks(self, collection: Collection, tables: Sequence[TableStream], batch: Batch) -> None:
        """Move the bookmarks as far as a batch that was written allows; now and then write them."""
        if batch.bookmark is None:
            self._tap.announce_if_due()
            return
        moved = [table.advance_bookmark(batch.bookmark) for table in tables if table.is_last(collection)]
        if any(moved):
            # The leader writes for all, also when it is ahead itself.
            self.state_manager.is_flushed = False
        if batch.ended or self._tap.is_time_for_state():
            self._write_state_message()

    def is_last(self, collection: Collection) -> bool:
        """Whether its other collections were read to their ends: then a bookmark holds for all of them."""
        return {entry.name for entry in self.collections_read} <= self._finished | {collection.name}

    # Lines instead of records -----------------------------------------------------------------------------------------

    def _sync_rows(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        """As the SDK does it, but page by page, where nothing needs the SDK's work on each record."""
        if not (write_messages and self._can_write_lines):
            yield from super()._sync_rows(context, write_messages=write_messages)
            return
        with self.get_record_counter() as counter, self.get_sync_timer() as timer:
            counter.with_context({})
            timer.with_context({})
            # What a leader wrote for this stream.
            counter.increment(self.rows_written)
            for collection, tables in self._collections_to_read():
                written = [*tables, *filled_from(self._tap, collection)]
                for sibling in written:
                    sibling._write_schema_message()
                # Closed at once, whatever happens: a worker that goes on would begin a file that nobody removes.
                with contextlib.closing(self._batches(collection, tables, as_lines=True)) as batches:
                    for batch in batches:
                        for table in written:
                            table._write_encoded(batch.encoded.get(table.name))
                        counter.increment(batch.encoded[self.name].count if self.name in batch.encoded else 0)
                        self._advance_bookmarks(collection, tables, batch)

    @property
    def _can_write_lines(self) -> bool:
        """Whether no stream map, flattening or limit of rows needs the SDK's work on each record."""
        is_plain = all(
            type(stream_map) is SameRecordTransform and not stream_map.flattening_enabled
            for collection, tables in self._collections_to_read()
            for table in (*tables, *filled_from(self._tap, collection))
            for stream_map in table.stream_maps
        )
        return is_plain and self.ABORT_AT_RECORD_COUNT is None

    def _write_encoded(self, encoded: Encoded | None) -> None:
        if encoded is not None and encoded.count:
            self._tap.writer.write_encoded(self.name, encoded)
            self.rows_written += encoded.count
            self.state_manager.is_flushed = False

    def _write_schema_message(self) -> None:
        # A leader writes its siblings' schemas before their rows; once is enough for a target.
        if not self._has_written_schema:
            super()._write_schema_message()
            self._has_written_schema = True


def filled_from(tap: RunTap, collection: Collection) -> list[TableStream]:
    """The selected streams whose gaps are filled from a collection, which other streams have rows of."""
    return [
        stream
        for stream in tap.streams.values()
        if isinstance(stream, TableStream)
        and stream.selected
        and any(table.collection == collection for table in stream.gap_tables)
    ]
