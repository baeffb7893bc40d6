"""Answers queries of reports: values and series of campaigns, flows, forms and segments, computed from the account."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.reports.activities import (
    Activity,
    ActivitySource,
    events_between,
    form_activities,
    groupings,
    message_activities,
    values_of,
)
from klaviyo_sandbox.reports.rules import (
    account_timezone,
    check_report,
    is_met,
    parse_filter,
    parse_row_cursor,
    report_timeframe,
    row_cursor,
)
from klaviyo_sandbox.reports.statistics import STATISTICS_OF
from klaviyo_sandbox.reports.timeframes import Intervals, TimeFrame, cut_into_intervals
from klaviyo_sandbox.spec.documents import split_names
from klaviyo_sandbox.spec.exchange import Answer, Request

_INTERVALS = {"hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month"}
# What reports that have no group_by are grouped by.
_SEGMENT = ("segment_id",)
_WITHOUT_PAGES = ("form-", "segment-")

# Values of the group_by -> index of the interval -> activities in it.
Grouped = Mapping[tuple[str | None, ...], Mapping[int, list[Activity]]]


def answer(store: Store, request: Request) -> Answer:
    """Values of a whole time frame, or, where the body has an interval, of each interval in it.

    Raises:
        Refusal: 400 that points at what is not allowed.
    """
    query = request.operation.query or {}
    first = parse_row_cursor(request.query.get("page_cursor"))
    attributes = request.body["data"]["attributes"]
    check_report(store, query, attributes)
    frame = report_timeframe(store, query, attributes)
    kind, _, form = request.body["data"]["type"].removesuffix("-report").rpartition("-")
    is_series = form == "series"
    intervals = _intervals(store, frame, attributes["interval"] if is_series else None)
    group_by = tuple(attributes.get("group_by") or query.get("default_group_by") or _SEGMENT)
    clauses = parse_filter(attributes.get("filter"), query["filters"], store.now())
    activities = (
        (index, activity)
        for index, activity in _activities(store, kind, frame, intervals, attributes)
        if all(is_met(clause, values_of(store, activity.source, clause.field)) for clause in clauses)
    )
    grouped = _group(store, activities, group_by)
    results = _results(kind, grouped, group_by, attributes["statistics"], len(intervals.starts), series=is_series)
    content: dict[str, Any] = {"results": results[first : first + store.report_rows]}
    if is_series:
        # As in the specification's example: the wall clock's time, with an offset that means nothing.
        content["date_times"] = [label.replace(tzinfo=UTC).isoformat() for label in intervals.labels]
    next_first = first + store.report_rows if "page_cursor" in request.operation.parameters else len(results)
    return Answer(200, document(request, content, next_first if next_first < len(results) else None))


def document(request: Request, attributes: Mapping[str, Any], next_first: int | None, **more: Any) -> dict[str, Any]:
    """The answer with the attributes that were asked for.

    ``next_first`` is the index of the next page's first row, None when this page is the last.
    """
    kind = request.body["data"]["type"]
    fields = request.query.get(f"fields[{kind}]")
    shown = (
        attributes if fields is None else {name: attributes[name] for name in split_names(fields) if name in attributes}
    )
    address = f"{request.base}{request.path}"
    links: dict[str, str | None] = {"self": address + (f"?{urlencode(request.query)}" if request.query else "")}
    if not kind.startswith(_WITHOUT_PAGES):
        # Recorded answers have these, where the specification only declares the cursor.
        links |= {"next": None, "prev": None}
    if next_first is not None:
        links["next"] = f"{address}?{urlencode({**request.query, 'page_cursor': row_cursor(next_first)})}"
    return {"data": {"type": kind, "id": str(uuid.uuid4()), **more, "attributes": shown}, "links": links}


def _intervals(store: Store, frame: TimeFrame, interval: str | None) -> Intervals:
    """The intervals of a series, or the whole time frame as one interval."""
    zone = account_timezone(store)
    if interval is None:
        start, _ = frame.bounds(zone)
        return Intervals((start,), (frame.first,))
    # They are never too many: a time frame has at most a year.
    return cut_into_intervals(frame, _INTERVALS[interval], zone)


def _activities(
    store: Store, kind: str, frame: TimeFrame, intervals: Intervals, attributes: Mapping[str, Any]
) -> Iterator[tuple[int, Activity]]:
    """The activities in the time frame, each with the index of its interval."""
    start, stop = frame.bounds(account_timezone(store))
    if kind == "segment":
        yield from _segment_activities(store, start, stop, intervals)
        return
    events = events_between(store, start, stop)
    if kind == "form":
        activities = form_activities(store, events)
    else:
        activities = message_activities(store, events, kind, attributes["conversion_metric_id"])
    yield from ((intervals.index_of(activity.when), activity) for activity in activities)


def _segment_activities(
    store: Store, start: datetime, stop: datetime, intervals: Intervals
) -> Iterator[tuple[int, Activity]]:
    """Who joined a segment, and again in each later interval as a member from before. Who left is not known."""
    for segment_id, members in store.segment_members.items():
        source = ActivitySource("segment", {"segment_id": segment_id})
        for member in members.rows.values():
            when = datetime.fromisoformat(member["joined_group_at"])
            if when >= stop:
                continue
            joined = intervals.index_of(when) if when >= start else -1
            if joined >= 0:
                yield joined, Activity("members_added", member["id"], when, source)
            for later in range(joined + 1, len(intervals.starts)):
                yield later, Activity("member_before", member["id"], when, source)


def _group(store: Store, activities: Iterable[tuple[int, Activity]], group_by: Sequence[str]) -> Grouped:
    grouped: dict[tuple[str | None, ...], dict[int, list[Activity]]] = defaultdict(lambda: defaultdict(list))
    for index, activity in activities:
        for grouping in groupings(store, activity.source, group_by):
            grouped[tuple(grouping[name] for name in group_by)][index].append(activity)
    return grouped


def _results(
    kind: str, grouped: Grouped, group_by: Sequence[str], statistics: Sequence[str], intervals: int, *, series: bool
) -> list[dict[str, Any]]:
    """A result for each group: its statistics, each a list over the ``intervals`` (their number) in a series."""
    results = []
    for values in sorted(grouped, key=lambda values: tuple(value or "" for value in values)):
        numbers = [STATISTICS_OF[kind](grouped[values].get(index, ())) for index in range(intervals)]
        shown = {name: [each[name] for each in numbers] if series else numbers[0][name] for name in statistics}
        results.append({"groupings": dict(zip(group_by, values, strict=True)), "statistics": shown})
    return results
