"""The only sink: records of one stream are checked here, and put on their way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from singer_sdk.exceptions import MissingKeyPropertiesError, RecordsWithoutSchemaException
from singer_sdk.sinks import Sink

from klaviyo_client.errors import Incomplete, NotAllowed, NotFound, SettingsError
from target_klaviyo.delivery.action import Action, Row
from target_klaviyo.intake import routes
from target_klaviyo.intake.records import incoming
from target_klaviyo.intake.run import RunTarget
from target_klaviyo.model.records import OutcomeKind, Record, RejectedRecord, SourceRecord


class RecordBeforeSchema(Incomplete, RecordsWithoutSchemaException):
    """With ``strict_protocol``: a record came before its SCHEMA."""


class RecordWithoutKey(Incomplete, MissingKeyPropertiesError):
    """With ``strict_protocol``: a record lacks a key property."""


BREACHES: Mapping[str, type[Incomplete]] = {"no_schema": RecordBeforeSchema, "missing_key": RecordWithoutKey}


class KlaviyoSink(Sink):
    """One stream on its way to Klaviyo.

    Raises:
        SettingsError: nothing says what to do with the stream, or its settings do not fit its SCHEMA.
    """

    def __init__(
        self, target: RunTarget, stream_name: str, schema: dict[str, Any], key_properties: Sequence[str] | None
    ) -> None:
        super().__init__(target, stream_name, schema, key_properties)
        if stream_name not in target.routes:
            raise routes.unmapped(stream_name)
        self.route = routes.fitted(stream_name, target.routes[stream_name], self.original_schema["properties"].keys())
        self._dispatcher = target.despatch
        self._session = target.session
        self._incoming = incoming(
            stream_name, self.original_schema, self.key_properties, validate=self.config.get("validate_records", True)
        )
        self._mirrors = target.mirrors
        if self.route.is_mirror and self.route.list is not None:
            # Also when no record comes: the list's members are read from now on.
            self._mirrors.begin(stream_name, self.route.list, self.route.options)
        self._suspect = self.route.self_copy_guard(stream_name)
        for warning in routes.check_columns(stream_name, self.route, self.original_schema["properties"]):
            self.logger.warning(warning)

    def get_validator(self) -> None:
        """None: the SDK's validator logs the values of a record that fails. Ours is ``incoming``."""

    @property
    def max_size(self) -> int:
        """Rows that are sent at once."""
        return self.route.action.max_items

    @property
    def is_full(self) -> bool:
        """Never, to the SDK: batches are sent when they are full, and not one stream after the other."""
        return False

    def take(self, origin: SourceRecord, record: Record) -> None:
        """Let a record wait for its batch. ``record`` is what the stream maps made of the origin's record.

        Raises:
            RejectedRecord: it cannot be sent.
        """
        origin.action = self.route.action.name
        if self._suspect is not None:
            self._check_account(*self._suspect, record)
        try:
            action, row = self._row(origin, record)
            if self.route.is_mirror and row.list is not None:
                self._mirrors.add(self.stream_name, origin, row.list, self.route.options, row.payload)
        except RejectedRecord as unfit:
            if self.route.is_mirror and unfit.kind is OutcomeKind.REJECTED:
                who = self.route.who(record)
                self._mirrors.add_refused(self.stream_name, origin, self.route.list, self.route.options, who)
            raise
        self.tally_record_read()
        self.record_counter_metric.increment()
        self._dispatcher.add(self.stream_name, action, row)

    def _broken(self, record: Record) -> RejectedRecord | None:
        """What the record has otherwise than its SCHEMA promises; whether that matters is known by what is sent of it.

        Raises:
            RejectedRecord: it lacks its key.
        """
        try:
            self._incoming.check(record)
        except RejectedRecord as unfit:
            if unfit.code in BREACHES or self.route.is_mirror or not self.route.may_send_only:
                raise
            return unfit
        return None

    def _row(self, origin: SourceRecord, record: Record) -> tuple[Action, Row]:
        try:
            broken = self._broken(record)
            action, row = self.route.row(origin, record)
            if broken is None:
                return action, row
            if not self.route.sends_only(row):
                origin.pending = 1
                raise broken
            return action, replace(row, note=row.note or broken.note)
        except (OverflowError, RecursionError, ValueError) as error:
            raise RejectedRecord("unusable_value", f"a value is too large or nested too deeply ({error})") from error

    def _check_account(self, operation: str, column: str, record: Record) -> None:
        """Refuse to copy an account into itself, by the first record that names something of the one it comes from.

        Raises:
            SettingsError: the account has it.
        """
        value = record.get(column)
        if not isinstance(value, str) or not value.isalnum():
            return
        self._suspect = None
        try:
            self._session.client.call(operation, path={"id": value})
        except NotFound:
            return
        except NotAllowed:
            self.logger.warning("%s: the key may not read what would tell whether this copies an account into itself",
                                self.stream_name)  # fmt: skip
            return
        raise SettingsError(
            f"the stream {self.stream_name} was read from the account that it is to be sent to. If that is "
            f'meant, say so: "streams": {{"{self.stream_name}": {{"action": "{self.route.action.name}"}}}}'
        )

    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:  # noqa: ARG002 - the SDK's signature
        """The SDK's way in, for a record without an origin."""
        self.take(SourceRecord(self.stream_name, record), record)

    def process_batch(self, context: dict[str, Any]) -> None:  # noqa: ARG002 - the SDK's signature
        """Send what waits; returns when every row has its outcome, which is what a STATE relies on."""
        self._dispatcher.flush()
