"""Aggregates of a metric's events: counts, people and values, by dimensions and intervals."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from klaviyo_sandbox.account.ids import short_id
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.reports.activities import events_between, owed_to
from klaviyo_sandbox.reports.reports import document
from klaviyo_sandbox.reports.rules import clauses_of, holds, place_of, refused
from klaviyo_sandbox.reports.timeframes import Frame, Intervals, NoTimeframe, intervals
from klaviyo_sandbox.spec.errors import Refusal
from klaviyo_sandbox.spec.exchange import Answer, Request
from klaviyo_sandbox.spec.filters import Clause

# The live API has been seen to refuse smaller pages.
_SMALLEST_PAGE = 500
_UNSUPPORTED_ZONES = {"Factory", "Europe/Kyiv", "Pacific/Kanton"}
# Which operators dimensions take, the specification does not say.
_RULE = {"operators": {"single": ["equals"], "list": ["any"]}, "value": {"type": "string"}}
_TIME = re.compile(r"\s*(greater-or-equal|less-than)\(datetime,\s*([\dT:.+Zz-]+)\)\s*")


@dataclass
class _Cell:
    """What is in one interval."""

    count: int = 0
    value: float = 0.0
    people: set[str] = field(default_factory=set)

    def measured(self, measurement: str) -> float:
        return {"count": self.count, "unique": len(self.people), "sum_value": self.value}[measurement]


def answer(store: Store, request: Request) -> Answer:
    """The measurements of every combination of dimensions that has events.

    Raises:
        Refusal: 400 that points at what cannot be.
    """
    attributes = request.body["data"]["attributes"]
    zone = _checked(store, attributes)
    rules = dict.fromkeys((request.operation.query or {})["values"]["by"], _RULE)
    place = _place(attributes.get("page_cursor"))
    try:
        found, rest = _time_of(attributes["filter"])
        parts = intervals(found, attributes.get("interval") or "day", zone)
    except NoTimeframe as error:
        raise refused(str(error), "filter") from None
    clauses = [clause for text in rest for clause in clauses_of(text, rules, store.now())]
    rows = _rows(_cells(store, attributes, found.bounds(zone), parts, clauses), parts, attributes["measurements"])
    size = min(attributes.get("page_size") or _SMALLEST_PAGE, store.report_rows)
    told = {
        "dates": [start.isoformat() for start in parts.starts],
        "data": _sorted(rows, attributes.get("by") or (), attributes.get("sort"))[place : place + size],
    }
    after = place + size if place + size < len(rows) else None
    return Answer(200, document(request, told, after, id=short_id(random.SystemRandom()), links={"self": request.base}))


def _cells(
    store: Store,
    attributes: Mapping[str, Any],
    bounds: tuple[datetime, datetime],
    parts: Intervals,
    clauses: Sequence[Clause],
) -> Mapping[tuple[str, ...], Mapping[int, _Cell]]:
    """Dimensions -> number of the interval -> what is in it."""
    by: Sequence[str] = attributes.get("by") or ()
    cells: dict[tuple[str, ...], dict[int, _Cell]] = defaultdict(lambda: defaultdict(_Cell))
    if not by:
        cells[()] = defaultdict(_Cell)
    for event in events_between(store, *bounds):
        dimensions = _Dimensions(store, event)
        if event["metric_id"] == attributes["metric_id"] and all(
            holds(clause, [dimensions.of(clause.field)]) for clause in clauses
        ):
            cell = cells[tuple(map(dimensions.of, by))][parts.of(datetime.fromisoformat(event["datetime"]))]
            cell.count += 1
            cell.people.add(event["profile_id"])
            cell.value += dimensions.value
    return cells


class _Dimensions:
    """What an event says of itself, and of the message that it is owed to, as text."""

    def __init__(self, store: Store, event: Row) -> None:
        self._store = store
        self._event = event
        self._said: Mapping[str, Any] = event["event_properties"] or {}
        self._owed: Mapping[str, str] | None = None

    @property
    def value(self) -> float:
        given = self._said.get("$value")
        return float(given) if isinstance(given, int | float) and not isinstance(given, bool) else 0.0

    def of(self, dimension: str) -> str:
        """Empty where the event says nothing."""
        if dimension.startswith("$attributed_"):
            if self._owed is None:
                self._owed = owed_to(self._store, self._event)
            return self._owed.get(dimension, "")
        cohort = {"$message_send_cohort", "$variation_send_cohort"} & {dimension}
        given = self._said.get(f"$_cohort{dimension}" if cohort else dimension)
        return "" if given is None or isinstance(given, dict | list) else str(given)


def _checked(store: Store, attributes: Mapping[str, Any]) -> ZoneInfo:
    """The time zone, when the rest can be."""
    if attributes["metric_id"] not in store.metrics:
        raise refused(f"A metric with id {attributes['metric_id']} does not exist.", "metric_id")
    if not attributes["measurements"]:
        raise refused("At least one measurement is required.", "measurements")
    size = attributes.get("page_size")
    if size is not None and size < _SMALLEST_PAGE:
        raise refused(f"page_size must be at least {_SMALLEST_PAGE}.", "page_size")
    known = {*attributes["measurements"], *(attributes.get("by") or ())}
    if (attributes.get("sort") or "-count").removeprefix("-") not in {*known, "count"}:
        raise refused("sort must be a measurement or a dimension of the query.", "sort")
    name = attributes.get("timezone") or "UTC"
    if name not in available_timezones() - _UNSUPPORTED_ZONES:
        raise refused(f"'{name}' is not a supported timezone.", "timezone")
    return ZoneInfo(name)


def _place(cursor: str | None) -> int:
    try:
        return place_of(cursor)
    except Refusal as refusal:
        raise refused(refusal.problems[0].detail, "page_cursor") from None


def _time_of(filters: Sequence[str]) -> tuple[Frame, Sequence[str]]:
    """The time that filters on ``datetime`` leave, and the other filters.

    Raises:
        NoTimeframe: it cannot be.
        Refusal: 400, there are not both bounds.
    """
    bounds: dict[str, datetime] = {}
    rest = []
    for text in filters:
        found = _TIME.fullmatch(text)
        if found is None:
            rest.append(text)
            continue
        try:
            bounds[found[1]] = datetime.fromisoformat(found[2].upper()).replace(tzinfo=None)
        except ValueError:
            raise refused(f"'{found[2]}' is no point in time.", "filter") from None
    if bounds.keys() != {"greater-or-equal", "less-than"}:
        raise refused("A greater-or-equal and a less-than filter on datetime are required.", "filter")
    return Frame(bounds["greater-or-equal"], bounds["less-than"]), rest


def _rows(
    cells: Mapping[tuple[str, ...], Mapping[int, _Cell]], parts: Intervals, measurements: Sequence[str]
) -> list[dict[str, Any]]:
    empty = _Cell()
    return [
        {
            "dimensions": list(dimensions),
            "measurements": {
                name: [found.get(number, empty).measured(name) for number in range(len(parts.starts))]
                for name in measurements
            },
        }
        for dimensions, found in sorted(cells.items())
    ]


def _sorted(rows: list[dict[str, Any]], by: Sequence[str], sort: str | None) -> list[dict[str, Any]]:
    name = (sort or "").removeprefix("-")
    if name in by:
        rows = sorted(rows, key=lambda row: str(row["dimensions"][by.index(name)]))
    elif name in (rows[0]["measurements"] if rows else ()):
        rows = sorted(rows, key=lambda row: float(sum(row["measurements"][name])))
    return rows[::-1] if sort and sort.startswith("-") else rows
