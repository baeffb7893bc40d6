"""The Singer stream class of tables: one instance per stream, of one table or several of the same name."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Generator, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.helpers.types import Context, Record
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE
from singer_sdk.streams import Stream

from klaviyo_client.errors import NotAllowed, SettingsError
from tap_klaviyo.model import Collection, Table
from tap_klaviyo.reading.account_reader import Batch
from tap_klaviyo.rows import schema_files
from tap_klaviyo.rows.projection import singer_schema
from tap_klaviyo.rows.record_lines import Lines
from tap_klaviyo.tables import BY_DEFAULT

if TYPE_CHECKING:
    from tap_klaviyo.tap import TapKlaviyo


class EdgeStream(Stream):
    """A stream whose bookmarks are edges of a completed prefix, and whose run has an end that the tap is told of."""

    _tap: TapKlaviyo

    # What the SDK would do otherwise ----------------------------------------------------------------------------------

    def _increment_stream_state(self, latest_record: Record, *, context: Context | None = None) -> None:
        # The SDK's bookmarks follow the rows and know no "now"; ours are edges of a completed prefix.
        pass

    def _write_starting_replication_value(self, context: Context | None) -> None:
        pass

    def get_replication_key_signpost(self, context: Context | None = None) -> Any:  # noqa: ARG002 - the SDK's signature
        return None

    def log(self, message: str, *args: Any, level: int = logging.INFO, **options: Any) -> None:
        # Said of every error, and of every table that --test stops on purpose. What went wrong is said once, last.
        if message.startswith("An unhandled error"):
            level = logging.DEBUG
        super().log(message, *args, level=level, **options)

    def log_sync_costs(self) -> None:
        # The only call that the SDK makes after the last stream is done; `sync_all` itself is final.
        super().log_sync_costs()
        if self is list(self._tap.streams.values())[-1]:
            self._tap.finish()


class TableStream(EdgeStream):
    """A table as a Singer stream, or several tables of the same name, each of another collection.

    The first selected table of a collection leads: its pass over the collection also writes the rows of its siblings,
    whose own turn is then empty.
    """

    # The projection has made every value what its column promises; checking again would double the cost of a row.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def __init__(self, tap: TapKlaviyo, tables: Sequence[Table]) -> None:
        self.tables = tables
        self.table = table = tables[0]
        self.collections = [found.collection for found in tables]
        self.finished: set[str] = set()
        self.selected_by_default = table.name in BY_DEFAULT
        super().__init__(tap, schema=singer_schema(schema_files.load(table.name)), name=table.name)
        self.primary_keys = table.key
        self.replication_key = table.bookmark
        self._schema_written = False
        self.written = 0
        # Of the rows that are read now, when those of older ones are to go; the SDK puts it into every RECORD.
        self._stream_version = tap.version_of(self)

    # What the table is to start from ----------------------------------------------------------------------------------

    @property
    def columns(self) -> tuple[str, ...]:
        """The selected columns; key and bookmark always are. A catalog of an older version may know fewer."""
        known = self.effective_schema["properties"]
        return tuple(
            name
            for name in schema_files.load(self.table.name)["properties"]
            if name in known and self.mask.get(("properties", name), True)
        )

    @property
    def version(self) -> int | None:
        """Of the rows that are read now; None when none of an older one may go."""
        return self._stream_version

    @property
    def since(self) -> datetime | None:
        """Where to start: some time before the bookmark, but not before the start date; None for everything."""
        if self.replication_method == REPLICATION_FULL_TABLE:
            return None
        bookmark = self.get_context_state(None).get("replication_key_value")
        start_date = self.config.get("start_date")
        # A lookback of centuries must not fall off the calendar.
        starts = [moment("start_date", start_date)] if start_date else []
        if bookmark:
            reached = moment(f"the bookmark of {self.name}", bookmark)
            room = reached - datetime(2, 1, 1, tzinfo=UTC)
            starts.append(reached - min(max(map(self._tap.lookback, self.collections)), max(room, timedelta())))
        return max(starts, default=None)

    # Reading ----------------------------------------------------------------------------------------------------------

    def get_records(self, context: Context | None) -> Iterable[Record]:  # noqa: ARG002 - the SDK's signature
        """The rows of this table, when it leads; those of its siblings are written on the way."""
        for collection, tables in self._led():
            siblings = tables[1:]
            for sibling in siblings:
                sibling._write_schema_message()
            for batch in self._batches(collection, tables):
                for sibling in siblings:
                    for row in batch.rows.get(sibling.name, ())[: sibling._room]:
                        sibling._write_record_message(row)
                        sibling.written += 1
                yield from batch.rows.get(self.name, ())
                self._note(collection, tables, batch)

    @property
    def _room(self) -> int | None:
        """How many rows it may still have; None for any number."""
        return None if self.ABORT_AT_RECORD_COUNT is None else max(self.ABORT_AT_RECORD_COUNT - self.written, 0)

    def _led(self) -> Iterator[tuple[Collection, list[TableStream]]]:
        """The collections that this stream leads, each with the streams that have rows of it."""
        for collection in self.collections:
            tables = self._tap.selected_of(collection)
            if tables and tables[0] is self:
                yield collection, tables

    def _batches(
        self, collection: Collection, tables: Sequence[TableStream], *, as_lines: bool = False
    ) -> Iterator[Batch]:
        starts = {table.name: table.since for table in tables}
        try:
            with (
                self._tap.progress.reading(collection.name, starts) as current,
                contextlib.closing(self._tap.account.read(collection, starts, as_lines=as_lines)) as batches,
            ):
                for batch in batches:
                    yield batch
                    current.add(batch)
        except NotAllowed as error:
            self._tap.skip([table.name for table in tables], error)
            return
        for table in tables:
            table.finish(collection)

    def finish(self, collection: Collection) -> None:
        """A collection has come to its end; when all have, older rows may go, unless something was skipped."""
        self.finished.add(collection.name)
        names = {found.name for found in self.collections}
        if self._stream_version is not None and names <= self.finished and not names & self._tap.account.partial:
            self._write_activate_version_message(self._stream_version)

    @property
    def emit_activate_version_messages(self) -> bool:
        """False: the SDK writes the message before the first row, and a target would empty the table in vain."""
        return False

    def _note(self, collection: Collection, tables: Sequence[TableStream], batch: Batch) -> None:
        """Move the bookmarks as far as a batch that was written allows; now and then write them."""
        if batch.edge is None:
            return
        moved = [table.publish(batch.edge) for table in tables if table.lacks_only(collection)]
        if any(moved):
            # The leader writes for all, also when it is ahead itself.
            self.state_manager.is_flushed = False
        if batch.ended or self._tap.is_time_for_state():
            self._write_state_message()

    def lacks_only(self, collection: Collection) -> bool:
        """Whether its other collections have come to their ends: the bookmark holds for all of them."""
        return {found.name for found in self.collections} <= self.finished | {collection.name}

    def publish(self, edge: str) -> bool:
        """Move the bookmark to this edge, never back; whether it moved."""
        if self.replication_method == REPLICATION_FULL_TABLE or not self.replication_key:
            return False
        state = self.get_context_state(None)
        before = state.get("replication_key_value")
        if before and moment("bookmark", before) >= moment("bookmark", edge):
            return False
        state.update(replication_key=self.replication_key, replication_key_value=edge)
        return True

    # The short way ----------------------------------------------------------------------------------------------------

    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        """As the SDK does it, but for pages instead of records where nothing asks for its work on each record."""
        if not (write_messages and self._takes_the_short_way):
            yield from super()._sync_records(context, write_messages=write_messages)
            return
        with self.get_record_counter() as counter, self.get_sync_timer() as timer:
            counter.with_context({})
            timer.with_context({})
            # What a leader wrote for this stream.
            counter.increment(self.written)
            for collection, tables in self._led():
                for sibling in tables[1:]:
                    sibling._write_schema_message()
                for batch in self._batches(collection, tables, as_lines=True):
                    for table in tables:
                        table._write_lines(batch.lines.get(table.name))
                    counter.increment(batch.lines[self.name].count if self.name in batch.lines else 0)
                    self._note(collection, tables, batch)
        self._write_state_message()

    @property
    def _takes_the_short_way(self) -> bool:
        plain = all(
            type(stream_map) is SameRecordTransform and not stream_map.flattening_enabled
            for collection in self.collections
            for table in self._tap.selected_of(collection)
            for stream_map in table.stream_maps
        )
        return plain and self.ABORT_AT_RECORD_COUNT is None

    def _write_lines(self, lines: Lines | None) -> None:
        if lines is not None and lines.count:
            self._tap.write_lines(lines.data)
            self.written += lines.count
            self.state_manager.is_flushed = False

    def _write_schema_message(self) -> None:
        # A leader writes its siblings' schemas before their rows; once is enough for a target.
        if not self._schema_written:
            super()._write_schema_message()
            self._schema_written = True


def moment(name: str, value: str) -> datetime:
    """A time in a setting or a STATE; UTC where it names no zone.

    Raises:
        SettingsError: it is none.
    """
    try:
        found = datetime.fromisoformat(value)
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        # A bound may lie a little earlier, and is sent in UTC: both must still be in the calendar.
        (found - timedelta(days=1)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise SettingsError(f"{name} must be a time such as 2026-01-31T00:00:00Z, not {value!r}") from error
    return found
