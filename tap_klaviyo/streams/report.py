"""A report as a Singer stream. Its bookmark is the last finished day that was read, its STATE also counts the calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from singer_sdk.helpers.types import Context, Record
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from klaviyo_client.errors import DailyLimitReached, NotAllowed, SettingsError
from tap_klaviyo.reports import call_log
from tap_klaviyo.reports.declaration import Report
from tap_klaviyo.reports.rows import Row
from tap_klaviyo.reports.session import Session
from tap_klaviyo.reports.windows import Plan, Window, planned, settled_by
from tap_klaviyo.streams.table import EdgeStream, moment

if TYPE_CHECKING:
    from tap_klaviyo.tap import TapKlaviyo

# Members of a bookmark besides the SDK's.
SETTLED, CALLS = "settled", "calls"


class ReportStream(EdgeStream):
    """One entry of the setting ``reports``."""

    def __init__(self, tap: TapKlaviyo, report: Report) -> None:
        self.report = report
        super().__init__(tap, schema=report.schema, name=report.name)
        self.primary_keys = report.key
        self.replication_key = report.days[-1]

    @property
    def calls(self) -> dict[str, int]:
        """The calls of earlier runs, and of this one, by hour."""
        found = self.get_context_state(None).get(CALLS)
        return dict(found) if isinstance(found, dict) else {}

    def get_records(self, context: Context | None) -> Iterable[Record]:  # noqa: ARG002 - the SDK's signature
        """The rows of every day that a run is to read and this day's budget has room for."""
        try:
            session = self._tap.session
            windows = self._affordable(session, self._plan(session))
            with self._tap.progress.reading(self.name, (self.name,)) as current:
                for page in self._pages(session, windows):
                    current.rows[self.name] += len(page)
                    yield from page
        except NotAllowed as error:
            self._tap.skip([self.name], error)

    def _pages(self, session: Session, windows: Iterable[Window]) -> Iterator[list[Row]]:
        for window in windows:
            try:
                for page in session.answers(self.report, window):
                    self.get_context_state(None)[CALLS] = call_log.noted(self.calls, datetime.now(UTC))
                    yield page
            except DailyLimitReached as spent:
                self.logger.warning("%s: %s; stopped before %s, the next run goes on", self.name, spent, window.first)
                return
            self._publish(session, window.last)

    # What is to be read -----------------------------------------------------------------------------------------------

    def _plan(self, session: Session) -> Plan:
        state = self.get_context_state(None) if self.replication_method != REPLICATION_FULL_TABLE else {}
        found = planned(
            self.report,
            today=session.today,
            start=self._start(session),
            settled=self._day(state, SETTLED),
            bookmark=self._day(state, "replication_key_value"),
        )
        if found.too_early is not None:
            self.logger.warning(
                "%s: Klaviyo tells of one year only, so %s is the first day instead of %s",
                self.name,
                found.windows[0].first if found.windows else "none",
                found.too_early,
            )
        return found

    def _start(self, session: Session) -> date | None:
        if self.report.start is not None:
            return self.report.start
        start = self.config.get("start_date")
        return moment("start_date", start).astimezone(session.zone).date() if start else None

    def _day(self, state: Any, member: str) -> date | None:
        text = state.get(member)
        try:
            return None if text is None else date.fromisoformat(text)
        except (TypeError, ValueError) as error:
            raise SettingsError(
                f"the bookmark of {self.name} must be a day such as 2026-01-31, not {text!r}"
            ) from error

    def _affordable(self, session: Session, plan: Plan) -> tuple[Window, ...]:
        """As many calls as this day has left; what is planned and what is left is said before the first."""
        operation = self.report.operation
        left = session.client.requests_left_today(operation.id)
        windows = plan.windows[-1:] if self.ABORT_AT_RECORD_COUNT is not None else plan.windows
        if not windows:
            self.logger.info("%s: no day is finished that was not read", self.name)
            return ()
        room = "" if left is None else f"; this day has {left} of {operation.daily} left"
        first, last = windows[0].first, windows[-1].last
        self.logger.info("%s: %d calls for %s to %s%s", self.name, len(windows), first, last, room)
        if left is None or left >= len(windows):
            return windows
        self.logger.warning(
            "%s: this day's budget has room for %d of %d calls; the next run goes on from %s",
            self.name,
            left,
            len(windows),
            windows[left].first,
        )
        return windows[:left]

    # How far it was read ----------------------------------------------------------------------------------------------

    def _publish(self, session: Session, read: date) -> None:
        """Move the bookmark to a day, never back, and write it."""
        state = self.get_context_state(None)
        before = self._day(state, "replication_key_value")
        settled = settled_by(self.report, read, session.today)
        state.update(
            {
                "replication_key": self.replication_key,
                "replication_key_value": max(read, before or read).isoformat(),
                SETTLED: settled.isoformat(),
            }
        )
        self.state_manager.is_flushed = False
        self._write_state_message()
