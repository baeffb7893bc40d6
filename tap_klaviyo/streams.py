"""The only Singer stream class: one instance per table."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.helpers.types import Context, Record
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE
from singer_sdk.streams import Stream

from klaviyo_client.errors import NotAllowed, SettingsError
from tap_klaviyo import schemas
from tap_klaviyo.model import Table
from tap_klaviyo.projection import emitted

if TYPE_CHECKING:
    from tap_klaviyo.tap import TapKlaviyo


class TableStream(Stream):
    """A table as a Singer stream.

    The first selected table of a collection leads: its pass over the collection also writes the rows of its siblings,
    whose own turn is then empty.
    """

    _tap: TapKlaviyo

    # The projection has made every value what its column promises; checking again would double the cost of a row.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def __init__(self, tap: TapKlaviyo, table: Table) -> None:
        self.table = table
        super().__init__(tap, schema=emitted(schemas.load(table.name)), name=table.name)
        self.primary_keys = table.key
        self.replication_key = table.bookmark
        self._schema_written = False

    # What the table is to start from ----------------------------------------------------------------------------------

    @property
    def columns(self) -> tuple[str, ...]:
        """The selected columns; key and bookmark always are. A catalog of an older version may know fewer."""
        known = self.effective_schema["properties"]
        return tuple(
            name
            for name in schemas.load(self.table.name)["properties"]
            if name in known and self.mask.get(("properties", name), True)
        )

    @property
    def since(self) -> datetime | None:
        """Bookmark or start date, whichever is later; None for everything."""
        if self.replication_method == REPLICATION_FULL_TABLE:
            return None
        values = {
            f"the bookmark of {self.name}": self.get_context_state(None).get("replication_key_value"),
            "start_date": self.config.get("start_date"),
        }
        return max((moment(name, value) for name, value in values.items() if value), default=None)

    # Reading ----------------------------------------------------------------------------------------------------------

    def get_records(self, context: Context | None) -> Iterable[Record]:  # noqa: ARG002 - the SDK's signature
        """The rows of this table, when it leads; those of its siblings are written on the way."""
        tables = self._tap.selected_of(self.table.collection)
        if tables[0] is not self:
            return
        starts = [table.since for table in tables]
        since = None if None in starts else min(start for start in starts if start)
        siblings = tables[1:]
        for sibling in siblings:
            sibling._write_schema_message()
        try:
            for batch in self._tap.account.read(self.table.collection, since):
                for sibling in siblings:
                    for row in batch.rows.get(sibling.name, ())[: self.ABORT_AT_RECORD_COUNT]:
                        sibling._write_record_message(row)
                yield from batch.rows.get(self.name, ())
                if batch.edge is not None:
                    for table in tables:
                        table.publish(batch.edge)
                    self._write_state_message()
        except NotAllowed as error:
            self._tap.skip([table.name for table in tables], error)

    def publish(self, edge: str) -> None:
        """Move the bookmark to this edge, never back."""
        if self.replication_method == REPLICATION_FULL_TABLE or not self.replication_key:
            return
        state = self.get_context_state(None)
        before = state.get("replication_key_value")
        if before and moment("bookmark", before) >= moment("bookmark", edge):
            return
        state.update(replication_key=self.replication_key, replication_key_value=edge)
        self.state_manager.is_flushed = False

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
