"""The target: its settings, what comes in, and the STATE that goes out."""

from __future__ import annotations

import copy
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

import click
from singer_sdk.exceptions import MappingError

from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import Incomplete, KlaviyoError, SettingsError
from klaviyo_client.http.transport import RequestsTransport
from klaviyo_client.plugin import config_check, settings
from target_klaviyo.audience.mirrors import Mirrors
from target_klaviyo.delivery.action import Row
from target_klaviyo.delivery.dispatch import Dispatcher
from target_klaviyo.delivery.graceful_stop import GracefulStop, StoppableTransport, Stopped
from target_klaviyo.delivery.ledger import Ledger
from target_klaviyo.delivery.session import Session
from target_klaviyo.intake import permissions
from target_klaviyo.intake.message_reader import MessageReader
from target_klaviyo.intake.route_settings import parse_routes
from target_klaviyo.intake.run import RunTarget
from target_klaviyo.intake.sink import STRICT_ERRORS, KlaviyoSink
from target_klaviyo.model.identifiers import checked_region
from target_klaviyo.model.records import Outcome, RejectedRecord, SourceRecord
from target_klaviyo.rehearsal.plan import Plan
from target_klaviyo.rehearsal.rehearsal import Rehearsal, is_rehearsal
from target_klaviyo.reporting.output_files import writable_path, writable_report_path
from target_klaviyo.reporting.progress import Progress
from target_klaviyo.reporting.rejects_file import RejectsFile
from target_klaviyo.reporting.results import RunResults, parse_max_rejects
from target_klaviyo.reporting.run_report import RunEnd, RunReport
from target_klaviyo.settings import SETTINGS

logger = logging.getLogger("target-klaviyo")

# Rows wait until their batch is full, and the STATE behind them with them, so that batches stay large; but not for
# longer than this: so much is at most repeated after a crash.
STATE_SECONDS = 30.0


class TargetKlaviyo(RunTarget):
    """Pushes records to Klaviyo: profiles, events, orders, lists, consent. One outcome for every record."""

    name = "target-klaviyo"
    package_name = "singer-klaviyo"
    default_sink_class = KlaviyoSink
    config_jsonschema: ClassVar[dict[str, Any]] = copy.deepcopy(SETTINGS)
    # The SDK hands signals to us before anything else is set up.
    _signal, _is_asked_twice, _is_ready = 0, False, False

    def __init__(self, **options: Any) -> None:
        """Read the settings, and nothing else yet.

        Raises:
            SettingsError: one is missing or wrong.
        """
        reader = MessageReader()
        self._asks_environment = bool(options.get("parse_env_config"))
        try:
            super().__init__(message_reader=reader, **options)
        except (ValueError, MappingError, RecursionError) as error:
            raise config_check.config_error(error) from error
        self.max_parallelism = 1
        self.routes = parse_routes(self.config.get("streams") or {}, checked_region(self.config.get("default_region")))
        limit = parse_max_rejects(self.config.get("max_rejects"), self.config["on_reject"])
        self._rehearsal: Rehearsal | None = None
        if is_rehearsal(self.config, os.environ):
            self._rehearsal = Rehearsal(Plan(self.config["rate_limit_share"]))
            self.results: RunResults = self._rehearsal.make_results(self._path("plan_path"), limit)
        else:
            path = writable_report_path("report_path", self.config.get("report_path"))
            rejects = RejectsFile(self._path("rejects_path"))
            self.results = RunResults(rejects, limit, RunReport(path) if path else None)
        self._stop = GracefulStop()
        client_type = KlaviyoClient if self._rehearsal is None else self._rehearsal.make_client
        transport = StoppableTransport(RequestsTransport(timeout=self.config["request_timeout"]), self._stop)
        make_client = partial(client_type, clock=self._stop.clock(), transport=transport)
        client = settings.connect(self.config, self.name, make_client)
        self.session = Session(client, job_timeout=self.config["job_timeout"])
        self._progress = Progress(
            lambda: self.results.records,
            lambda: self.results.counts_in_words,
            usage=self.session.client.usage,
            expected=lambda: self.mirrors.expected,
        )
        self._ledger = Ledger()
        self._released: Mapping[str, Any] | None = None
        self._held: Mapping[str, Any] | None = None
        self._reader = reader
        reader.reject, reader.idle, reader.around = self._reject_line, self._look_after, self._landing
        self._is_ready = True

    def _path(self, setting: str) -> Path:
        default = SETTINGS["properties"][setting]["default"]
        return writable_path(setting, self.config[setting], os.environ, default=default)

    @cached_property
    def despatch(self) -> Dispatcher:
        """Where records are sent from."""
        make = Dispatcher if self._rehearsal is None else self._rehearsal.make_dispatcher
        return make(
            self.session,
            self._settle,
            max_in_flight=self.config["concurrency"],
            max_rows=self.config.get("batch_size_rows"),
            stop=self._stop,
        )

    @cached_property
    def mirrors(self) -> Mirrors:
        """Lists that are to equal streams."""
        members_known = None if self._rehearsal is None else self._rehearsal.plan.exclude_members
        return Mirrors(self.session, datetime.now(UTC), members_known)

    # Settings ---------------------------------------------------------------------------------------------------------

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        # The SDK's own check quotes the values, and one of them is the key.
        # Ours only: the schema of its own `stream_maps` is no JSON Schema, and the mapper checks those anyway.
        defaults = {name: entry["default"] for name, entry in SETTINGS["properties"].items() if "default" in entry}
        said = (
            config_check.boolean_variables(os.environ, self._env_var_prefix, SETTINGS) if self._asks_environment else {}
        )
        self._config = config_check.coerce_types(SETTINGS, {**defaults, **self._config, **said})
        if raise_errors:
            config_check.check(
                SETTINGS, self._config, self.name, config_check.known_names(SETTINGS, self.append_builtin_config)
            )
        return []

    @classmethod
    def append_builtin_config(cls, config_jsonschema: dict[str, Any]) -> None:
        """The SDK's settings, without those that mean nothing to Klaviyo."""
        super().append_builtin_config(config_jsonschema)
        for name in ("add_record_metadata", "load_method"):
            config_jsonschema["properties"].pop(name, None)

    @classmethod
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> Any:
        with config_check.config_errors():
            return super().cb_config(ctx, param, value)

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """The SDK's command, with ``--check``."""
        command = super().get_singer_command()
        text = "Say which actions the key may use, and which scopes it lacks; nothing is written."
        command.params.append(
            click.Option(["--check"], is_flag=True, help=text, callback=cls.cb_check, expose_value=False)
        )
        return command

    @classmethod
    def cb_check(cls, ctx: click.Context, param: click.Option, value: bool) -> None:  # noqa: ARG003 - click's
        """``--check``.

        Raises:
            MissingScopes: the key may not do what a stream of the settings needs.
        """
        if value:
            given = ctx.params["config"]
            target = cls(config=given.config, parse_env_config=given.parse_env, validate_config=True)
            # Not the session's client: in a rehearsal that one would answer by itself.
            permissions.check(
                settings.connect(target.config, cls.name), target.routes, target.config.get("streams") or {}
            )
            ctx.exit()

    # Messages ---------------------------------------------------------------------------------------------------------

    def _process_schema_message(self, message_dict: dict[str, Any]) -> None:
        stream, schema = message_dict.get("stream"), message_dict.get("schema")
        properties = schema.get("properties") if isinstance(schema, dict) else None
        if not isinstance(stream, str) or not isinstance(properties, dict):
            raise Incomplete(f"the tap's SCHEMA of the stream {stream} has no properties; nothing can be read by it")
        self.results.remember_schema(message_dict)
        before = set(map(id, self._sinks_active.values()))
        try:
            super()._process_schema_message(message_dict)
        except MappingError as error:
            raise SettingsError(f"the setting stream_maps does not fit the stream {stream}: {error}") from error
        if before and not before.issuperset(map(id, self._sinks_active.values())):
            # Another stream begins, or this one anew. What came before may be about the same people, and must not
            # arrive later.
            self.despatch.flush()
        if any(self._mirrors_into(stream_map.stream_alias) for stream_map in self.mapper.stream_maps[stream]):
            self.mirrors.streams.add(stream)

    def _mirrors_into(self, alias: str) -> bool:
        return alias in self.routes and self.routes[alias].is_mirror

    def _process_record_message(self, message_dict: dict[str, Any]) -> None:
        stream, record = message_dict["stream"], message_dict["record"]
        self.results.records += 1
        if stream not in self.mapper.stream_maps:
            self.mirrors.add_unattributed(stream)
            rejection = RejectedRecord("no_schema", "a record came before the SCHEMA of its stream")
            self._refuse(SourceRecord(stream, record), rejection)
            return
        for stream_map in self.mapper.stream_maps[stream]:
            self._take(SourceRecord(stream, record, version=message_dict.get("version")), stream_map)
        self._release_state()
        self.results.check_limit()

    def _take(self, origin: SourceRecord, stream_map: Any) -> None:
        try:
            record = stream_map.transform(dict(origin.record))
        except KlaviyoError:
            raise
        except Exception as error:  # noqa: BLE001 - a stream map is the user's own expression, and may raise anything
            self.mirrors.add_unattributed(stream_map.stream_alias)
            self._refuse(origin, RejectedRecord("stream_map", f"a stream map failed ({type(error).__name__})"))
            return
        if record is None:
            return
        sink = self.get_sink(stream_map.stream_alias, record=record)
        assert isinstance(sink, KlaviyoSink)  # noqa: S101 - there is no other
        self._ledger.add_record(origin)
        try:
            sink.add(origin, record)
        except RejectedRecord as unfit:
            self._refuse(origin, unfit)

    def _refuse(self, origin: SourceRecord, unfit: RejectedRecord) -> None:
        """Put a record that cannot be sent on file."""
        if self.config.get("strict_protocol") and unfit.code in STRICT_ERRORS:
            raise STRICT_ERRORS[unfit.code](f"{origin.stream}: {unfit.reason}; fix the tap, or unset strict_protocol")
        origin.pending = 0
        self.results.add(origin, origin.action, unfit.outcome)

    def _settle(self, row: Row, outcome: Outcome) -> None:
        """A part of a record has its outcome."""
        origin = row.source
        if self._ledger.add_outcome(origin, outcome) and origin.outcome is not None:
            self.results.add(origin, origin.action, origin.outcome)

    def _reject_line(self, line: str | bytes, unfit: RejectedRecord) -> None:
        text = line.decode("utf-8", "backslashreplace") if isinstance(line, bytes) else line
        self.mirrors.add_unattributed(None)
        self.results.add_line(text.rstrip("\r\n"), unfit.outcome)

    def _process_batch_message(self, message_dict: dict[str, Any]) -> None:  # noqa: ARG002 - the SDK's signature
        raise SettingsError("the tap sends its records as BATCH files: remove batch_config from its settings")

    def _process_activate_version_message(self, message_dict: dict[str, Any]) -> None:
        for stream_map in self.mapper.stream_maps.get(message_dict.get("stream", ""), ()):
            self.mirrors.end_version(stream_map.stream_alias, message_dict.get("version"))

    # State ------------------------------------------------------------------------------------------------------------

    def _process_state_message(self, message_dict: dict[str, Any]) -> None:
        # Not the SDK's too: it would keep a copy of whatever came last, and may break at one that is nested deeply.
        self._ledger.add_state(message_dict["value"], mirrored=bool(self.mirrors.streams))
        self._look_after()

    def _look_after(self) -> None:
        """Take in what came back meanwhile, and let nothing wait for too long."""
        if time.time() - self._last_full_drain_at > STATE_SECONDS:
            self.despatch.send_waiting()
            self._reset_max_record_age()
        self.despatch.poll()
        self._release_state()
        self.results.check_limit()

    def _release_state(self) -> None:
        """Write the latest STATE before which everything has its outcome."""
        state, held = self._ledger.take_due_state(), self._ledger.held_state
        if state is not None:
            self._vouch(state)
        if held is not self._held:
            self._held = held
            self._release_held()

    def _release_held(self, *, ended: bool = False) -> None:
        """Write what may be written of the STATE that mirrors hold back."""
        if self._held is None:
            return
        state = self.mirrors.releasable(self._held)
        if state is not None:
            self._vouch(state)
        if ended and state != self._held:
            held = "no STATE is" if state is None else "the STATE is without the mirrored stream's place when it is"
            reason = self.mirrors.why_held_back
            logger.warning("%s written, so that the mirrored feed comes whole again: %s", held, reason)

    def _write_state_message(self, state: Mapping[str, Any]) -> None:
        """Nothing: the SDK would write whatever came last."""

    def _vouch(self, state: Mapping[str, Any]) -> None:
        if self._rehearsal is not None:  # nothing was done that a STATE could vouch for
            return
        if state != self._released:
            self.results.sync()
            super()._write_state_message(dict(state))
            self._released = state

    # The end ----------------------------------------------------------------------------------------------------------

    def process_endofpipe(self) -> None:
        """Send what waits, write the last STATE, and say what became of everything."""
        with self._landing():
            self.despatch.flush()
            self._release_state()
            super().process_endofpipe()
            self.results.check_limit(ended=True)
            self._finish_mirrors()
            self._release_held(ended=True)
            self.results.close(usage=self.session.client.usage())

    def _finish_mirrors(self) -> None:
        try:
            self.mirrors.finish()
        finally:
            for result in self.mirrors.results:
                self.results.add_section(result.section())

    @contextmanager
    def _landing(self) -> Iterator[None]:
        try:
            with self._progress:
                yield
        except Stopped as stopped:
            self._land(RunEnd.from_error(stopped, self._signal))
            sys.exit(128 + self._signal)
        except BaseException as error:
            if not self._is_asked_twice:
                self._land(RunEnd.from_error(error, self._signal))
            raise

    def _land(self, end: RunEnd) -> None:
        """Send nothing more; settle what is under way, and write the STATE that is true then."""
        try:
            self.despatch.drain(self._release_state)
            self._release_state()
            self._release_held(ended=True)
        finally:
            if not self._is_asked_twice:
                self._close(end)

    def _close(self, end: RunEnd) -> None:
        left = self._ledger.pending
        if left and self._rehearsal is None:
            because = f"{end.reason}: " if end.reason else ""
            logger.warning("%srecords not sent: %d; they come again, as no STATE vouches for them", because, left)
        self.results.close(end, not_sent=left, usage=self.session.client.usage())

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the SDK's signature
        # The SDK would drain and write the STATE from inside whatever is being sent, as if that had arrived.
        self._is_asked_twice = bool(self._signal)
        if self._is_asked_twice or not self._is_ready:
            sys.exit(128 + signum)
        self._signal = signum
        self._stop.request()
        self.logger.warning("stopped by signal %d; settling what is under way", signum)
        self._reader.stopped = True
        self.despatch.stop()
