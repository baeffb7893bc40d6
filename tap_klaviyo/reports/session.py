"""The client of one run's reports: knows the account's time zone and metrics, and requests the rows of a window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from klaviyo_client.api.metric_names import is_klaviyos
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


class Metric(NamedTuple):
    """A metric of the account."""

    id: str
    name: str


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
                f"reports: the account's time zone {name} is unknown on this machine; install the Python package tzdata"
            ) from error

    @property
    def today(self) -> date:
        """The account's day that is not over yet."""
        zone = self.zone  # may be the first request, whose answer shows Klaviyo's clock
        return self.client.server_clock.earlier(self.now).astimezone(zone).date()

    def metrics(self, report: Report) -> list[Metric]:
        """The metrics of a report, in the account's order: a call each for every window.

        Raises:
            ReportRefused: the account has no such metric, or several of a name that is to be one, or more than the
                calls of a day.
        """
        ids = self._metric_ids(report)
        daily = report.operation.daily
        if daily is not None and len(ids) > daily:
            raise ReportRefused(
                f"reports: {report.name} takes {len(ids)} calls for each time frame, and a day allows {daily}; name "
                f"fewer metrics in {_word(report)}"
            )
        return [Metric(metric["id"], _name(metric)) for metric in self._metrics if metric["id"] in ids]

    def _metric_ids(self, report: Report) -> set[str]:
        if report.every_metric:
            # How often Klaviyo's own happened after a message are statistics of their own.
            is_told = report.shape == "aggregates"
            ids = {m["id"] for m in self._metrics if is_told or not is_klaviyos(m["attributes"].get("integration"))}
            if not ids:
                raise ReportRefused(f"reports: {report.name} is about every metric, and the account has none")
            return ids
        found, unknown = resolve(report.metrics, self._metrics)
        if unknown:
            several = "s" if len(unknown) > 1 else ""
            names = sorted({_name(metric) for metric in self._metrics})
            more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
            raise ReportRefused(
                f"reports: the account has no metric{several} called {', '.join(unknown)}, which {_word(report)} of "
                f"{report.name} names; it has {', '.join(names[:_MAX_NAMES])}{more}"
            )
        if len(found) > 1 and not report.by_metric:
            raise ReportRefused(
                f"reports: {len(found)} metrics are called {report.metrics[0]}; let {_word(report)} of {report.name} "
                f"be one of their ids, {' or '.join(found)}"
            )
        return set(found)

    @cached_property
    def _metrics(self) -> list[Resource]:
        pages = self.client.pages("get_metrics", query={"fields[metric]": "name,integration"})
        return [metric for page in pages for metric in page.data]

    def pages(self, report: Report, window: Window, metric: Metric | None) -> Iterator[list[Row]]:
        """Request a window of one metric, None for a report without; the rows of each page of the answer.

        Raises:
            ReportRefused: Klaviyo refuses the request.
            NotAllowed, DailyLimitReached, Unavailable: as for ``KlaviyoClient.call``.
        """
        metric_id, metric_name = metric or (None, None)
        attributes = request_attributes(report, window, self.zone, metric_id)
        name = report.operation.id
        try:
            for answer in query_pages(self.client, name, attributes):
                try:
                    page = list(rows(report, window, answer, self.zone, metric_id, metric_name))
                except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
                    raise BadDocument(f"{name}: the answer is no report", operation=name) from error
                yield page
        except BadRequest as error:
            # The body holds nothing but what the settings say.
            raise ReportRefused(f"reports: Klaviyo refuses {report.name}: {error}") from error


def _word(report: Report) -> str:
    """The member of an entry that names its metrics."""
    return "metric" if report.shape == "aggregates" else "conversion_metric"


def _name(metric: Resource) -> str:
    return str(metric["attributes"]["name"])
