"""One run of the tap, as its streams see it: the account, the reports, progress, what is skipped, and the end."""

from __future__ import annotations

import contextlib
import os
import time
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from singer_sdk import Tap

from klaviyo_client import permissions
from klaviyo_client.api.operations import operation
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import BadRequest, Incomplete, KlaviyoError, NotAllowed, NotEnabled
from klaviyo_client.plugin import settings
from tap_klaviyo.files.destination import destination
from tap_klaviyo.files.run_files import RunFiles
from tap_klaviyo.model import Collection, SelectedTable, Table
from tap_klaviyo.reading.account_reader import AccountReader
from tap_klaviyo.reading.slices import SETTLE
from tap_klaviyo.reports import call_log
from tap_klaviyo.reports.declaration import Report
from tap_klaviyo.reports.session import ReportRefused, ReportSession
from tap_klaviyo.settings import ALWAYS, CONCURRENCY, LOOKBACK, MAX_PROCESSES, REREAD, STATE_SECONDS
from tap_klaviyo.streams.deletions import sends_activate_version
from tap_klaviyo.streams.failures import Failures, leaves_others
from tap_klaviyo.streams.progress import Progress
from tap_klaviyo.streams.writer import AtomicWriter
from tap_klaviyo.tables import COLLECTIONS
from tap_klaviyo.tables.events import EVENTS, PUSHED_BY_TARGET


class RunTap(Tap):
    """What the streams need of the tap that runs them. The streams import it, so a subclass makes the streams.

    It is a class and no protocol, because the SDK's streams hold a ``Tap``.
    """

    message_writer_class = AtomicWriter

    def __init__(self, **options: Any) -> None:
        """Begin a run; the options are the SDK's."""
        self.failures = Failures()
        self._last_state = 0.0
        # Later runs have a greater one: milliseconds since 1970, as the SDK has it.
        self._version = time.time_ns() // 1_000_000
        super().__init__(**options)
        self.writer.omit_nulls = self.config.get("omit_nulls", False)
        goal = destination(self.config.get("batch_config"))
        self.files = self.writer.files = None if goal is None else RunFiles(goal, self.writer)

    # What is selected -------------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def selected_tables(self) -> list[SelectedTable]:
        """The tables of all selected streams."""

    @property
    @abstractmethod
    def selected_reports(self) -> list[Report]:
        """The reports of all selected streams."""

    @property
    @abstractmethod
    def report_calls(self) -> Iterable[tuple[Report, Mapping[str, int]]]:
        """Each report with the calls of earlier runs, by hour."""

    @property
    def is_test(self) -> bool:
        """Whether only the connection is tested."""
        return any(stream.ABORT_AT_RECORD_COUNT is not None for stream in self.streams.values())

    # What streams read ------------------------------------------------------------------------------------------------

    @cached_property
    def client(self) -> KlaviyoClient:
        """The one client of this run: rate limits and the access token are shared by all that is read."""
        return settings.connect(self.config, self.name)

    @cached_property
    def account(self) -> AccountReader:
        """The account that this run reads, with what is selected of it."""
        return AccountReader(
            client=self.client,
            now=datetime.now(UTC),
            selected=self.selected_tables,
            collections=COLLECTIONS,
            reread=self.reread,
            event_metrics=self.config.get("event_metrics") or (),
            members_of=self.config.get("members_of") or (),
            exclude={EVENTS.name: PUSHED_BY_TARGET} if self.config.get("exclude_pushed_events") else {},
            integration=(self.config.get("esp_integration_id") or "").strip() or None,
            concurrency=self.config.get("concurrency", CONCURRENCY),
            processes=self.config.get("processes", min(os.cpu_count() or 1, MAX_PROCESSES)),
            omit_nulls=self.config.get("omit_nulls", False),
            sample_only=self.is_test,
            on_denied=self.skip,
            failed=self.failures.errors,
            files=self.files,
        )

    @cached_property
    def session(self) -> ReportSession:
        """What the reports of this run share. The daily limit counts the calls of earlier runs, too."""
        session = ReportSession(self.client, datetime.now(UTC))
        for report, calls in self.report_calls:
            session.client.add_past_requests(report.operation.id, call_log.ages([calls], session.now))
        return session

    @property
    def reread(self) -> Sequence[str]:
        """The collections and tables that are read whole although they have a bookmark."""
        names: Sequence[str] = self.config.get("reread", REREAD)
        return names

    def lookback(self, collection: Collection) -> timedelta:
        """How far before its bookmark a collection is read again."""
        days = {**LOOKBACK, **(self.config.get("lookback") or {})}.get(collection.name, 0)
        return timedelta(days=min(days, 1_000_000))

    @property
    def always_looks_back(self) -> bool:
        """Whether every run reads the past again, not one a day."""
        return bool(self.config.get("lookback_schedule") == ALWAYS)

    # What streams write -----------------------------------------------------------------------------------------------

    @property
    def writer(self) -> AtomicWriter:
        """The message writer, which the SDK makes of ``message_writer_class``."""
        writer = self.message_writer
        if not isinstance(writer, AtomicWriter):
            raise TypeError("messages are written by another writer")
        return writer

    def version_of(self, tables: Sequence[Table]) -> int | None:
        """The version of a stream's rows in this run; None when no row of an older one may go.

        Args:
            tables: what each of its collections gives to the stream.
        """
        return self._version if sends_activate_version(tables, self.config) else None

    def is_time_for_state(self) -> bool:
        """Whether the last STATE is long enough ago for another one; or, with files, these have enough rows for one."""
        if self.files is not None:
            return self.files.is_due
        if time.monotonic() - self._last_state < STATE_SECONDS:
            return False
        self._last_state = time.monotonic()
        return True

    @property
    def holds_state_back(self) -> bool:
        """Whether a STATE must wait, because files would have to be finished for it and have few rows so far."""
        return self.files is not None and not self.files.is_due

    def announce_if_due(self) -> None:
        """Announce files that have many rows, where no STATE says so."""
        if self.files is not None and self.files.is_due:
            self.files.announce()

    # How the run goes -------------------------------------------------------------------------------------------------

    @cached_property
    def progress(self) -> Progress:
        """How far this run is; a test of the connection says nothing of it."""
        return Progress(
            self.account.client.usage,
            lambda: self.account.began() - SETTLE,
            waiting=lambda: self.account.lookup_calls.waiting,
            quiet=self.is_test,
        )

    def skip(self, tables: Sequence[str], error: NotAllowed) -> None:
        """Leave these tables or columns out, go on with the others, and report them at the end.

        What the account's plan does not include is not missing: it is one warning.

        Raises:
            NotAllowed: the user wants to stop here, or only tests the connection.
        """
        if isinstance(error, NotEnabled):
            self.logger.warning("%s: skipped, %s", ", ".join(tables), error)
            self.progress.add_skipped(tables, error)
            return
        if self._stops_at_failures:
            raise error
        self.logger.error("%s: skipped, %s", ", ".join(tables), error)
        self.progress.add_skipped(tables, error)
        # What an include needs is not among the operation's own.
        scopes = permissions.scopes_named_in(error) or operation(error.operation).scopes
        self.failures.add_skipped(tables, scopes)

    def goes_on_without(self, collection: Collection, tables: Sequence[str], error: KlaviyoError) -> bool:
        """Whether these tables are read without a collection that only supplements others; then it is one warning."""
        goes_on = isinstance(error, (NotAllowed, BadRequest)) and not self._stops_at_failures
        if goes_on:
            self.logger.warning("%s: read without %s, %s", ", ".join(tables), collection.name, error)
        return goes_on

    def leave_out(self, tables: Sequence[str], error: KlaviyoError) -> None:
        """Leave out tables that cannot be read, go on with the others, and report them at the end.

        Raises:
            KlaviyoError: no other table would be read either, the user wants to stop here, or only tests the
                connection.
        """
        if isinstance(error, NotAllowed):
            self.skip(tables, error)
            return
        goes_on = leaves_others(error) or isinstance(error, ReportRefused)
        if self._stops_at_failures or not goes_on or not self.failures.add_failed(tables, error):
            self.progress.close("failed")
            raise error
        for table in tables:
            self.logger.error("%s: failed, %s", table, error)
        self.progress.add_skipped(tables, error)

    @property
    def _stops_at_failures(self) -> bool:
        return bool(self.config.get("strict")) or self.is_test

    def keep_what_is_whole(self) -> None:
        """Announce the files of what was read, with the STATE that vouches for it, although the run ends early."""
        if self.files is not None:
            # Why it ends early matters more.
            with contextlib.suppress(KlaviyoError, OSError):
                self.state_writer.write_state(self.state)
            self.files.close()

    def close_files(self) -> None:
        """Announce what was not, and say which values fitted no column."""
        if self.files is None:
            return
        self.files.announce()
        self.files.close()
        for (stream, column), count in self.files.misfits.items():
            self.logger.warning("%s.%s: %d values did not fit the column's type and became null", stream, column, count)

    def finish(self) -> None:
        """Called when every stream is done.

        Raises:
            Incomplete: a table was left out; a green run must mean a whole one.
            SettingsError: the setting of a report was refused.
        """
        self.account.close()
        self.progress.close()
        self.close_files()
        if not any(stream.selected for stream in self.streams.values()):
            self.logger.warning("nothing is selected, so nothing was read: select streams in the catalog")
        if self.failures.settings_error is not None:
            raise self.failures.settings_error
        message = self.failures.message()
        if message is not None:
            raise Incomplete(message)
