"""What a report is asked, and the rows that its answer makes. Pure.

Times of a series may come as the account's clock on the wall shows them, with an offset that says nothing, or as points
in time: the specification's example has the one, and nothing rules out the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from tap_klaviyo.reports.declaration import Report, column
from tap_klaviyo.reports.windows import Window, after

Row = dict[str, Any]

# Klaviyo's aggregates do not know these names, but those that the IANA database had for the same zones before.
_EARLIER_NAMES = {"Europe/Kyiv": "Europe/Kiev", "Pacific/Kanton": "Pacific/Enderbury"}


def attributes(report: Report, window: Window, zone: ZoneInfo, metric_id: str | None) -> dict[str, Any]:
    """The attributes of the body that asks for the days of a window."""
    if report.shape == "aggregates":
        return _of_aggregates(report, window, zone, metric_id)
    # The end is included, with the whole hour that it is in; the offset is ignored.
    timeframe = {"start": f"{window.first}T00:00:00+00:00", "end": f"{window.last}T23:59:59+00:00"}
    asked: dict[str, Any] = {"statistics": list(report.statistics), "timeframe": timeframe}
    if report.shape == "series":
        asked["interval"] = report.interval
    if "group_by" in report.query.values:
        asked["group_by"] = list(report.group_by)
    if metric_id is not None:
        asked["conversion_metric_id"] = metric_id
    if report.filter is not None:
        asked["filter"] = report.filter
    return asked


def _of_aggregates(report: Report, window: Window, zone: ZoneInfo, metric_id: str | None) -> dict[str, Any]:
    times = (
        f"greater-or-equal(datetime,{window.first}T00:00:00)",
        f"less-than(datetime,{window.last + timedelta(days=1)}T00:00:00)",
    )
    asked = {
        "metric_id": metric_id,
        "measurements": list(report.statistics),
        "interval": report.interval,
        "filter": [*times, *([] if report.filter is None else [report.filter])],
        "timezone": _EARLIER_NAMES.get(zone.key, zone.key),
    }
    return {**asked, **({"by": list(report.group_by)} if report.group_by else {})}


def rows(
    report: Report, window: Window, answer: Mapping[str, Any], zone: ZoneInfo, metric_id: str | None
) -> Iterator[Row]:
    """The rows of one page of an answer: one for each grouping, and of a series for each interval in it.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: the answer is not what the specification promises.
    """
    metric = {report.metric_column: metric_id} if report.metric_column else {}
    if report.shape == "values":
        days = {"timeframe_start": window.first.isoformat(), "timeframe_end": window.last.isoformat()}
        for found in answer["results"]:
            numbers = {name: found["statistics"].get(name) for name in report.statistics}
            yield {**days, **_grouping(report, found["groupings"]), **metric, **numbers}
        return
    dates = answer["dates" if report.shape == "aggregates" else "date_times"]
    times = list(_times(report, window, dates, zone))
    for grouping, series in _series(report, answer):
        for number, told in enumerate(times):
            if told is not None:
                numbers = {name: series[name][number] if name in series else None for name in report.statistics}
                yield {**told, **grouping, **metric, **numbers}


def _series(report: Report, answer: Mapping[str, Any]) -> Iterator[tuple[Row, Mapping[str, Sequence[Any]]]]:
    if report.shape == "series":
        for found in answer["results"]:
            yield _grouping(report, found["groupings"]), found["statistics"]
        return
    for found in answer["data"]:
        named = dict(zip(report.group_by, found["dimensions"], strict=bool(report.group_by)))
        yield _grouping(report, named), found["measurements"]


def _grouping(report: Report, found: Mapping[str, Any]) -> Row:
    """What names a row holds no null: a message without a tag is of the tag that has no name."""
    values = ((name, found.get(name)) for name in report.group_by)
    return {column(name): "" if value is None else str(value) for name, value in values}


def _times(report: Report, window: Window, texts: Sequence[str], zone: ZoneInfo) -> Iterator[Row | None]:
    """The columns of time of each interval; None of one that is not wholly in the window, and so not wholly told."""
    moments = [datetime.fromisoformat(text) for text in texts]
    local = _hours(moments, window, zone) if report.by_hour else [_of_day(moment, zone) for moment in moments]
    for moment in local:
        day = moment.date()
        # Klaviyo's weeks may begin on another day than ours.
        days = {"day": 1, "week": 7, "month": (after(day, "month") - day).days}[report.unit]
        if day < window.first or day + timedelta(days=days - 1) > window.last:
            yield None
            continue
        hour = {"date_time": moment.isoformat()} if report.by_hour else {}
        yield {"date": day.isoformat(), **hour}


def _of_day(moment: datetime, zone: ZoneInfo) -> datetime:
    """The beginning of a day: midnight is the wall's, anything else a point in time."""
    return moment if moment.time() == time() else _in(zone, moment)


def _hours(moments: Sequence[datetime], window: Window, zone: ZoneInfo) -> list[datetime]:
    """Hours as points in time, where the first one shows the window's beginning on the wall."""
    walls = [moment.replace(tzinfo=None) for moment in moments]
    begin = datetime.combine(window.first, time())
    even = all(later - earlier == timedelta(hours=1) for earlier, later in pairwise(walls))
    # Where the wall shows UTC at first, only hours that are skipped or come twice tell that it is the wall.
    is_utc = begin.replace(tzinfo=zone).utcoffset() == timedelta()
    if not walls or walls[0] != begin or (is_utc and even):
        return [_in(zone, moment) for moment in moments]
    # An hour that comes twice is the later one the second time.
    return [
        wall.replace(tzinfo=zone, fold=int(wall == before)) for before, wall in zip([None, *walls], walls, strict=False)
    ]


def _in(zone: ZoneInfo, moment: datetime) -> datetime:
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(zone)
