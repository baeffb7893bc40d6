"""The tap: its settings, and its streams."""

from __future__ import annotations

import copy
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from types import FrameType
from typing import Any, ClassVar

import click
from singer_sdk import Stream, Tap
from singer_sdk.exceptions import MappingError
from singer_sdk.helpers.capabilities import CapabilitiesEnum, PluginCapabilities
from singer_sdk.tap_base import CliTestOptionValue

from klaviyo_client import permissions
from klaviyo_client.api.operations import operation
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import Incomplete, NotAllowed, NotEnabled, SettingsError
from klaviyo_client.plugin import config_check, settings
from tap_klaviyo.model import Collection, SelectedTable
from tap_klaviyo.reading.account_reader import AccountReader
from tap_klaviyo.reading.slices import SETTLE
from tap_klaviyo.reports import call_log
from tap_klaviyo.reports.declaration import Report, declared
from tap_klaviyo.reports.session import Session
from tap_klaviyo.rows import schema_files
from tap_klaviyo.settings import CONCURRENCY, LOOKBACK, MOST_PROCESSES, REREAD, SETTINGS, STATE_SECONDS
from tap_klaviyo.streams.deletions import may_delete
from tap_klaviyo.streams.input_files import checked
from tap_klaviyo.streams.permissions import of_reports, queries, requirements
from tap_klaviyo.streams.progress import Progress
from tap_klaviyo.streams.report import ReportStream
from tap_klaviyo.streams.table import TableStream, moment
from tap_klaviyo.streams.writer import WholeWriter
from tap_klaviyo.tables import COLLECTIONS, STREAMS
from tap_klaviyo.tables.events import EVENTS, PUSHED_BY_TARGET


class TapKlaviyo(Tap):
    """Reads a Klaviyo account: profiles, events, lists, segments, their members, and metrics."""

    name = "tap-klaviyo"
    package_name = "singer-klaviyo"
    message_writer_class = WholeWriter
    # Without BATCH: its files would be announced after the STATE that vouches for their rows.
    capabilities: ClassVar[list[CapabilitiesEnum]] = [
        capability for capability in Tap.capabilities if capability is not PluginCapabilities.BATCH
    ]
    # A copy: the SDK merges its own settings into it.
    config_jsonschema: ClassVar[dict[str, Any]] = copy.deepcopy(SETTINGS)

    def __init__(self, **options: Any) -> None:
        """Read the settings.

        Raises:
            SettingsError: one is missing or wrong.
        """
        self._skipped: tuple[str, ...] = ()
        self._last_state = 0.0
        self._scopes: set[str] = set()
        # Later runs have a greater one: milliseconds since 1970, as the SDK has it.
        self._version = time.time_ns() // 1_000_000
        self._asks_environment = bool(options.get("parse_env_config"))
        try:
            super().__init__(**options)
        except (ValueError, MappingError, RecursionError) as error:
            raise config_check.config_error(error) from error

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        # The SDK's own check quotes the values, and one of them is the key.
        said = (
            config_check.boolean_variables(os.environ, self._env_var_prefix, SETTINGS) if self._asks_environment else {}
        )
        self._config = config_check.coerce_types(SETTINGS, {**self._config, **said})
        if raise_errors:
            if "batch_config" in self._config:
                raise SettingsError("batch_config must be removed: this tap writes records, not BATCH files")
            config_check.check(
                SETTINGS, self._config, self.name, config_check.known_names(SETTINGS, self.append_builtin_config)
            )
            # What a schema cannot say is said now, before anything is written for a target.
            settings.connect(self._config, self.name)
            if start := self._config.get("start_date"):
                moment("start_date", start)
            self._reports()
        return []

    @classmethod
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> Any:
        with config_check.config_errors():
            return super().cb_config(ctx, param, value)

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """The SDK's command, which reads --state and --catalog without a look at what is in them."""
        command = super().get_singer_command()
        for option in command.params:
            if option.name in ("state", "catalog"):
                option.callback = checked
                # So that --test knows it, wherever it stands.
                option.is_eager = True
        return command

    @classmethod
    def cb_test(cls, ctx: click.Context, param: click.Option, value: str) -> None:
        """``--test``: say what the key may read of what is selected, then read a row of each; no message is written.

        Raises:
            MissingScopes: it may not read all of it; nothing is read then.
        """
        if value != CliTestOptionValue.All.value:
            super().cb_test(ctx, param, value)
            return
        given, catalog = ctx.params["config"], ctx.params.get("catalog")
        tap = cls(
            config=given.config,
            catalog=None if catalog is None else json.load(catalog),
            parse_env_config=given.parse_env,
            validate_config=True,
        )
        for stream in tap.streams.values():
            # As the SDK does it afterwards: what is asked before must be a sample, too.
            stream.ABORT_AT_RECORD_COUNT = 1
        tap.check_scopes()
        tap._writer.muted = True
        tap.run_sync_dry_run(streams=[stream for stream in tap.streams.values() if stream.selected])
        tap.logger.info("all that is selected can be read")
        ctx.exit()

    def discover_streams(self) -> Sequence[Stream]:
        tables = [TableStream(self, list(tables)) for tables in STREAMS.values()]
        return [*tables, *(ReportStream(self, report) for report in self._reports())]

    def _reports(self) -> list[Report]:
        return declared(self.config.get("reports") or (), STREAMS)

    @property
    def streams(self) -> dict[str, Stream]:
        """Streams in the catalogue's order, not the alphabet's: parents are read before their children."""
        found = super().streams
        names = (*STREAMS, *(report.name for report in self._reports()))
        return {name: found[name] for name in names if name in found}

    def write_lines(self, lines: bytes | memoryview) -> None:
        """Write whole lines of messages, as the message writer writes its own."""
        self._writer.write_lines(lines)

    @property
    def _writer(self) -> WholeWriter:
        writer = self.message_writer
        if not isinstance(writer, WholeWriter):
            raise TypeError("messages are written by another writer")
        return writer

    # One run ----------------------------------------------------------------------------------------------------------

    def check_scopes(self) -> None:
        """Log for each selected stream whether the key may read it.

        Raises:
            MissingScopes: it may not read one of them, or not whole.
        """
        account = self.account
        selected = account.selection
        send = permissions.probe_request(account.client, queries(selected, COLLECTIONS, account.now))
        reports = [
            found.report for found in self.streams.values() if isinstance(found, ReportStream) and found.selected
        ]
        wanted = [*requirements(selected, COLLECTIONS), *of_reports(reports)]
        results = permissions.check_requirements(permissions.for_client(account.client, send), wanted)
        required = [result.requirement.name for result in results if result.enabled or result.scopes]
        permissions.log_permissions(results, self.logger, required=required)

    @cached_property
    def client(self) -> KlaviyoClient:
        """The one client of this run: its budgets and its access token are all of it."""
        return settings.connect(self.config, self.name)

    @cached_property
    def account(self) -> AccountReader:
        """The account that this run reads, with what is selected of it."""
        return AccountReader(
            client=self.client,
            now=datetime.now(UTC),
            selected=[
                SelectedTable(table, schema_files.load(stream.name), stream.columns, version=stream.version)
                for stream in self._selected()
                for table in stream.tables
            ],
            collections=COLLECTIONS,
            reread=self.config.get("reread", REREAD),
            event_metrics=self.config.get("event_metrics") or (),
            exclude={EVENTS.name: PUSHED_BY_TARGET} if self.config.get("exclude_pushed_events") else {},
            integration=self.config.get("esp_integration_id"),
            concurrency=self.config.get("concurrency", CONCURRENCY),
            processes=self.config.get("processes", min(os.cpu_count() or 1, MOST_PROCESSES)),
            sample_only=self._is_test,
            on_denied=self.skip,
        )

    @cached_property
    def progress(self) -> Progress:
        """How far this run is; a test of the connection says nothing of it."""
        return Progress(self.account.client.usage, self.account.now - SETTLE, quiet=self._is_test)

    def version_of(self, stream: TableStream) -> int | None:
        """The version of a stream's rows in this run; None when no row of an older one may go."""
        return self._version if may_delete(stream.collections, self.config) else None

    @cached_property
    def session(self) -> Session:
        """What the reports of this run share. Calls of earlier runs are in this day's budget, whoever made them."""
        found = Session(self.client, datetime.now(UTC))
        for stream in self.streams.values():
            if isinstance(stream, ReportStream):
                found.client.add_past_requests(stream.report.operation.id, call_log.ages([stream.calls], found.now))
        return found

    def lookback(self, collection: Collection) -> timedelta:
        """How far before its bookmark a collection is read again."""
        days = {**LOOKBACK, **(self.config.get("lookback") or {})}.get(collection.name, 0)
        return timedelta(days=min(days, 1_000_000))

    def is_time_for_state(self) -> bool:
        """Whether the last STATE is long enough ago for another one."""
        if time.monotonic() - self._last_state < STATE_SECONDS:
            return False
        self._last_state = time.monotonic()
        return True

    @property
    def _is_test(self) -> bool:
        return any(stream.ABORT_AT_RECORD_COUNT is not None for stream in self.streams.values())

    def _selected(self) -> list[TableStream]:
        streams = self.streams.values()
        return [stream for stream in streams if isinstance(stream, TableStream) and stream.selected]

    def selected_of(self, collection: Collection) -> list[TableStream]:
        """The selected tables of a collection, the leader first."""
        return [stream for stream in self._selected() if collection in stream.collections]

    def skip(self, tables: Sequence[str], error: NotAllowed) -> None:
        """Leave these tables or columns out, go on with the others, and say so at the end.

        What the account's plan does not have is nothing that is missing: it is one warning.

        Raises:
            NotAllowed: the user wants to stop here, or only tests the connection.
        """
        if isinstance(error, NotEnabled):
            self.logger.warning("%s: skipped, %s", ", ".join(tables), error)
            self.progress.skipped(tables, error)
            return
        if self.config.get("strict") or self._is_test:
            raise error
        self.logger.error("%s: skipped, %s", ", ".join(tables), error)
        self.progress.skipped(tables, error)
        self._skipped += tuple(name for name in tables if name not in self._skipped)
        # What an include needs is not among the operation's own.
        self._scopes |= permissions.scopes_named_in(error) or set(operation(error.operation).scopes)

    def finish(self) -> None:
        """Called when every stream is done.

        Raises:
            Incomplete: a table was left out; a green run must mean a whole one.
        """
        self.progress.close()
        if self._skipped:
            tables, scopes = ", ".join(self._skipped), ", ".join(sorted(self._scopes))
            raise Incomplete(f"incomplete: {tables} skipped, because the key lacks a scope; these are needed: {scopes}")

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        # A STATE in the middle of a line would spoil both; a second signal is for those who cannot wait for the target.
        if self._writer.writing and self._writer.afterwards is None:
            self._writer.afterwards = partial(self._handle_termination, signum, frame)
            return
        if self._writer.writing:
            sys.exit(128 + signum)
        # The SDK exits with 0, which an orchestrator takes for a whole run.
        try:
            super()._handle_termination(signum, frame)
        except SystemExit:
            self.logger.warning("stopped by %s; the state written is safe to resume from", signal.Signals(signum).name)
            sys.exit(128 + signum)
