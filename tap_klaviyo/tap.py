"""The tap as the SDK runs it: its settings, its streams, its command line, and how it ends."""

from __future__ import annotations

import copy
import json
import os
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from types import FrameType
from typing import Any, ClassVar

import click
from singer_sdk import Stream, Tap
from singer_sdk.singerlib.catalog import Catalog
from singer_sdk.tap_base import CliTestOptionValue

from klaviyo_client.plugin import config_check, settings, stream_maps
from tap_klaviyo.files.destination import destination
from tap_klaviyo.model import SelectedTable
from tap_klaviyo.reading.page_reader import close_readers
from tap_klaviyo.reports.declaration import Report, parse_reports
from tap_klaviyo.settings import SETTINGS
from tap_klaviyo.streams.base import parse_time
from tap_klaviyo.streams.connection_test import run_connection_test
from tap_klaviyo.streams.drift import run_drift_check
from tap_klaviyo.streams.input_files import checked_file
from tap_klaviyo.streams.report import ReportStream
from tap_klaviyo.streams.run import RunTap
from tap_klaviyo.streams.table import TableStream
from tap_klaviyo.tables import GAP_TABLES, STREAMS, property_columns
from tap_klaviyo.workers.pool import kill_workers


class TapKlaviyo(RunTap):
    """Reads a Klaviyo account: profiles, events, lists, segments, their members, and metrics."""

    name = "tap-klaviyo"
    package_name = "singer-klaviyo"
    # A copy: the SDK merges its own settings into it.
    config_jsonschema: ClassVar[dict[str, Any]] = copy.deepcopy(SETTINGS)

    def __init__(self, **options: Any) -> None:
        """Read the settings.

        Raises:
            SettingsError: one is missing or wrong.
        """
        self._table_streams: list[TableStream] = []
        self._report_streams: list[ReportStream] = []
        self._reads_environment = bool(options.get("parse_env_config"))
        try:
            super().__init__(**options)
        except (ValueError, RecursionError) as error:
            raise config_check.config_error(error) from error

    # Settings ---------------------------------------------------------------------------------------------------------

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        # The SDK's own check quotes the values, and one of them is the key.
        variables = (
            config_check.boolean_variables(os.environ, self._env_var_prefix, SETTINGS)
            if self._reads_environment
            else {}
        )
        self._config = config_check.coerce_types(SETTINGS, {**self._config, **variables})
        if raise_errors:
            config_check.check(
                SETTINGS, self._config, self.name, config_check.known_names(SETTINGS, self.append_builtin_config)
            )
            # What a schema cannot check is checked now, before anything is written for a target.
            settings.connect(self._config, self.name)
            destination(self._config.get("batch_config"))
            start = self._config.get("start_date")
            if start and parse_time("start_date", start) > datetime.now(UTC):
                self.logger.warning("start_date %s is in the future: nothing older is read", start)
            self._parse_reports()
            property_columns.check(self._config)
        return []

    def _parse_reports(self) -> list[Report]:
        return parse_reports(self.config.get("reports") or (), STREAMS)

    # Command line -----------------------------------------------------------------------------------------------------

    @classmethod
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> Any:
        with config_check.config_errors():
            return super().cb_config(ctx, param, value)

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """The SDK's command, with a check of the files that --state and --catalog name."""
        command = super().get_singer_command()
        for option in command.params:
            if option.name in ("state", "catalog"):
                option.callback = checked_file
                # So that --test knows it, wherever it stands.
                option.is_eager = True
        command.params.append(
            click.Option(
                ["--drift"],
                is_flag=True,
                expose_value=False,
                callback=cls.cb_drift,
                help="List how the account's answers differ from the selected columns: names only, no values.",
            )
        )
        return command

    @classmethod
    def cb_drift(cls, ctx: click.Context, param: click.Option, value: bool) -> None:  # noqa: ARG003 - click's
        """``--drift``: read a page of each selected collection, and write what columns miss, in place of messages.

        Raises:
            Incomplete: not all that is selected could be read.
        """
        if not value or ctx.resilient_parsing:
            return
        run_drift_check(cls._tap_of_options(ctx), click.echo)
        ctx.exit()

    @classmethod
    def _tap_of_options(cls, ctx: click.Context) -> TapKlaviyo:
        """A tap with the settings and the catalog of the command line, before the SDK makes its own."""
        cli_config, catalog = ctx.params["config"], ctx.params.get("catalog")
        return cls(
            config=cli_config.config,
            catalog=None if catalog is None else json.load(catalog),
            parse_env_config=cli_config.parse_env,
            validate_config=True,
        )

    @classmethod
    def cb_test(cls, ctx: click.Context, param: click.Option, value: str) -> None:
        """``--test``: log what the key may read of what is selected, then read a row of each; no message is written.

        Raises:
            MissingScopes: it may not read all of it; nothing is read then.
        """
        if value != CliTestOptionValue.All.value:
            super().cb_test(ctx, param, value)
            return
        run_connection_test(cls._tap_of_options(ctx))
        ctx.exit()

    def setup_mapper(self) -> None:
        """Make the stream maps of the selected streams. For the others the SDK has no columns."""
        with stream_maps.setting_errors("the settings cannot be used"):
            super(Tap, self).setup_mapper()
            of_selected, self.mapper.stream_maps_dict = self.mapper.stream_maps_dict, {}
            chosen, others = Catalog(), Catalog()
            for entry in self.catalog.streams:
                is_selected = entry.metadata.resolve_selection()[()]
                (chosen if is_selected else others).add_stream(entry)
            self.mapper.register_raw_streams_from_catalog(others)
            self.mapper.stream_maps_dict = of_selected
            self.mapper.register_raw_streams_from_catalog(chosen)

    # Streams ----------------------------------------------------------------------------------------------------------

    def discover_streams(self) -> Sequence[Stream]:
        self._table_streams = [TableStream(self, list(tables)) for tables in STREAMS.values()]
        self._report_streams = [ReportStream(self, report) for report in self._parse_reports()]
        return [*self._table_streams, *self._report_streams]

    @property
    def streams(self) -> dict[str, Stream]:
        """Streams in the catalogue's order, not the alphabet's: parents are read before their children.

        A selected stream whose gaps others fill goes before these: a gap is known when the stream's own rows are.
        """
        discovered = super().streams
        names = [stream.name for stream in (*self._table_streams, *self._report_streams)]
        for table in GAP_TABLES:
            filling = [stream.name for stream in self._table_streams if table.collection in stream.collections]
            if filling and table.name in discovered and discovered[table.name].selected:
                names.remove(table.name)
                names.insert(min(map(names.index, filling)), table.name)
        return {name: discovered[name] for name in names if name in discovered}

    @property
    def selected_tables(self) -> list[SelectedTable]:
        selected = [stream for stream in self._table_streams if stream.selected]
        return [
            SelectedTable(table, stream.columns_file, stream.columns, version=stream.version)
            for stream in selected
            for table in (*stream.tables, *stream.gap_tables)
            if table.gap is None or any(table.collection in other.collections for other in selected)
        ]

    @property
    def selected_reports(self) -> list[Report]:
        return [stream.report for stream in self._report_streams if stream.selected]

    @property
    def report_calls(self) -> Iterable[tuple[Report, Mapping[str, int]]]:
        return [(stream.report, stream.calls) for stream in self._report_streams]

    # The end ----------------------------------------------------------------------------------------------------------

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        # A STATE in the middle of a line would spoil both; a second signal is for those who cannot wait for the target.
        if self.writer.is_writing and self.writer.after_write is None:
            self.writer.after_write = partial(self._handle_termination, signum, frame)
            return
        if self.writer.is_writing:
            sys.exit(128 + signum)
        close_readers()
        # The SDK exits with 0, which an orchestrator takes for a whole run.
        try:
            super()._handle_termination(signum, frame)
        except SystemExit:
            if self.files is not None:
                # A worker that goes on would begin a file that nobody removes.
                kill_workers()
                self.files.close()
            self.logger.warning("stopped by %s; the state written is safe to resume from", signal.Signals(signum).name)
            sys.exit(128 + signum)
