"""The only sink: records of one stream wait here until they make a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from singer_sdk.sinks import Sink

from klaviyo_client.command import Incomplete
from target_klaviyo import routes
from target_klaviyo.incoming import incoming
from target_klaviyo.model import Origin, Record, Row, Unfit

if TYPE_CHECKING:
    from target_klaviyo.target import TargetKlaviyo


class KlaviyoSink(Sink):
    """One stream on its way to Klaviyo.

    Raises:
        SettingsError: nothing says what to do with the stream, or its settings do not fit its SCHEMA.
    """

    def __init__(
        self, target: TargetKlaviyo, stream_name: str, schema: dict[str, Any], key_properties: Sequence[str] | None
    ) -> None:
        super().__init__(target, stream_name, schema, key_properties)
        if stream_name not in target.routes:
            raise routes.unmapped(stream_name)
        self.route = target.routes[stream_name]
        self._report = target.report
        self._session = target.session
        self._incoming = incoming(
            stream_name, self.original_schema, self.key_properties, validate=self.config.get("validate_records", True)
        )
        self._rows: list[Row] = []
        self._bytes = 0
        for warning in routes.check_columns(stream_name, self.route, self.original_schema["properties"]):
            self.logger.warning(warning)

    def get_validator(self) -> None:
        """None: the SDK's validator logs the values of a record that fails. Ours is ``incoming``."""

    @property
    def max_size(self) -> int:
        """Rows that one request to Klaviyo may hold, or fewer by ``batch_size_rows``."""
        limit = self.route.action.max_items
        return max(1, min(self.batch_size_rows or limit, limit))

    @property
    def is_full(self) -> bool:
        """Whether the waiting rows fill a request, by count or by bytes."""
        return self.current_size >= self.max_size or self._is_heavy()

    def _is_heavy(self) -> bool:
        action = self.route.action
        # One more row of the largest size must still fit, or the batch would need a second, nearly empty request.
        return action.max_bytes is not None and self._bytes >= action.max_bytes - 2 * (action.max_item_bytes or 0)

    def take(self, origin: Origin, record: Record) -> None:
        """Let a record wait for its batch. ``record`` is what the stream maps made of the origin's record.

        Raises:
            Unfit: it cannot be sent.
        """
        try:
            self._incoming.check(record)
            row = self.route.row(origin, record)
        except (OverflowError, RecursionError, ValueError) as error:
            raise Unfit("unusable_value", f"a value is too large or nested too deeply ({error})") from error
        self._rows.append(row)
        self._bytes += len(row.body) + 1
        self.tally_record_read()
        self.record_counter_metric.increment()

    def reject(self, origin: Origin, unfit: Unfit) -> None:
        """Put a record that cannot be sent on file."""
        self._report.add(origin, self.route.action.name, unfit.outcome)

    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:  # noqa: ARG002 - the SDK's signature
        """The SDK's way in, for a record without an origin."""
        self.take(Origin(self.stream_name, record), record)

    def process_batch(self, context: dict[str, Any]) -> None:  # noqa: ARG002 - the SDK's signature
        """Send what waits; returns when every row has its outcome, which is what a STATE relies on."""
        rows, self._rows, self._bytes = self._rows, [], 0
        settled = 0
        for unit, outcome in self.route.action.deliver(self._session, rows):
            for row in unit.rows:
                self._report.add(row.origin, self.route.action.name, outcome)
            settled += len(unit.rows)
        if settled != len(rows):
            raise Incomplete(f"{self.stream_name}: {len(rows)} records were sent and {settled} outcomes came back")
