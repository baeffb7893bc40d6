"""The client of one run's reports: knows the account's time zone and metrics, and requests the rows of a window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import BadDocument, BadRequest, SettingsError
from klaviyo_client.queries import query_pages
from tap_klaviyo.model import Resource
from tap_klaviyo.reading.event_metrics import resolve
from tap_klaviyo.reports.declaration import Report
from tap_klaviyo.reports.rows import Row, request_attributes, rows
from tap_klaviyo.reports.windows import Window

# How many names of metrics an error message lists.
_MAX_NAMES = 40


class ReportRefused(SettingsError):
    """The setting of one report cannot be used; those of others may be right."""


@dataclass
class ReportSession:
    """What all reports of a run share.

    Args:
        client: the account.
        now: when the run began.
    """

    client: KlaviyoClient
    now: datetime

    @cached_property
    def zone(self) -> ZoneInfo:
        """The account's time zone.

        Raises:
            SettingsError: this machine does not know it.
        """
        (account,) = self.client.page("get_accounts", query={"fields[account]": "timezone"}).data
        name = account["attributes"]["timezone"]
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise SettingsError(
                f"reports: this machine knows no time zone {name}, the account's; install the Python package tzdata"
            ) from error

    @property
    def today(self) -> date:
        """The account's day that is not over yet."""
        zone = self.zone  # may be the first request, whose answer shows Klaviyo's clock
        return self.client.server_clock.earlier(self.now).astimezone(zone).date()

    def metric_id(self, report: Report) -> str | None:
        """The id of a report's metric, None where it has none.

        Raises:
            ReportRefused: the account has no such metric, or several.
        """
        if report.metric is None:
            return None
        ids, _ = resolve([report.metric], self._metrics)
        if len(ids) == 1:
            return ids[0]
        word = "metric" if report.shape == "aggregates" else "conversion_metric"
        if ids:
            raise ReportRefused(
                f"reports: {len(ids)} metrics are called {report.metric}; let {word} of {report.name} be one of "
                f"their ids, {' or '.join(ids)}"
            )
        names = sorted({str(metric["attributes"]["name"]) for metric in self._metrics})
        more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
        raise ReportRefused(
            f"reports: the account has no metric called {report.metric}, which {word} of {report.name} names; it has "
            f"{', '.join(names[:_MAX_NAMES])}{more}"
        )

    @cached_property
    def _metrics(self) -> list[Resource]:
        pages = self.client.pages("get_metrics", query={"fields[metric]": "name,integration"})
        return [metric for page in pages for metric in page.data]

    def pages(self, report: Report, window: Window) -> Iterator[list[Row]]:
        """Request a window; the rows of each page of the answer.

        Raises:
            ReportRefused: Klaviyo refuses the request.
            NotAllowed, DailyLimitReached, Unavailable: as for ``KlaviyoClient.call``.
        """
        metric_id = self.metric_id(report)
        attributes = request_attributes(report, window, self.zone, metric_id)
        name = report.operation.id
        try:
            for answer in query_pages(self.client, name, attributes):
                try:
                    page = list(rows(report, window, answer, self.zone, metric_id))
                except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
                    raise BadDocument(f"{name}: the answer is no report", operation=name) from error
                yield page
        except BadRequest as error:
            # The body holds nothing but what the settings say.
            raise ReportRefused(f"reports: Klaviyo refuses {report.name}: {error}") from error
