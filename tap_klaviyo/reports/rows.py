"""The body of a report's request, and the rows of its answer. Pure.

The times of a series may be wall times of the account's time zone, with an offset that means nothing, or points in
time: the example of Klaviyo's document has wall times, and nothing rules out the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from tap_klaviyo.reports.declaration import Report, column
from tap_klaviyo.reports.windows import Window, next_unit_start
from tap_klaviyo.rows.values import ConversionError, as_number

Row = dict[str, Any]

# Klaviyo's aggregates do not know these names of time zones, but the earlier ones of the IANA database.
_EARLIER_NAMES = {"Europe/Kyiv": "Europe/Kiev", "Pacific/Kanton": "Pacific/Enderbury"}


def request_attributes(report: Report, window: Window, zone: ZoneInfo, metric_id: str | None) -> dict[str, Any]:
    """The attributes of the request's body for the days of a window."""
    if report.shape == "aggregates":
        return _aggregate_attributes(report, window, zone, metric_id)
    # The end is included, with the whole hour that it is in; the offset is ignored.
    timeframe = {"start": f"{window.first}T00:00:00+00:00", "end": f"{window.last}T23:59:59+00:00"}
    attributes: dict[str, Any] = {"statistics": list(report.statistics), "timeframe": timeframe}
    if report.shape == "series":
        attributes["interval"] = report.interval
    if "group_by" in report.query.values:
        attributes["group_by"] = list(report.group_by)
    if metric_id is not None:
        attributes["conversion_metric_id"] = metric_id
    if report.filter is not None:
        attributes["filter"] = report.filter
    return attributes


def _aggregate_attributes(report: Report, window: Window, zone: ZoneInfo, metric_id: str | None) -> dict[str, Any]:
    times = (
        f"greater-or-equal(datetime,{window.first}T00:00:00)",
        f"less-than(datetime,{window.last + timedelta(days=1)}T00:00:00)",
    )
    attributes = {
        "metric_id": metric_id,
        "measurements": list(report.statistics),
        "interval": report.interval,
        "filter": [*times, *([] if report.filter is None else [report.filter])],
        "timezone": _EARLIER_NAMES.get(zone.key, zone.key),
    }
    return {**attributes, **({"by": list(report.group_by)} if report.group_by else {})}


def rows(
    report: Report,
    window: Window,
    answer: Mapping[str, Any],
    zone: ZoneInfo,
    metric_id: str | None,
    metric_name: str | None = None,
) -> Iterator[Row]:
    """The rows of one page of an answer: one for each grouping, and of a series for each interval in it.

    Args:
        report: what was asked for.
        window: the days that it was asked for.
        answer: the attributes of a page.
        zone: the account's.
        metric_id: the metric that it is about, None for none.
        metric_name: that metric's.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: the answer is not what the specification promises.
    """
    metric = dict(zip(report.metric_columns, (metric_id, metric_name), strict=False))
    if report.shape == "values":
        days = {"timeframe_start": window.first.isoformat(), "timeframe_end": window.last.isoformat()}
        for result in answer["results"]:
            numbers = {name: _number(name, result["statistics"].get(name)) for name in report.statistics}
            yield {**days, **_grouping_columns(report, result["groupings"]), **metric, **numbers}
        return
    dates = answer["dates" if report.shape == "aggregates" else "date_times"]
    intervals = list(_date_columns(report, window, dates, zone))
    for grouping, series in _series(report, answer):
        for index, columns in enumerate(intervals):
            if columns is not None:
                told = {name: series[name][index] if name in series else None for name in report.statistics}
                numbers = {name: _number(name, value) for name, value in told.items()}
                yield {**columns, **grouping, **metric, **numbers}


def _number(name: str, value: Any) -> float | None:
    """What a statistic says; a rate of nothing is no number in JSON either."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    try:
        return as_number(value)
    except ConversionError as error:
        raise ValueError(f"{name} is no number") from error


def _series(report: Report, answer: Mapping[str, Any]) -> Iterator[tuple[Row, Mapping[str, Sequence[Any]]]]:
    """(columns of the grouping, statistic -> its number for each interval)."""
    if report.shape == "series":
        for result in answer["results"]:
            yield _grouping_columns(report, result["groupings"]), result["statistics"]
        return
    for result in answer["data"]:
        groupings = dict(zip(report.group_by, result["dimensions"], strict=bool(report.group_by)))
        yield _grouping_columns(report, groupings), result["measurements"]


def _grouping_columns(report: Report, groupings: Mapping[str, Any]) -> Row:
    """The columns of a grouping. They are part of the key, so a missing value (no tag, say) is an empty text."""
    values = ((name, groupings.get(name)) for name in report.group_by)
    return {column(name): "" if value is None else str(value) for name, value in values}


def _date_columns(report: Report, window: Window, texts: Sequence[str], zone: ZoneInfo) -> Iterator[Row | None]:
    """Date columns of each interval; None for one only partly inside the window: its numbers are incomplete."""
    times = [datetime.fromisoformat(text) for text in texts]
    local = _local_hours(times, window, zone) if report.by_hour else [_local_day(moment, zone) for moment in times]
    for moment in local:
        day = moment.date()
        # Klaviyo's weeks may begin on another day than ours.
        days = {"day": 1, "week": 7, "month": (next_unit_start(day, "month") - day).days}[report.unit]
        if day < window.first or day + timedelta(days=days - 1) > window.last:
            yield None
            continue
        hour = {"date_time": moment.isoformat()} if report.by_hour else {}
        yield {"date": day.isoformat(), **hour}


def _local_day(moment: datetime, zone: ZoneInfo) -> datetime:
    """The beginning of a day in the zone: midnight is a wall time, anything else a point in time."""
    return moment if moment.time() == time() else _to_zone(zone, moment)


def _local_hours(times: Sequence[datetime], window: Window, zone: ZoneInfo) -> list[datetime]:
    """Hours in the zone, from wall times or from points in time."""
    walls = [moment.replace(tzinfo=None) for moment in times]
    return _hours_of_walls(walls, zone) if _are_walls(walls, window, zone) else [_to_zone(zone, one) for one in times]


def _are_walls(walls: Sequence[datetime], window: Window, zone: ZoneInfo) -> bool:
    """Whether hours, without their offsets, are wall times: then the first shows the beginning of the window."""
    begin = datetime.combine(window.first, time())
    if not walls or walls[0] != begin:
        return False
    # In a zone that is at UTC then, both look alike, unless an hour is skipped or comes twice in wall time.
    is_utc = begin.replace(tzinfo=zone).utcoffset() == timedelta()
    is_even = all(later - earlier == timedelta(hours=1) for earlier, later in pairwise(walls))
    return not (is_utc and is_even)


def _hours_of_walls(walls: Sequence[datetime], zone: ZoneInfo) -> list[datetime]:
    """Wall times in the zone; of an hour that comes twice, the second is the later one (PEP 495's fold)."""
    previous = [None, *walls[:-1]]
    return [wall.replace(tzinfo=zone, fold=int(wall == before)) for wall, before in zip(walls, previous, strict=True)]


def _to_zone(zone: ZoneInfo, moment: datetime) -> datetime:
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(zone)
