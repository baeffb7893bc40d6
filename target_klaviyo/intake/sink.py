"""The sink of one stream: checks its records, makes rows of them and hands them to the dispatcher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from singer_sdk.exceptions import MissingKeyPropertiesError, RecordsWithoutSchemaException
from singer_sdk.sinks import Sink

from klaviyo_client.errors import Incomplete, NotAllowed, NotFound, SettingsError
from target_klaviyo.actions.lists import MIRROR_OPTIONS
from target_klaviyo.delivery.action import Action, Row
from target_klaviyo.delivery.fingerprints import StreamFingerprints, unchanged
from target_klaviyo.intake.bad_values import LeftOut
from target_klaviyo.intake.column_checks import unidentified_stream, unreachable_paths
from target_klaviyo.intake.column_fates import ColumnFates
from target_klaviyo.intake.records import parse_stream_schema
from target_klaviyo.intake.route_settings import check_columns, unknown_stream, with_column_defaults
from target_klaviyo.intake.routes import Route
from target_klaviyo.intake.run import RunTarget
from target_klaviyo.intake.schema_dialects import UNKNOWN_COLUMNS
from target_klaviyo.model.records import OutcomeKind, Record, RejectedRecord, SourceRecord
from target_klaviyo.rehearsal.plan import Plan


class RecordBeforeSchema(Incomplete, RecordsWithoutSchemaException):
    """With ``strict_protocol``: a record came before its SCHEMA."""


class RecordWithoutKey(Incomplete, MissingKeyPropertiesError):
    """With ``strict_protocol``: a record lacks a key property."""


STRICT_ERRORS: Mapping[str, type[Incomplete]] = {"no_schema": RecordBeforeSchema, "missing_key": RecordWithoutKey}


class KlaviyoSink(Sink):
    """Takes the records of one stream.

    Raises:
        SettingsError: nothing says what to do with the stream, or its settings do not fit its SCHEMA.
    """

    def __init__(
        self, target: RunTarget, stream_name: str, schema: dict[str, Any], key_properties: Sequence[str] | None
    ) -> None:
        super().__init__(target, stream_name, schema, key_properties)
        if stream_name not in target.routes:
            raise unknown_stream(stream_name)
        properties = self.original_schema["properties"]
        columns = properties.keys()
        self.route = with_column_defaults(stream_name, target.routes[stream_name], columns)
        self._dispatcher = target.dispatcher
        self._session = target.session
        self._stream_schema = parse_stream_schema(
            stream_name, self.original_schema, self.key_properties, validate=self.config.get("validate_records", True)
        )
        # What is read by a format of its own need not be as ISO 8601 has it.
        dates = {
            name: form for name, form in self._stream_schema.date_formats.items() if not self.route.types.find(name)
        }
        self._stream_schema = replace(self._stream_schema, date_formats=dates)
        self._mirrors = target.mirrors
        self._plan = target.plan
        self._fates = ColumnFates(self.route, () if UNKNOWN_COLUMNS in self.original_schema else columns)
        if self.route.is_mirror and self.route.list is not None and not target.is_retrying:
            # Also when no record comes: the list's members are read from now on.
            self._mirrors.begin(stream_name, self.route.list, self.route.options)
        self._fingerprints = (
            target.fingerprints.of_stream(stream_name, _context(self.route))
            if self.route.options.get("only_changed")
            else None
        )
        self._self_copy_guard = self.route.self_copy_guard(stream_name)
        target.warn_once(self._stream_schema.warnings)
        if columns and UNKNOWN_COLUMNS not in self.original_schema:
            target.warn_once(check_columns(stream_name, self.route, columns))
            target.warn_once(unreachable_paths(stream_name, self.route, properties))
            target.warn_once(unidentified_stream(stream_name, self.route, properties))

    def get_validator(self) -> None:
        """None: the SDK's validator logs the values of a record that fails. Ours is ``StreamSchema``."""

    @property
    def max_size(self) -> int:
        """Rows that are sent at once."""
        return self.route.action.max_items

    @property
    def is_full(self) -> bool:
        """Never, to the SDK: batches are sent when they are full, and not one stream after the other."""
        return False

    def add(self, source: SourceRecord, record: Record) -> None:
        """Add a record to those that wait to be sent. ``record`` is what the stream maps made of the source record.

        Raises:
            RejectedRecord: it cannot be sent.
        """
        source.action = self.route.action.name
        if self._self_copy_guard is not None:
            self._refuse_self_copy(*self._self_copy_guard, record)
        if self._plan is not None:
            self._tell_plan(self._plan, source, record)
        try:
            action, row = self._row(source, record)
            if self.route.is_mirror and row.list is not None:
                self._mirrors.add(self.stream_name, source, row.list, self.route.options, row.payload)
        except RejectedRecord as rejection:
            if self.route.is_mirror and rejection.kind is OutcomeKind.REJECTED:
                person = self.route.identifiers_in(record)
                self._mirrors.add_refused(self.stream_name, source, self.route.list, self.route.options, person)
            raise
        self.tally_record_read()
        self.record_counter_metric.increment()
        if self._fingerprints is not None:
            self._leave_out_unchanged(self._fingerprints, source, action, row)
        self._dispatcher.add(self.stream_name, action, row)

    def _leave_out_unchanged(
        self, fingerprints: StreamFingerprints, source: SourceRecord, action: Action, row: Row
    ) -> None:
        """Remember that a row is about to be sent, unless it was delivered before.

        Raises:
            RejectedRecord: it was, and is left out.
            SettingsError: its list cannot be found.
        """
        try:
            list_id = None if row.list is None else self._session.lists.id_of(row.list)
        except RejectedRecord:  # the delivery says so
            return
        digests = fingerprints.digests(action, row, list_id)
        if fingerprints.is_unchanged(digests) and self._is_on_mirror(row):
            fingerprints.left_out += 1
            rejection = unchanged()
            self._mirrors.settle(source, rejection.outcome)
            raise rejection
        fingerprints.begin(source, digests)

    def _is_on_mirror(self, row: Row) -> bool:
        """Whether the row's person is on the list that is made equal to the stream; True where there is none."""
        if not self.route.is_mirror or row.list is None:
            return True
        mirror = self._mirrors.begin(self.stream_name, row.list, self.route.options)
        while not mirror.wait_for_members():
            self._dispatcher.poll()
        return mirror.has_member(row.payload)

    def _tell_plan(self, plan: Plan, source: SourceRecord, record: Record) -> None:
        """Tell what each column becomes, and find the list.

        Raises:
            SettingsError: it is not there.
        """
        ref = self.route.list
        if ref is not None and not ref.create:
            self._session.lists.id_of(ref)
        if (columns := self._fates.see(record)) is not None:
            plan.add_columns(source.stream, self.route.action.name, columns)

    def _row(self, source: SourceRecord, record: Record) -> tuple[Action, Row]:
        try:
            violation = self._schema_violation(record)
            if violation is None:
                return self.route.row(source, record)
            if not self.route.is_mirror and self.route.may_ignore_schema:
                action, row = self.route.row(source, record)
                if self.route.ignores_schema(row):
                    return action, replace(row, notes=(*row.notes, violation.note))
                source.pending = 1
            return self._row_without_violations(source, record, violation)
        except (OverflowError, RecursionError, ValueError) as error:
            raise RejectedRecord("unusable_value", f"a value is too large or nested too deeply ({error})") from error

    def _schema_violation(self, record: Record) -> RejectedRecord | None:
        """Why the record does not fit its SCHEMA; None when it fits.

        Raises:
            RejectedRecord: it lacks a key.
        """
        try:
            self._stream_schema.check(record)
        except RejectedRecord as rejection:
            if rejection.code in STRICT_ERRORS:
                raise
            return rejection
        return None

    def _row_without_violations(
        self, source: SourceRecord, record: Record, violation: RejectedRecord
    ) -> tuple[Action, Row]:
        """The row of a record without the columns that do not fit its SCHEMA, where it can do without them.

        Raises:
            RejectedRecord: it cannot, or nothing can be sent then.
        """
        keys = self._stream_schema.keys
        left_out = LeftOut([(column,) for column in record if self.route.can_do_without(column, keys)])
        rest = record
        fault: RejectedRecord | None = violation
        while fault is not None:
            rest = left_out.drop(rest, fault)
            fault = self._schema_violation(rest)
        try:
            action, row = self.route.row(source, rest)
        except RejectedRecord as rejection:
            source.pending = 1
            raise (violation if rejection.kind is OutcomeKind.REJECTED else rejection) from rejection
        return action, replace(row, notes=(*left_out.notes, *row.notes))

    def _refuse_self_copy(self, operation: str, column: str, record: Record) -> None:
        """Refuse to copy an account into itself: look up what the first record names of the account it comes from.

        Raises:
            SettingsError: the account that is written has it.
        """
        value = record.get(column, record.get(column.upper()))
        if not isinstance(value, str) or not value.isalnum():
            return
        self._self_copy_guard = None
        try:
            self._session.client.call(operation, path={"id": value})
        except NotFound:
            return
        except NotAllowed:
            self.logger.warning("%s: the key lacks the scope to check whether this copies an account into itself",
                                self.stream_name)  # fmt: skip
            return
        raise SettingsError(
            f"the stream {self.stream_name} comes from the account that it goes to. If that is intended, set "
            f'"streams": {{"{self.stream_name}": {{"action": "{self.route.action.name}"}}}}'
        )

    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:  # noqa: ARG002 - the SDK's signature
        """The SDK's way in, for a record that did not come through ``TargetKlaviyo``."""
        self.add(SourceRecord(self.stream_name, record), record)

    def process_batch(self, context: dict[str, Any]) -> None:  # noqa: ARG002 - the SDK's signature
        """Send what waits; returns when every row has its outcome, which is what a STATE relies on."""
        self._dispatcher.flush()


def _context(route: Route) -> dict[str, Any]:
    """What must be as it was for a row to be unchanged, beside what is sent of it.

    How values are read shows in what is sent, and who may be removed changes nothing that is.
    """
    entry = {name: value for name, value in route.entry.items() if name not in (*MIRROR_OPTIONS, "types")}
    return {"entry": entry, "action": route.action.name, "region": route.region}
