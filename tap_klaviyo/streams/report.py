"""The Singer stream of a report. Its bookmark is the last finished day that was read; its STATE also counts calls.

A report over a whole time frame has no bookmark: it is read anew in every run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any

from singer_sdk.helpers.types import Context, Record
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from klaviyo_client.errors import DailyLimitReached, Refused, SettingsError, Unavailable
from tap_klaviyo.reports import call_log
from tap_klaviyo.reports.declaration import Report
from tap_klaviyo.reports.rows import Row
from tap_klaviyo.reports.session import Metric, ReportRefused, ReportSession
from tap_klaviyo.reports.windows import Window, WindowPlan, last_finished_day, plan_total, plan_windows, settled_day
from tap_klaviyo.streams.base import AHEAD, PrefixBookmarkStream, parse_time
from tap_klaviyo.streams.run import RunTap

# Members of a bookmark besides the SDK's.
SETTLED, CALLS = "settled", "calls"


class ReportStream(PrefixBookmarkStream):
    """One entry of the setting ``reports``."""

    def __init__(self, tap: RunTap, report: Report) -> None:
        self.report = report
        super().__init__(tap, schema=report.schema, name=report.name)
        self.primary_keys = report.key
        self.replication_key = report.replication_key

    @property
    def calls(self) -> dict[str, int]:
        """The calls of earlier runs, and of this one, by hour."""
        calls = self.get_context_state(None).get(CALLS)
        return dict(calls) if isinstance(calls, dict) else {}

    def get_records(self, context: Context | None) -> Iterable[Record]:  # noqa: ARG002 - the SDK's signature
        """The rows of every day that is to be read, as far as today's limit of calls allows."""
        try:
            session = self._tap.session
            metrics: Sequence[Metric | None] = session.metrics(self.report) if self.report.has_metric else [None]
            if self.ABORT_AT_RECORD_COUNT is not None:
                metrics = metrics[:1]
            windows = self._within_daily_limit(session, self._plan(session), len(metrics))
            with self._tap.progress.track(self.name, (self.name,)) as current:
                for page in self._pages(session, windows, metrics):
                    current.rows[self.name] += len(page)
                    yield from page
        except (Refused, Unavailable, ReportRefused) as error:
            self._tap.leave_out([self.name], error)
        else:
            self._tap.failures.add_success()

    def _pages(
        self, session: ReportSession, windows: Iterable[Window], metrics: Sequence[Metric | None]
    ) -> Iterator[list[Row]]:
        for window in windows:
            try:
                for metric in metrics:
                    for page in session.pages(self.report, window, metric):
                        self.get_context_state(None)[CALLS] = call_log.add_call(self.calls, datetime.now(UTC))
                        yield page
            except DailyLimitReached as error:
                self.logger.warning("%s: %s; stopped before %s; the next run continues", self.name, error, window.first)
                return
            self._advance_bookmark(session, window.last)
            self.state_manager.is_flushed = False
            self._write_state_message()

    # What it reads ----------------------------------------------------------------------------------------------------

    def _plan(self, session: ReportSession) -> WindowPlan:
        if self.report.timeframe is not None:
            return WindowPlan(plan_total(self.report, session.today))
        state = self.get_context_state(None) if self.replication_method != REPLICATION_FULL_TABLE else {}
        bookmark = self._bookmark_day(state, "replication_key_value")
        last = last_finished_day(session.today, self.report.unit)
        if bookmark is not None and bookmark > session.today:
            # No finished day would move it until its time has come.
            self.logger.warning(AHEAD, self.name, bookmark)
            state["replication_key_value"] = last.isoformat()
        plan = plan_windows(
            self.report,
            today=session.today,
            start=self._start(session),
            settled=self._bookmark_day(state, SETTLED),
            bookmark=self._bookmark_day(state, "replication_key_value"),
        )
        if plan.clipped_start is not None:
            self.logger.warning(
                "%s: Klaviyo has reports of one year only, so %s is the first day instead of %s",
                self.name,
                plan.windows[0].first if plan.windows else "none",
                plan.clipped_start,
            )
        return plan

    def _start(self, session: ReportSession) -> date | None:
        if self.report.start is not None:
            return self.report.start
        start = self.config.get("start_date")
        return parse_time("start_date", start).astimezone(session.zone).date() if start else None

    def _bookmark_day(self, state: Any, member: str) -> date | None:
        text = state.get(member)
        try:
            return None if text is None else date.fromisoformat(text)
        except (TypeError, ValueError) as error:
            raise SettingsError(
                f"the bookmark of {self.name} must be a day such as 2026-01-31, not {text!r}"
            ) from error

    def _within_daily_limit(self, session: ReportSession, plan: WindowPlan, metrics: int) -> tuple[Window, ...]:
        """The windows that today's limit of calls has room for; both numbers are logged before the first call.

        Each window takes a call for each of so many metrics.
        """
        operation = self.report.operation
        left = session.client.requests_left_today(operation.id)
        windows = plan.windows[-1:] if self.ABORT_AT_RECORD_COUNT is not None else plan.windows
        if not windows:
            what = "that was not read" if self.report.timeframe is None else "of its time frame"
            self.logger.info("%s: no day %s is finished", self.name, what)
            return ()
        room = "" if left is None else f"; this day has {left} of {operation.daily} left"
        first, last = windows[0].first, windows[-1].last
        calls = len(windows) * metrics
        parts = f" ({_count(len(windows), 'time frame')}, {_count(metrics, 'metric')})" if self.report.by_metric else ""
        self.logger.info("%s: %d calls%s for %s to %s%s", self.name, calls, parts, first, last, room)
        if left is None or left >= calls:
            return windows
        fitting = left // metrics
        self.logger.warning(
            "%s: today's budget has room for %d of %d calls; the next run continues from %s",
            self.name,
            fitting * metrics,
            calls,
            windows[fitting].first,
        )
        return windows[:fitting]

    # How far it is ----------------------------------------------------------------------------------------------------

    def _advance_bookmark(self, session: ReportSession, read: date) -> None:
        """Move the bookmark to a day, never back. Of a whole time frame there is none."""
        if self.report.timeframe is not None:
            return
        state = self.get_context_state(None)
        before = self._bookmark_day(state, "replication_key_value")
        settled = settled_day(self.report, read, session.today)
        state.update(
            {
                "replication_key": self.replication_key,
                "replication_key_value": max(read, before or read).isoformat(),
                SETTLED: settled.isoformat(),
            }
        )


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
