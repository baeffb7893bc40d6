"""Reports: values and series of campaigns, flows, forms and segments, worked out of what the account holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.reads.collections import Request
from klaviyo_sandbox.reports import activities
from klaviyo_sandbox.reports.activities import Deed, Source, groupings, values_of
from klaviyo_sandbox.reports.rules import check_report, clauses_of, cursor_at, frame_of, holds, place_of, zone_of
from klaviyo_sandbox.reports.statistics import MADE
from klaviyo_sandbox.reports.timeframes import Frame, Intervals, intervals
from klaviyo_sandbox.spec.documents import split
from klaviyo_sandbox.writes.bodies import Answer

_INTERVALS = {"hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month"}
# Of reports that have no group_by.
_SEGMENT = ("segment_id",)

# Grouping -> number of the interval -> what was done in it.
Grouped = Mapping[tuple[str | None, ...], Mapping[int, list[Deed]]]


def answer(store: Store, request: Request) -> Answer:
    """Values of a whole time frame, or, where the body has an interval, of each interval in it.

    Raises:
        Refusal: 400 that points at what cannot be.
    """
    query = request.operation.query or {}
    place = place_of(request.query.get("page_cursor"))
    attributes = request.body["data"]["attributes"]
    check_report(store, query, attributes)
    found = frame_of(store, query, attributes)
    kind, _, form = request.body["data"]["type"].removesuffix("-report").rpartition("-")
    start, _ = found.bounds(zone_of(store))
    # One interval for values: the whole frame.
    parts = Intervals((start,), (found.first,))
    if form == "series":
        # A year has less than the most hours there may be.
        parts = intervals(found, _INTERVALS[attributes["interval"]], zone_of(store))
    wanted = tuple(attributes.get("group_by") or query.get("default_group_by") or _SEGMENT)
    clauses = clauses_of(attributes.get("filter"), query["filters"], store.now())
    deeds = (
        deed
        for deed in _deeds(store, kind, found, parts, attributes)
        if all(holds(clause, values_of(store, deed[1].source, clause.field)) for clause in clauses)
    )
    made = _results(
        kind, _grouped(store, deeds, wanted), wanted, attributes["statistics"], parts, series=form == "series"
    )
    told: dict[str, Any] = {"results": made[place : place + store.report_rows]}
    if form == "series":
        # As in the specification's example: the clock on the wall, with an offset that says nothing.
        told["date_times"] = [label.replace(tzinfo=UTC).isoformat() for label in parts.labels]
    after = place + store.report_rows if "page_cursor" in request.operation.parameters else len(made)
    return Answer(200, document(request, told, after if after < len(made) else None))


def document(request: Request, attributes: Mapping[str, Any], after: int | None, **more: Any) -> dict[str, Any]:
    """The answer with the attributes that were asked for; ``after`` is where the next page begins."""
    kind = request.body["data"]["type"]
    fields = request.query.get(f"fields[{kind}]")
    shown = attributes if fields is None else {name: attributes[name] for name in split(fields) if name in attributes}
    own = f"{request.base}{request.path}"
    links = {"self": own + (f"?{urlencode(request.query)}" if request.query else "")}
    if after is not None:
        # Recorded answers have it, where the specification only declares the cursor.
        links["next"] = f"{own}?{urlencode({**request.query, 'page_cursor': cursor_at(after)})}"
    return {"data": {"type": kind, **more, "attributes": shown}, "links": links}


def _deeds(
    store: Store, kind: str, found: Frame, parts: Intervals, attributes: Mapping[str, Any]
) -> Iterator[tuple[int, Deed]]:
    """What was done in the frame, with the number of the interval in which it was."""
    start, stop = found.bounds(zone_of(store))
    if kind == "segment":
        yield from _joined(store, start, stop, parts)
        return
    events = activities.events_between(store, start, stop)
    if kind == "form":
        made = activities.of_forms(store, events)
    else:
        made = activities.of_messages(store, events, kind, attributes["conversion_metric_id"])
    yield from ((parts.of(deed.when), deed) for deed in made)


def _joined(store: Store, start: datetime, stop: datetime, parts: Intervals) -> Iterator[tuple[int, Deed]]:
    """Who joined a segment, and in each later interval that they were there before. Who left is not known."""
    for segment_id, members in store.segment_members.items():
        source = Source("segment", {"segment_id": segment_id})
        for member in members.rows.values():
            when = datetime.fromisoformat(member["joined_group_at"])
            if when >= stop:
                continue
            joined = parts.of(when) if when >= start else -1
            if joined >= 0:
                yield joined, Deed("members_added", member["id"], when, source)
            for later in range(joined + 1, len(parts.starts)):
                yield later, Deed("member_before", member["id"], when, source)


def _grouped(store: Store, deeds: Iterable[tuple[int, Deed]], wanted: Sequence[str]) -> Grouped:
    grouped: dict[tuple[str | None, ...], dict[int, list[Deed]]] = defaultdict(lambda: defaultdict(list))
    for number, deed in deeds:
        for grouping in groupings(store, deed.source, wanted):
            grouped[tuple(grouping[name] for name in wanted)][number].append(deed)
    return grouped


def _results(
    kind: str, grouped: Grouped, wanted: Sequence[str], statistics: Sequence[str], parts: Intervals, *, series: bool
) -> list[dict[str, Any]]:
    made = []
    for values in sorted(grouped, key=lambda values: tuple(value or "" for value in values)):
        numbers = [MADE[kind](grouped[values].get(number, ())) for number in range(len(parts.starts))]
        told = {name: [found[name] for found in numbers] if series else numbers[0][name] for name in statistics}
        made.append({"groupings": dict(zip(wanted, values, strict=True)), "statistics": told})
    return made
