"""The base of both kinds of streams, of tables and of reports: bookmarks that hold, and an end that the tap learns."""

from __future__ import annotations

import logging
from collections.abc import Generator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from singer_sdk.helpers._batch import BatchConfig
from singer_sdk.helpers.types import Context, Record
from singer_sdk.streams import Stream

from klaviyo_client.errors import Incomplete, SettingsError
from klaviyo_client.plugin import stream_maps
from tap_klaviyo.streams.run import RunTap

# Told of a stream, and of its bookmark.
AHEAD = (
    "the bookmark of %s %s is in the future: the tap reads from lookback before now; for earlier changes run once "
    "without this bookmark"
)


class PrefixBookmarkStream(Stream):
    """A stream whose bookmark moves only to where nothing before it is missing.

    When the last stream of a run is done, it tells the tap.
    """

    _tap: RunTap

    # What the SDK would do otherwise ----------------------------------------------------------------------------------

    def _increment_stream_state(self, latest_record: Record, *, context: Context | None = None) -> None:
        # The SDK's bookmarks follow the rows and know no "now"; ours move only to where nothing before them is missing.
        pass

    def _write_starting_replication_value(self, context: Context | None) -> None:
        pass

    @property
    def emit_activate_version_messages(self) -> bool:
        """False: the SDK writes the message before the first row, and a target would empty the table in vain."""
        return False

    def get_replication_key_signpost(self, context: Context | None = None) -> Any:  # noqa: ARG002 - the SDK's signature
        return None

    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        # The SDK's errors, or Python's own, say neither the property nor the expression, and may quote a value.
        try:
            yield from self._sync_rows(context, write_messages=write_messages)
            if write_messages:
                self.write_last_state()
        except Exception as error:
            self._tap.keep_what_is_whole()
            if not stream_maps.is_failure(error):
                raise
            kind = SettingsError if stream_maps.is_mistake(error) else Incomplete
            raise kind(stream_maps.describe_failure(error)) from error

    def _sync_rows(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        """What the SDK does for a stream's records: write their messages, count them, and yield each of them."""
        yield from super()._sync_records(context, write_messages=write_messages)

    def get_batch_config(self, config: Mapping[str, Any]) -> BatchConfig | None:  # noqa: ARG002 - the SDK's signature
        """None: the SDK would announce files after the STATE that vouches for their rows. Our writer makes them."""
        return None

    def _write_state_message(self) -> None:
        # A STATE is written after the files that it vouches for, and these are not to be many small ones.
        if not self._tap.holds_state_back:
            super()._write_state_message()

    def write_last_state(self) -> None:
        """Write the STATE of all that was written, unless that was done."""
        super()._write_state_message()

    def log(self, message: str, *args: Any, level: int = logging.INFO, **options: Any) -> None:
        # The SDK logs it for every error, and for every table that --test stops on purpose. An error is logged once,
        # at the end.
        if message.startswith("An unhandled error"):
            level = logging.DEBUG
        super().log(message, *args, level=level, **options)

    def log_sync_costs(self) -> None:
        # The only call that the SDK makes after the last stream is done; `sync_all` itself is final.
        super().log_sync_costs()
        if self is list(self._tap.streams.values())[-1]:
            self._tap.finish()


def parse_time(name: str, text: str) -> datetime:
    """A time in a setting or a STATE; UTC where it names no zone.

    Raises:
        SettingsError: it is none.
    """
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        # A bound may lie a little earlier, and is sent in UTC: both must still be in the calendar.
        (moment - timedelta(days=1)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise SettingsError(f"{name} must be a time such as 2026-01-31T00:00:00Z, not {text!r}") from error
    return moment
