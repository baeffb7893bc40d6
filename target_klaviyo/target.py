"""The Singer target.

The way of a message: ``MessageReader`` reads a line and calls ``_process_..._message``. A record goes through the
stream maps to the sink of its stream, which checks it; its route makes a row of it, and the dispatcher sends that. When
the outcome comes back, it goes to the ledger and to the results. A STATE is written when every record before it has
its outcome.
"""

from __future__ import annotations

import copy
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from types import FrameType
from typing import IO, Any, ClassVar

from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import Incomplete, KlaviyoError, SettingsError
from klaviyo_client.http.transport import RequestsTransport
from klaviyo_client.plugin import settings, stream_maps
from target_klaviyo.actions.audience_manifest import AUDIENCE_MANIFEST
from target_klaviyo.audience.mirrors import Mirrors
from target_klaviyo.delivery.action import Row
from target_klaviyo.delivery.dispatch import Dispatcher
from target_klaviyo.delivery.fingerprints import Fingerprints
from target_klaviyo.delivery.graceful_stop import GracefulStop, StoppableTransport
from target_klaviyo.delivery.ledger import Ledger
from target_klaviyo.delivery.session import Session
from target_klaviyo.intake.closing import Closing
from target_klaviyo.intake.command_target import CommandTarget
from target_klaviyo.intake.message_reader import MessageReader
from target_klaviyo.intake.permissions import TEST_STREAM
from target_klaviyo.intake.records import AS_IT_CAME
from target_klaviyo.intake.retrying import Retrying, superseded
from target_klaviyo.intake.route_settings import parse_routes
from target_klaviyo.intake.run_facts import RunFacts, resend_command
from target_klaviyo.intake.schema_dialects import complete_message
from target_klaviyo.intake.sink import STRICT_ERRORS, KlaviyoSink
from target_klaviyo.intake.state_writer import StateWriter
from target_klaviyo.model.identifiers import checked_region
from target_klaviyo.model.records import Outcome, Record, RejectedRecord, SourceRecord
from target_klaviyo.rehearsal.plan import Plan
from target_klaviyo.rehearsal.push_command import push_command as make_push_command
from target_klaviyo.rehearsal.rehearsal import Rehearsal, is_rehearsal
from target_klaviyo.reporting.outcomes_file import OutcomesFile, make_run_id
from target_klaviyo.reporting.output_files import writable_path, writable_report_path
from target_klaviyo.reporting.progress import Progress
from target_klaviyo.reporting.rejects_file import RejectsFile
from target_klaviyo.reporting.results import RunResults, parse_max_rejects
from target_klaviyo.reporting.run_report import RunReport
from target_klaviyo.settings import SETTINGS

# Rows wait until their batch is full, and the STATE behind them with them, so that batches stay large; but not for
# longer than this: so much is at most repeated after a crash.
STATE_SECONDS = 30.0


class TargetKlaviyo(CommandTarget):
    """Pushes records to Klaviyo: profiles, events, orders, lists, consent. One outcome for every record."""

    name = "target-klaviyo"
    package_name = "singer-klaviyo"
    default_sink_class = KlaviyoSink
    own_settings = SETTINGS
    config_jsonschema: ClassVar[dict[str, Any]] = copy.deepcopy(SETTINGS)
    # The SDK hands signals to us before anything else is set up.
    _is_ready = False

    def __init__(self, *, push_command: str | None = None, **options: Any) -> None:
        """Read the settings, and nothing else yet.

        ``push_command`` is what a rehearsal's plan says to do next; by default, as this process was called.

        Raises:
            SettingsError: one is missing or wrong.
        """
        reader = MessageReader()
        super().__init__(message_reader=reader, **options)
        self.max_parallelism = 1
        self.warned, self.refused = set(), set()
        self.is_rehearsal = is_rehearsal(self.config, os.environ)
        self.plan = Plan(self.config["rate_limit_share"]) if self.is_rehearsal else None
        self._rehearsal = Rehearsal(self.plan) if self.plan is not None else None
        if self.plan is not None:
            self.plan.command = push_command or make_push_command(sys.argv, os.environ)
        streams, region = self.config.get("streams") or {}, checked_region(self.config.get("default_region"))
        self.routes = parse_routes(streams, region, refuse=None if self.plan is None else self.refuse)
        self.results = self._make_results()
        self._stop = GracefulStop()
        self.session = Session(self._make_client(), job_timeout=self.config["job_timeout"])
        self.ledger = Ledger()
        self.fingerprints = self._make_fingerprints()
        self.states = StateWriter(self.ledger, lambda: self.mirrors, self._write_true_state)
        progress = Progress(
            lambda: self.results.records,
            lambda: self.results.counts_in_words,
            usage=self.session.client.usage,
            expected=lambda: self.mirrors.expected,
        )
        self._closing = Closing(self, reader, self._stop, progress)
        reader.reject, reader.idle, reader.around = self._reject_line, self._poll, self._closing.around
        retry_path = self._writable_path("rejects_path") if self.config["retry_rejects"] else None
        self._retrying = Retrying(self, retry_path)
        reader.begin = self._begin
        self._facts = RunFacts(self.session, self._stop, self.config["api_url"])
        self.results.facts = self._facts.to_json
        self.results.resend_command = partial(resend_command, arguments=sys.argv, environment=os.environ)
        self._is_ready = True

    # The parts of a run -----------------------------------------------------------------------------------------------

    def _make_results(self) -> RunResults:
        limit = parse_max_rejects(self.config.get("max_rejects"), self.config["on_reject"])
        if self._rehearsal is not None:
            return self._rehearsal.make_results(self._writable_path("plan_path"), limit)
        report_path = writable_report_path("report_path", self.config.get("report_path"))
        run = make_run_id()
        report = RunReport(report_path, run=run) if report_path is not None else None
        outcomes_path = self.config.get("outcomes_path")
        outcomes = (
            OutcomesFile(writable_path("outcomes_path", outcomes_path, os.environ), run) if outcomes_path else None
        )
        return RunResults(RejectsFile(self._writable_path("rejects_path")), limit, report, outcomes)

    def _writable_path(self, setting: str, *below: str) -> Path:
        default, value = (
            str(Path(text, *below)) for text in (SETTINGS["properties"][setting]["default"], self.config[setting])
        )
        return writable_path(setting, value, os.environ, default=default)

    def _make_fingerprints(self) -> Fingerprints:
        is_asked_for = any(route.options.get("only_changed") for route in self.routes.values())
        folder = self._writable_path("fingerprints_path", "key").parent if is_asked_for else None
        account = json.dumps([self.config.get(name) for name in ("api_url", "api_key", *settings.OAUTH)])
        return Fingerprints(folder, account, keeps=not self.is_rehearsal)

    def _make_client(self) -> KlaviyoClient:
        client_type = KlaviyoClient if self._rehearsal is None else self._rehearsal.make_client
        transport = StoppableTransport(RequestsTransport(timeout=self.config["request_timeout"]), self._stop)
        make_client = partial(client_type, clock=self._stop.clock(), transport=transport)
        return settings.connect(self.config, self.name, make_client)

    @cached_property
    def dispatcher(self) -> Dispatcher:
        make_dispatcher = Dispatcher if self._rehearsal is None else self._rehearsal.make_dispatcher
        return make_dispatcher(
            self.session,
            self._add_outcome,
            max_in_flight=self.config["concurrency"],
            max_rows=self.config.get("batch_size_rows"),
            stop=self._stop,
        )

    @cached_property
    def mirrors(self) -> Mirrors:
        members_known = None if self._rehearsal is None else self._rehearsal.plan.exclude_members
        return Mirrors(self.session, datetime.now(UTC), members_known)

    def setup_mapper(self) -> None:
        with stream_maps.setting_errors("the settings cannot be used"):
            super().setup_mapper()

    # Messages ---------------------------------------------------------------------------------------------------------

    def _begin(
        self, message: Mapping[str, Any] | None, source: IO[Any], read_before: Callable[[IO[str]], None]
    ) -> None:
        """Send what an earlier run rejected, before the first message of the input."""
        if message is None or not self._is_settings_test(message.get("stream")):
            if self.config.get("report_path") and not self.is_rehearsal:
                self._facts.ask()
            self._retrying.send_all(read_before, source)

    @property
    def is_retrying(self) -> bool:
        return self._retrying.is_active

    def _process_schema_message(self, message_dict: dict[str, Any]) -> None:
        stream = message_dict.get("stream")
        if not isinstance(stream, str):
            raise Incomplete("a SCHEMA of the tap names no stream; its records cannot be read")
        if self._is_settings_test(stream):
            self.check_permissions()
            return
        with self.judging(stream):
            message, warnings = complete_message(message_dict)
            self.warn_once(warnings)
            self.results.remember_schema(message)
            try:
                self._begin_stream(stream, message)
            except SettingsError as error:
                if not self.is_retrying:
                    raise
                self._retrying.refuse_stream(stream, error)

    def _begin_stream(self, stream: str, message: dict[str, Any]) -> None:
        sinks_before = set(map(id, self._sinks_active.values()))
        with stream_maps.setting_errors(f"the setting stream_maps does not fit the stream {stream}"):
            super()._process_schema_message(message)
        if sinks_before and not sinks_before.issuperset(map(id, self._sinks_active.values())):
            # Another stream begins, or this one anew. What came before may be about the same people, and must not
            # arrive later.
            self.dispatcher.flush()
        if not self.is_retrying and any(
            self._is_mirrored(stream_map.stream_alias) for stream_map in self.mapper.stream_maps[stream]
        ):
            self.mirrors.streams.add(stream)

    def _is_settings_test(self, stream: Any) -> bool:
        """Whether it is what Meltano sends to test the settings, and nothing that is meant for Klaviyo."""
        return stream == TEST_STREAM and stream not in self.routes

    def _is_mirrored(self, alias: str) -> bool:
        return alias in self.routes and self.routes[alias].is_mirror

    def _action_of_audience(self, alias: str) -> str | None:
        """The action of a stream that is only good for the run in which it comes; None of any other."""
        action = self.routes[alias].action.name if alias in self.routes else None
        return action if self._is_mirrored(alias) or action == AUDIENCE_MANIFEST.name else None

    def _process_record_message(self, message_dict: dict[str, Any]) -> None:
        stream, record = message_dict["stream"], message_dict["record"]
        if self._is_settings_test(stream) or stream in self.refused or not self._may_send(stream, record):
            return
        self.results.records += 1
        if stream not in self.mapper.stream_maps:
            if not self.is_retrying:
                self.mirrors.add_unattributed(stream)
            rejection = RejectedRecord("no_schema", "a record came before the SCHEMA of its stream")
            self._reject(SourceRecord(stream, record, is_retried=self.is_retrying), rejection)
            return
        for stream_map in self.mapper.stream_maps[stream]:
            source = SourceRecord(
                stream,
                message_dict.get(AS_IT_CAME, record),
                version=message_dict.get("version"),
                has_lost_text=AS_IT_CAME in message_dict,
                is_retried=self.is_retrying,
            )
            self._add_record(source, record, stream_map)
        self.states.write_due()
        self.results.check_limit()

    def _may_send(self, stream: str, record: Record) -> bool:
        """Whether a record is to be sent; of an earlier run's some are not."""
        if not self.is_retrying:
            return True
        try:
            return self._retrying.check(stream, record)
        except RejectedRecord as rejection:
            self.results.records += 1
            self._reject(SourceRecord(stream, record, is_retried=True), rejection)
            return False

    def _add_record(self, source: SourceRecord, source_record: Record, stream_map: Any) -> None:
        if source.is_retried and (action := self._action_of_audience(stream_map.stream_alias)):
            source.action = action
            self._reject(source, superseded(action))
            return
        try:
            record = stream_map.transform(dict(source_record))
        except KlaviyoError:
            raise
        except Exception as error:  # noqa: BLE001 - a stream map is the user's own expression, and may raise anything
            if not source.is_retried:
                self.mirrors.add_unattributed(stream_map.stream_alias)
            self._reject(source, RejectedRecord("stream_map", stream_maps.describe_failure(error)))
            return
        if record is None or stream_map.stream_alias in self.refused:
            return
        sink = self.get_sink(stream_map.stream_alias, record=record)
        assert isinstance(sink, KlaviyoSink)  # noqa: S101 - there is no other
        self.ledger.add_record(source)
        try:
            with self.judging(stream_map.stream_alias):
                sink.add(source, record)
        except RejectedRecord as rejection:
            self._reject(source, rejection)

    def _reject(self, source: SourceRecord, rejection: RejectedRecord) -> None:
        """Put a record that cannot be sent on file.

        Raises:
            RecordBeforeSchema, RecordWithoutKey: with ``strict_protocol``, where the tap breaks the protocol.
        """
        if self.config.get("strict_protocol") and rejection.code in STRICT_ERRORS:
            advice = "fix the tap, or unset strict_protocol"
            raise STRICT_ERRORS[rejection.code](f"{source.stream}: {rejection.reason}; {advice}")
        source.pending = 0
        self.results.add(source, source.action, rejection.outcome)

    def _add_outcome(self, row: Row, outcome: Outcome) -> None:
        """Take the outcome of a row: of a record, or of one step of it."""
        source = row.source
        self.mirrors.settle(source, outcome)
        self.fingerprints.settle(source, outcome)
        if self.ledger.add_outcome(source, outcome) and source.outcome is not None:
            self.results.add(source, source.action, source.outcome)

    def _reject_line(self, line: str | bytes, rejection: RejectedRecord) -> None:
        text = line.decode("utf-8", "backslashreplace") if isinstance(line, bytes) else line
        if not self.is_retrying:
            self.mirrors.add_unattributed(None)
        self.results.add_line(text.rstrip("\r\n"), rejection.outcome, is_retried=self.is_retrying)

    def _process_batch_message(self, message_dict: dict[str, Any]) -> None:  # noqa: ARG002 - the SDK's signature
        raise SettingsError("the tap sends its records as BATCH files: remove batch_config from its settings")

    def _process_activate_version_message(self, message_dict: dict[str, Any]) -> None:
        for stream_map in self.mapper.stream_maps.get(message_dict.get("stream", ""), ()):
            self.mirrors.end_version(stream_map.stream_alias, message_dict.get("version"))

    # STATE ------------------------------------------------------------------------------------------------------------

    def _process_state_message(self, message_dict: dict[str, Any]) -> None:
        # Not the SDK's too: it would keep a copy of whatever came last, and may break at one that is nested deeply.
        self.ledger.add_state(message_dict["value"], mirrored=bool(self.mirrors.streams))
        self._poll()

    def _poll(self) -> None:
        """Take the outcomes that came back meanwhile, and let no row wait for its batch too long."""
        if time.time() - self._last_full_drain_at > STATE_SECONDS:
            self.dispatcher.send_waiting()
            self._reset_max_record_age()
        self.dispatcher.poll()
        self.states.write_due()
        self.results.check_limit()

    def _write_state_message(self, state: Mapping[str, Any]) -> None:
        """Nothing: the SDK would write whatever came last."""

    def _write_true_state(self, state: Mapping[str, Any]) -> None:
        if self.is_rehearsal:  # nothing was done that a STATE could vouch for
            return
        self.results.sync()
        super()._write_state_message(dict(state))

    # The end ----------------------------------------------------------------------------------------------------------

    def process_endofpipe(self) -> None:
        """Send what waits, finish the mirrors, write the last STATE and close the results."""
        with self._closing.around():
            self.dispatcher.flush()
            self.states.write_due()
            super().process_endofpipe()
            if self._rehearsal is not None:
                self._rehearsal.ask(self.session)
            self.close_fingerprints()
            self.finish_mirrors()
            self.states.finish()
            self.results.check_delivered()
            self.results.close(usage=self.session.client.usage())

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the SDK's signature
        # The SDK would drain and write the STATE from inside whatever is being sent, as if that had arrived.
        if not self._is_ready:
            sys.exit(128 + signum)
        self._closing.handle_signal(signum)
