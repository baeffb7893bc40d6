"""Answers queries of metric aggregates: counts, profiles and values of a metric's events by dimension and interval."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.reports.activities import attributed_dimensions, events_between
from klaviyo_sandbox.reports.reports import document
from klaviyo_sandbox.reports.rules import invalid_attribute, is_met, parse_filter, parse_row_cursor
from klaviyo_sandbox.reports.timeframes import Intervals, InvalidTimeframe, TimeFrame, cut_into_intervals
from klaviyo_sandbox.spec.errors import Refusal
from klaviyo_sandbox.spec.exchange import Answer, Request
from klaviyo_sandbox.spec.filters import Clause

# The live API has been seen to refuse smaller pages.
_MIN_PAGE_SIZE = 500
_UNSUPPORTED_TIMEZONES = {"Factory", "Europe/Kyiv", "Pacific/Kanton"}
# The specification does not say which operators filters on dimensions take.
_FILTER_RULE = {"operators": {"single": ["equals"], "list": ["any"]}, "value": {"type": "string"}}
_TIME_FILTER = re.compile(r"\s*(greater-or-equal|less-than)\(datetime,\s*([\dT:.+Zz-]+)\)\s*")


@dataclass
class _Cell:
    """What the events of one combination of dimensions add up to in one interval."""

    count: int = 0
    value: float = 0.0
    profile_ids: set[str] = field(default_factory=set)

    def measurement(self, name: str) -> float:
        return {"count": self.count, "unique": len(self.profile_ids), "sum_value": self.value}[name]


# Dimensions -> index of the interval -> its cell.
_Cells = Mapping[tuple[str, ...], Mapping[int, _Cell]]


def answer(store: Store, request: Request) -> Answer:
    """The measurements of every combination of dimensions that has events.

    Raises:
        Refusal: 400 that points at what is not allowed.
    """
    attributes = request.body["data"]["attributes"]
    _check(store, attributes)
    zone = _timezone(attributes)
    rules = dict.fromkeys((request.operation.query or {})["values"]["by"], _FILTER_RULE)
    first = _first_row(attributes.get("page_cursor"))
    try:
        frame, other_filters = _split_filters(attributes["filter"])
        intervals = cut_into_intervals(frame, attributes.get("interval") or "day", zone)
    except InvalidTimeframe as error:
        raise invalid_attribute(str(error), "filter") from None
    clauses = [clause for text in other_filters for clause in parse_filter(text, rules, store.now())]
    cells = _add_up(store, attributes, frame.bounds(zone), intervals, clauses)
    rows = _rows(cells, len(intervals.starts), attributes["measurements"])
    size = min(attributes.get("page_size") or _MIN_PAGE_SIZE, store.report_rows)
    content = {
        "dates": [start.isoformat() for start in intervals.starts],
        "data": _sort(rows, attributes.get("by") or (), attributes.get("sort"))[first : first + size],
    }
    next_first = first + size if first + size < len(rows) else None
    return Answer(200, document(request, content, next_first, links={"self": request.base}))


def _add_up(
    store: Store,
    attributes: Mapping[str, Any],
    bounds: tuple[datetime, datetime],
    intervals: Intervals,
    clauses: Sequence[Clause],
) -> _Cells:
    """The cells of the metric's events between the bounds."""
    by: Sequence[str] = attributes.get("by") or ()
    cells: dict[tuple[str, ...], dict[int, _Cell]] = defaultdict(lambda: defaultdict(_Cell))
    if not by:
        cells[()] = defaultdict(_Cell)
    for event in events_between(store, *bounds):
        dimensions = _Dimensions(store, event)
        if event["metric_id"] == attributes["metric_id"] and all(
            is_met(clause, [dimensions.text(clause.field)]) for clause in clauses
        ):
            index = intervals.index_of(datetime.fromisoformat(event["datetime"]))
            cell = cells[tuple(map(dimensions.text, by))][index]
            cell.count += 1
            cell.profile_ids.add(event["profile_id"])
            cell.value += dimensions.value
    return cells


class _Dimensions:
    """The dimensions of an event: its own properties, and those of the message that it is attributed to."""

    def __init__(self, store: Store, event: Row) -> None:
        self._store = store
        self._event = event
        self._properties: Mapping[str, Any] = event["event_properties"] or {}
        self._attributed: Mapping[str, str] | None = None

    @property
    def value(self) -> float:
        value = self._properties.get("$value")
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0

    def text(self, dimension: str) -> str:
        """The dimension as text; empty where the event has none."""
        if dimension.startswith("$attributed_"):
            if self._attributed is None:
                self._attributed = attributed_dimensions(self._store, self._event)
            return self._attributed.get(dimension, "")
        is_cohort = dimension in ("$message_send_cohort", "$variation_send_cohort")
        value = self._properties.get(f"$_cohort{dimension}" if is_cohort else dimension)
        return "" if value is None or isinstance(value, dict | list) else str(value)


def _check(store: Store, attributes: Mapping[str, Any]) -> None:
    """Refuse an unknown metric, no measurement, a page size that is too small, or an unknown sort."""
    if attributes["metric_id"] not in store.metrics:
        raise invalid_attribute(f"A metric with id {attributes['metric_id']} does not exist.", "metric_id")
    if not attributes["measurements"]:
        raise invalid_attribute("At least one measurement is required.", "measurements")
    size = attributes.get("page_size")
    if size is not None and size < _MIN_PAGE_SIZE:
        raise invalid_attribute(f"page_size must be at least {_MIN_PAGE_SIZE}.", "page_size")
    sortable = {*attributes["measurements"], *(attributes.get("by") or ()), "count"}
    if (attributes.get("sort") or "-count").removeprefix("-") not in sortable:
        raise invalid_attribute("sort must be a measurement or a dimension of the query.", "sort")


def _timezone(attributes: Mapping[str, Any]) -> ZoneInfo:
    name = attributes.get("timezone") or "UTC"
    if name not in available_timezones() - _UNSUPPORTED_TIMEZONES:
        raise invalid_attribute(f"'{name}' is not a supported timezone.", "timezone")
    return ZoneInfo(name)


def _first_row(cursor: str | None) -> int:
    """The index of the page's first row."""
    try:
        return parse_row_cursor(cursor)
    except Refusal as refusal:
        raise invalid_attribute(refusal.problems[0].detail, "page_cursor") from None


def _split_filters(filters: Sequence[str]) -> tuple[TimeFrame, Sequence[str]]:
    """The time frame that filters on ``datetime`` give, and the other filters.

    Raises:
        InvalidTimeframe: the time frame is not allowed.
        Refusal: 400, there are not both bounds.
    """
    bounds: dict[str, datetime] = {}
    others = []
    for text in filters:
        match = _TIME_FILTER.fullmatch(text)
        if match is None:
            others.append(text)
            continue
        operator, time = match.groups()
        try:
            bounds[operator] = datetime.fromisoformat(time.upper()).replace(tzinfo=None)
        except ValueError:
            raise invalid_attribute(f"'{time}' is no point in time.", "filter") from None
    if bounds.keys() != {"greater-or-equal", "less-than"}:
        raise invalid_attribute("A greater-or-equal and a less-than filter on datetime are required.", "filter")
    return TimeFrame(bounds["greater-or-equal"], bounds["less-than"]), others


def _rows(cells: _Cells, intervals: int, measurements: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each combination of dimensions; ``intervals`` is how many numbers a measurement has."""
    empty = _Cell()
    return [
        {
            "dimensions": list(dimensions),
            "measurements": {
                name: [cells_by_index.get(index, empty).measurement(name) for index in range(intervals)]
                for name in measurements
            },
        }
        for dimensions, cells_by_index in sorted(cells.items())
    ]


def _sort(rows: list[dict[str, Any]], by: Sequence[str], sort: str | None) -> list[dict[str, Any]]:
    name = (sort or "").removeprefix("-")
    if name in by:
        rows = sorted(rows, key=lambda row: str(row["dimensions"][by.index(name)]))
    elif name in (rows[0]["measurements"] if rows else ()):
        rows = sorted(rows, key=lambda row: float(sum(row["measurements"][name])))
    return rows[::-1] if sort and sort.startswith("-") else rows
